"""Keys to encrypt to, and where the chunks' own keys may lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle import envelope
from bundle.errors import UsageError
from bundle.segments import HEADER, MAX_RECIPIENTS
from bundler import chunkkeys, signing
from bundler.chunkkeys import ChunkKeys, check_apart, read_recipients
from tests import factory, keys

if TYPE_CHECKING:
    from pathlib import Path

MINE = keys.recipient("mine")
CHUNK = "prod-000001.chunk-00001.tar.enc"


def written(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text(keys.recipient(path.name).public_key.pem)
    return paths


def test_keys_come_in_the_order_of_their_digests_whatever_the_order_given(tmp_path: Path) -> None:
    paths = written(tmp_path, "a", "b", "c")
    found = read_recipients(paths)
    assert found == read_recipients(reversed(paths))
    assert [key.fingerprint for key in found] == sorted(key.fingerprint for key in found)


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    [path] = written(tmp_path, "a")
    (tmp_path / "same").write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="is the same key as"):
        read_recipients([path, tmp_path / "same"])


def test_too_many_keys_are_refused(tmp_path: Path) -> None:
    names = [str(number) for number in range(MAX_RECIPIENTS + 1)]
    with pytest.raises(UsageError, match="20 are the most"):
        read_recipients(written(tmp_path, *names))


@pytest.mark.parametrize("what", ["ed25519", "private", "missing"])
def test_what_nobody_can_encrypt_to_is_refused(tmp_path: Path, what: str) -> None:
    algorithm = "ed25519" if what == "ed25519" else "p256"
    pair = signing.generate(tmp_path, "one", algorithm=algorithm, passphrase=None)
    path = {"private": pair.private, "missing": tmp_path / "none"}.get(what, pair.public)
    with pytest.raises(UsageError, match=str(path)):
        read_recipients([path])


def test_a_key_that_signs_is_refused(tmp_path: Path) -> None:
    signer = keys.signer("dray")
    with pytest.raises(UsageError, match="the key of dray signs"):
        check_apart([], [signer.public_key], [signer], tmp_path / "dray.yaml")


def test_a_key_of_the_trust_file_beside_the_spec_is_refused(tmp_path: Path) -> None:
    factory.trust_file(tmp_path / "trust.json", "dray", "second")
    second = keys.signer("second").public_key
    with pytest.raises(UsageError, match=r"second in .*trust\.json signs"):
        check_apart([], [second], [keys.signer("dray")], tmp_path / "dray.yaml")
    check_apart([], [MINE.public_key], [keys.signer("dray")], tmp_path / "dray.yaml")


def test_the_keys_never_lie_on_what_is_exported_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "medium" / "state"))
    with pytest.raises(UsageError, match="would lie on the medium"):
        check_apart([tmp_path / "medium"], [], [], tmp_path / "dray.yaml")
    check_apart([tmp_path / "other"], [], [], tmp_path / "dray.yaml")


def test_a_chunk_has_one_key_in_every_run_and_no_other_chunk_has_it() -> None:
    first, again = (ChunkKeys("0123456789abcdef", [MINE.public_key]) for _ in range(2))
    one = first.of(CHUNK)
    assert again.of(CHUNK) == one == first.of(CHUNK)
    assert first.of(CHUNK.replace("00001.tar", "00002.tar")).secret != one.secret
    assert envelope.file_key(one.header, CHUNK, MINE) == one.secret
    assert one.secret.hex() not in repr(one)


def test_a_key_file_that_a_crash_left_short_is_made_anew() -> None:
    kept = ChunkKeys("0123456789abcdef", [MINE.public_key])
    one = kept.of(CHUNK)
    (kept.folder / CHUNK).write_bytes(one.secret)
    other = ChunkKeys("0123456789abcdef", [MINE.public_key]).of(CHUNK)
    assert (other.secret != one.secret, len(other.header)) == (True, HEADER)


def test_discarding_touches_no_other_exports_keys() -> None:
    kept = ChunkKeys("0123456789abcdef", [MINE.public_key])
    one = kept.of(CHUNK)
    chunkkeys.discard("fedcba9876543210")
    assert ChunkKeys("0123456789abcdef", [MINE.public_key]).of(CHUNK) == one
