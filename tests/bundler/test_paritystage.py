"""Parity files and the block list of an export: right, the same every time, whatever happens."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from bundle import stripe
from bundle.chunks import chunk_name
from bundle.digest import Digest
from bundle.parity import BLOCK, list_name, listed
from bundler import chunkfile, readback, weave
from bundler.chunkfile import MediumError
from bundler.fetch import Stop
from bundler.journal import Journal
from bundler.spread import parse
from tests.bundler.medium import Flips, damage
from tests.bundler.world import (
    BUNDLE,
    PLAIN,
    Upstream,
    export,
    leftovers,
    lock,
    locked,
    noise,
    plan,
    text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.export import Outcome
    from bundler.plan import Plan

CUT, OTHER, SMALL = noise("cut", 2_500_000), noise("other", 300_000), noise("small", 9_000)
LOCK = lock(locked("one", CUT, OTHER), locked("two", SMALL))
WORDS, MORE = text("words", 900_000), noise("more", 1_600_000)
ENCODED = lock(locked("one", WORDS, MORE, media_type=PLAIN), locked("two", SMALL))


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.of(CUT, OTHER, SMALL, WORDS, MORE)


def files(*folders: Path) -> dict[str, Digest]:
    """Return what parity consists of, and the chunks."""
    kinds = ("*.tar", "*.parity-*", "*.blocks")
    found = [path for folder in folders for kind in kinds for path in folder.rglob(kind)]
    return {path.name: Digest.of(path.read_bytes()) for path in sorted(found)}


def check(made: Plan, outcome: Outcome) -> None:
    """Compute all of it again from the chunks, without the code that wrote it."""
    where = {path.name: path for folder in made.options.folders for path in folder.rglob("prod-*")}
    chunks = {chunk.number: where[chunk.name].read_bytes() for chunk in outcome.chunks}
    assert [n for group in outcome.parity for n in group.chunks] == sorted(chunks)
    for group in outcome.parity:
        members = [chunks[number] for number in group.chunks]
        for number, file in enumerate(group.files):
            data = where[file.name].read_bytes()
            assert data == stripe.parity(number, members, max(map(len, members)))
            assert (file.size, file.digest) == (len(data), Digest.of(data))
    rows = b""
    for name, size in listed(outcome.chunks, outcome.parity):
        data = where[name].read_bytes()
        assert len(data) == size
        for start in range(0, size, BLOCK):
            rows += hashlib.sha256(data[start : start + BLOCK]).digest()
    (file_,) = outcome.lists
    assert where[list_name(BUNDLE)].read_bytes() == rows
    assert (file_.size, file_.digest) == (len(rows), Digest.of(rows))


@pytest.mark.parametrize("parity", ["1", "2", "2+2", "20", "20+2"])
@pytest.mark.parametrize("compress", [False, True])
def test_parities_and_hashes_are_those_of_the_chunks(
    tmp_path: Path, upstream: Upstream, parity: str, *, compress: bool
) -> None:
    made = plan(ENCODED if compress else LOCK, tmp_path, parity=parse(parity), compress=compress)
    check(made, export(made, upstream))
    assert leftovers(tmp_path) == []


def test_each_chunk_is_read_once_and_sealed_in_that_reading(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = readback.reading_back

    def reading_back(path: Path, *size: int) -> object:
        opened.append(path.name.removesuffix(".partial"))
        return real(path, *size)

    monkeypatch.setattr(chunkfile, "reading_back", reading_back)
    monkeypatch.setattr(weave, "reading_back", reading_back)
    export(plan(LOCK, tmp_path, parity=parse("2")), upstream)
    assert sorted(opened) == sorted(files(tmp_path).keys() - {list_name(BUNDLE)})


def test_members_of_other_lengths_are_read_to_their_ends(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weave, "MEMORY", 3 * BLOCK)
    made = plan(LOCK, tmp_path, parity=parse("20+2"))
    assert len({*made.packing.sizes}) > 1
    assert weave.window(3) == BLOCK
    check(made, export(made, upstream))


def test_the_same_lock_and_options_give_the_same_bytes_without_compression_and_with(
    tmp_path: Path, upstream: Upstream
) -> None:
    for made, options in ((LOCK, {}), (ENCODED, {"compress": True})):
        found = []
        for number in (1, 2):
            folder = tmp_path / f"{len(options)}-{number}"
            export(plan(made, folder, parity=parse("2+2"), **options), upstream, workers=number * 2)
            found.append(files(folder))
        assert found[0] == found[1]


@pytest.mark.parametrize("parity", ["2", "20+2"])
@pytest.mark.parametrize("chunk", ["00001", "00002", "00003"])
def test_a_chunk_that_comes_back_wrong_is_fetched_again_and_its_group_read_anew(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, chunk: str, parity: str
) -> None:
    damage(monkeypatch, Flips(f"chunk-{chunk}", 100_000))
    made = plan(LOCK, tmp_path, parity=parse(parity))
    outcome = export(made, upstream)
    assert outcome.failures == {}
    check(made, outcome)


def test_a_parity_file_that_comes_back_wrong_is_an_error_and_the_next_run_makes_it_again(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(LOCK, tmp_path, parity=parse("2"))
    with monkeypatch.context() as patch:
        damage(patch, Flips("parity-00001", 70_000))
        with pytest.raises(MediumError, match="parity-00001 on the medium has other bytes"):
            export(made, upstream)
    assert not list(tmp_path.rglob("*.parity-00001"))
    check(made, export(made, upstream))


@pytest.mark.parametrize("record", ["sealed", "parity"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("compress", [False, True])
def test_killed_around_any_record_it_goes_on_and_gives_the_same_bytes(
    tmp_path: Path,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    record: str,
    *,
    before: bool,
    compress: bool,
) -> None:
    content = ENCODED if compress else LOCK

    def made(folder: Path) -> Plan:
        return plan(content, folder, parity=parse("2+2"), compress=compress)

    export(made(tmp_path / "expected"), upstream)
    expected = files(tmp_path / "expected")
    for number in range(4):
        folder, left = tmp_path / f"try-{number}", [number]
        real = Journal.write

        def write(
            journal: Journal, real: object = real, left: list[int] = left, **row: object
        ) -> None:
            dies = record in row and left[0] == 0
            left[0] -= record in row
            if not (dies and before):
                real(journal, **row)  # type: ignore[operator]
            if dies:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "write", write)
            try:
                export(made(folder), upstream)
            except Killed:
                pass
            else:
                assert left[0] >= 0, "it was never killed"
        outcome = export(made(folder), upstream)
        check(made(folder), outcome)
        assert files(folder) == expected


@pytest.mark.parametrize("ending", ["parity-00001", "rows", "chunk-00002.tar"])
@pytest.mark.parametrize("what", ["lost", "cut"])
def test_what_got_lost_between_two_runs_is_made_again(
    tmp_path: Path, upstream: Upstream, ending: str, what: str
) -> None:
    made = plan(LOCK, tmp_path, parity=parse("2"))
    export(made, upstream)
    expected = files(tmp_path)
    path = tmp_path / BUNDLE / f"{BUNDLE}.{ending}"
    path.unlink() if what == "lost" else path.write_bytes(path.read_bytes()[:1000])
    outcome = export(made, upstream)
    check(made, outcome)
    assert files(tmp_path) == expected


def test_a_chunk_that_changed_after_it_was_sealed_gets_no_parity(
    tmp_path: Path, upstream: Upstream
) -> None:
    made = plan(LOCK, tmp_path, parity=parse("2"))
    export(made, upstream)
    path = tmp_path / BUNDLE / chunk_name(BUNDLE, 1)
    data = bytearray(path.read_bytes())
    data[50_000] ^= 1
    path.write_bytes(data)
    (tmp_path / BUNDLE / f"{BUNDLE}.parity-00001").unlink()
    with pytest.raises(
        MediumError, match=r"chunk-00001.tar on the medium has other bytes than when"
    ):
        export(made, upstream)


def test_told_to_stop_it_stops_between_two_stretches(tmp_path: Path, upstream: Upstream) -> None:
    made, stop = plan(LOCK, tmp_path, parity=parse("2")), threading.Event()
    with pytest.raises(Stop):
        export(made, upstream, stop=stop, on_bytes=lambda _count: stop.set())
    check(made, export(made, upstream))
