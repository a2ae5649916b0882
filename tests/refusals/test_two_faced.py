"""A medium that answers otherwise when it is asked again: what was hashed is what is used."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.refusals.conftest import copy
from tests.refusals.table import IMPORT, VERIFY, VERIFY_FIRST, dray

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factory import Bundle


def two_faced(turn: int, *, chosen: str) -> Callable[[int, int, int], bytes]:
    """Return a ``pread`` that gives true bytes until a place of a chosen file is read again.

    The first ``turn`` readings of each place are true, all later ones have another first byte.
    """
    seen: Counter[tuple[str, int]] = Counter()
    real = os.pread

    def pread(handle: int, count: int, offset: int) -> bytes:
        data = real(handle, count, offset)
        path = Path(f"/proc/self/fd/{handle}").readlink().name
        if chosen not in path:
            return data
        seen[path, offset] += 1
        if seen[path, offset] <= turn or not data:
            return data
        return bytes([data[0] ^ 1]) + data[1:]

    return pread


def files(root: Path) -> set[tuple[str, str]]:
    """Return the files that users of a warehouse see, with their digests."""
    return {
        (str(path.relative_to(root)), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in root.rglob("*")
        if path.is_file() and ".dray" not in path.parts and path.name != "index.json"
    }


@pytest.fixture(scope="module")
def true(good: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What the bundle is when its medium is honest."""
    root = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAY_STATE_DIR", str(root / "state"))
        bundle = good["plain"]
        options = ("--trust", bundle.trust, "--to", root / "warehouse")
        done = dray(IMPORT, *options, bundle.folder, folder=root)
    assert done.code == 0, done
    return files(root / "warehouse")


@pytest.mark.parametrize("chosen", [".chunk-", "manifest.json", "sha256sums"])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("way", [IMPORT, VERIFY_FIRST])
def test_nothing_but_what_was_signed_is_ever_visible(
    way: str,
    turn: int,
    chosen: str,
    good: dict[str, Bundle],
    true: set[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = copy(good["plain"], tmp_path / "desk")
    monkeypatch.setattr(os, "pread", two_faced(turn, chosen=chosen))
    target = tmp_path / "warehouse"
    options = ("--trust", bundle.trust, "--to", target)
    answer = dray(*way.split(), *options, bundle.folder, folder=tmp_path)
    assert answer.code in {0, 3, 5}, answer
    assert "Traceback" not in answer.text
    assert files(target) <= true, "bytes that nobody signed are in the warehouse"
    if answer.code == 0:
        assert files(target) == true
    if turn == 0:
        assert answer.code != 0, "a medium that lies from the start goes unnoticed"


def test_a_chunk_that_lies_when_it_is_read_again_is_found(
    good: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = copy(good["plain"], tmp_path / "desk")
    arguments = ("--trust", bundle.trust, bundle.folder)
    assert dray(VERIFY, *arguments, folder=tmp_path).code == 0
    monkeypatch.setattr(os, "pread", two_faced(0, chosen=".chunk-"))
    assert dray(VERIFY, *arguments, folder=tmp_path).code == 3
