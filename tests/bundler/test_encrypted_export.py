"""An encrypted export: nothing in clear on the medium, gone on with anywhere, no nonce twice."""

from __future__ import annotations

import threading
import time
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle import box, segments
from bundle.box import Box
from bundle.chunks import prefix
from bundle.digest import Digest
from bundle.errors import SourceError, UsageError, VerificationError
from bundle.manifest import Manifest
from bundle.media import Media
from bundle.verify import verify
from bundle.view import Views
from bundler import chunkkeys
from bundler.chunkfile import ReadBackError
from bundler.fetch import Stop
from bundler.heldback import HeldBack
from bundler.journal import keys_of
from tests import keys
from tests.bundler.medium import Flips, damage
from tests.bundler.world import (
    BUNDLE,
    MIB,
    PLAIN,
    Upstream,
    export,
    in_blocks,
    journal,
    leftovers,
    lock,
    locked,
    noise,
    plan,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.export import Outcome
    from bundler.plan import Plan

SEGMENT = 32 << 10
MINE = keys.recipient("mine")
BIG, SMALL, EMPTY = noise("big", 3 * MIB + 77), noise("small", 9_000), b""
ZEROS = bytes(200_000)
SOFT, HARD = text("soft", 900_000), noise("x", 300_000)
LOCK = lock(locked("one", BIG, SMALL), locked("two", SMALL, EMPTY, ZEROS))
MIXED = lock(locked("one", BIG, SMALL), locked("three", SOFT, HARD, media_type=PLAIN))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT", SEGMENT)
    monkeypatch.setattr("bundler.fetch.MARK_BYTES", 1)
    monkeypatch.setattr("bundler.encode.FRAME", 100_000)
    monkeypatch.setattr("bundle.transfer.backoff", lambda _failures, _after: 0)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.of(BIG, SMALL, EMPTY, ZEROS, SOFT, HARD)


def encrypted(folder: Path, made: object = LOCK, **options: object) -> Plan:
    return plan(made, folder, recipients=(MINE.public_key,), **options)  # type: ignore[arg-type]


def manifest(made: Plan, outcome: Outcome) -> Manifest:
    """Return the manifest of an export, as far as its chunks are concerned."""
    return Manifest(
        stream="prod",
        sequence=1,
        created="2026-06-01T12:00:00Z",
        expires="2027-06-01T12:00:00Z",
        generator=("dray", "0"),
        spec=made.lock.spec,
        lock=made.lock.digest,
        chunk_size=made.options.chunk_size,
        artifacts=tuple(one.artifact for one in made.lock.artifacts),
        blobs=tuple(outcome.blobs),
        chunks=tuple(outcome.chunks),
        media=made.media(outcome.placed),
        files=(),
        recipients=(MINE.fingerprint,),
    )


def plain(made: Plan, outcome: Outcome) -> dict[int, bytes]:
    """Open every chunk, and assert that it is the one that the outcome says it is."""
    signed = manifest(made, outcome)
    Manifest.from_bytes(signed.to_bytes())
    media = Media.find([made.folder(0, BUNDLE)])
    found = {}
    for chunk in signed.chunks:
        assert chunk.inner
        path = made.folder(0, BUNDLE) / chunk.name
        data = path.read_bytes()
        assert (len(data), Digest.of(data)) == (chunk.size, chunk.digest)
        assert len(data) <= made.options.chunk_size
        with Views(signed, media, MINE).open(chunk, path) as view:
            found[chunk.number] = view.read(chunk.inner.size, 0)
        assert Digest.of(found[chunk.number]) == chunk.inner.digest
    report = verify(signed, media, recipient=MINE)
    assert [finding.message for finding in report.bad if "journal" not in finding.file] == []
    return found


@pytest.mark.parametrize("compress", [False, True])
def test_every_chunk_opens_and_nothing_of_it_is_there_in_clear(
    tmp_path: Path, upstream: Upstream, compress: bool
) -> None:
    made = encrypted(tmp_path, MIXED, compress=compress)
    opened = plain(made, export(made, upstream))
    files = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*.enc")))
    start = prefix(b"")[:512]
    assert all(data.startswith(start) for data in opened.values())
    for secret in (BIG[5000:5032], SMALL[:32], SOFT[:32], b"oci-layout", b"blobs/sha256"):
        assert secret not in files
    assert leftovers(tmp_path) == []


def test_the_same_lock_gives_the_same_chunks_inside_and_others_outside(
    tmp_path: Path, upstream: Upstream
) -> None:
    made = [encrypted(tmp_path / name) for name in ("one", "two")]
    outcomes = [export(one, upstream) for one in made]
    inside = [plain(one, outcome) for one, outcome in zip(made, outcomes, strict=True)]
    assert inside[0] == inside[1]
    first, second = ({chunk.digest for chunk in outcome.chunks} for outcome in outcomes)
    assert not first & second


class Watch:
    """Notes every sealing of a run: no key and nonce may come twice, whatever the bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nonces: list[tuple[bytes, bytes]] = []
        real = Box.seal

        def seal(one: Box, segment: segments.Segment, data: bytes) -> bytes:
            stored = real(one, segment, data)
            self.nonces.append((one._header, stored[4 : segments.HEAD]))
            return stored

        monkeypatch.setattr(box.Box, "seal", seal)

    def check(self) -> None:
        assert self.nonces
        assert len(set(self.nonces)) == len(self.nonces)


@pytest.mark.parametrize("number", [1, 4, 11, 30, 47])
def test_a_stopped_run_goes_on_at_the_last_whole_segment(
    tmp_path: Path, upstream: Upstream, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plain(
        whole := encrypted(tmp_path / "whole"), export(whole, Upstream.of(*upstream.blobs.values()))
    )
    watch, stop = Watch(monkeypatch), threading.Event()

    def stopping(data: bytes, offset: int) -> Iterator[bytes]:
        for count, block in enumerate(in_blocks(data, offset)):
            if count == number:
                stop.set()
            yield block

    upstream.fail("one", BIG, stopping)
    made = encrypted(tmp_path / "cut")
    with pytest.raises(Stop):
        export(made, upstream, stop=stop)
    upstream.faults.clear()
    asked = len(upstream.opened)
    outcome = export(made, upstream)
    assert plain(made, outcome) == expected
    again = [at for _, digest, at in upstream.opened[asked:] if digest == Digest.of(BIG)]
    assert all(at > number * (64 << 10) - 2 * SEGMENT for at in again)
    watch.check()


def test_bytes_that_were_refused_and_written_over_share_no_nonce_with_the_good_ones(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flash keeps what was overwritten: two texts under one nonce would give both away."""

    def lies_and_leaves(data: bytes, offset: int) -> Iterator[bytes]:
        yield bytes(len(data) // 2)[offset:]
        raise SourceError("gone")

    watch, made = Watch(monkeypatch), encrypted(tmp_path)
    upstream.fail("one", BIG, lies_and_leaves)
    assert list(export(made, upstream).failures) == ["up.example/one:1.0"]
    upstream.faults.clear()
    plain(made, export(made, upstream))
    watch.check()


def test_an_encoded_blob_goes_on_after_every_frame(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundler.plan.COMPRESSED", ())
    whole = encrypted(tmp_path / "whole", MIXED, compress=True)
    expected = plain(whole, export(whole, upstream))
    for count in (1, 3, 5, 8):
        made = encrypted(tmp_path / str(count), MIXED, compress=True)
        stop, seen = threading.Event(), [0]

        def stopping(number: int, stop: threading.Event = stop, seen: list[int] = seen) -> None:
            seen[0] += number == 100_000
            if seen[0] == count:  # noqa: B023  (used within this turn of the loop)
                stop.set()

        with pytest.raises(Stop):
            export(made, upstream, stop=stop, on_bytes=stopping)
        assert plain(made, export(made, upstream)) == expected


@pytest.mark.parametrize(
    "at",
    [0, 4095, 4096, 4100, 4096 + 200, 6300, 100_000, -1, -1040],
    ids=["magic", "header", "length", "nonce", "prefix", "member", "data", "tag", "trailer"],
)
def test_any_byte_that_comes_back_other_than_written_is_found_and_mended(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    made = encrypted(tmp_path)
    last = len(made.packing.sizes)
    flips = Flips(f"chunk-{last:05d}", at % made.packing.sizes[-1])
    damage(monkeypatch, flips)
    plain(made, export(made, upstream))
    assert flips.times == 0


def test_zeros_that_come_back_damaged_are_not_taken_for_zeros(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encrypted(tmp_path)
    [piece] = made.packing.pieces()[Digest.of(ZEROS)]
    place = segments.HEADER + piece.offset + (piece.segment + 2) * segments.OVERHEAD + 50_000
    damage(monkeypatch, Flips(f"chunk-{piece.chunk:05d}", place, times=2))
    with pytest.raises(ReadBackError) as caught:
        export(made, upstream)
    assert caught.value.digests == (Digest.of(ZEROS),)


def test_the_keys_lie_on_this_host_alone_and_only_while_they_are_needed(
    tmp_path: Path, upstream: Upstream
) -> None:
    made = encrypted(tmp_path / "medium")
    upstream.fail("one", BIG, lambda _data, _at: iter(()))
    export(made, upstream)
    opened = journal(made)
    name = opened.keys
    opened.close()
    folder = chunkkeys.ChunkKeys(name, ()).folder
    held = [path.read_bytes() for path in folder.iterdir()]
    assert held
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    medium = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert not [data for data in held if data[:32] in medium]
    chunkkeys.discard(name)
    assert not folder.exists()
    chunkkeys.discard("")
    assert folder.parent.exists()


def test_an_export_whose_keys_are_lost_fetches_again_what_they_closed(
    tmp_path: Path, upstream: Upstream
) -> None:
    made = encrypted(tmp_path)
    upstream.fail("one", BIG, lambda data, at: in_blocks(data[:MIB], at))
    assert export(made, upstream).failures
    opened = journal(made)
    chunkkeys.discard(opened.keys)
    opened.close()
    upstream.faults.clear()
    plain(made, export(made, upstream))


def test_a_chunk_that_was_sealed_and_taken_back_is_sealed_again(
    tmp_path: Path, upstream: Upstream
) -> None:
    made = encrypted(tmp_path)
    outcome = export(made, upstream)
    lost = made.folder(0, BUNDLE) / outcome.chunks[1].name
    lost.unlink()
    plain(made, export(made, upstream))


def test_other_recipients_do_not_go_on_with_it(tmp_path: Path, upstream: Upstream) -> None:
    upstream.fail("two", SMALL, lambda _data, _at: iter(()))
    export(encrypted(tmp_path), upstream)
    for recipients in ((), (keys.recipient("other").public_key,)):
        with pytest.raises(UsageError, match="other options"):
            export(plan(LOCK, tmp_path, recipients=recipients), upstream)


def test_a_journal_names_no_folder_but_one_of_keys(tmp_path: Path) -> None:
    made = encrypted(tmp_path)
    opened = journal(made)
    opened.close()
    with opened.path.open("a") as file:
        file.write('{"keys": "../../somewhere"}\n')
    assert keys_of(opened.path) == ""
    with pytest.raises(UsageError, match="is damaged"):
        journal(made)


@pytest.mark.parametrize("change", ["a bare chunk", "no recipients", "too short"])
def test_a_manifest_whose_chunks_do_not_say_the_same_is_refused(
    tmp_path: Path, upstream: Upstream, change: str
) -> None:
    made = encrypted(tmp_path)
    good = manifest(made, export(made, upstream))
    first, *others = good.chunks
    assert first.inner
    shorter = replace(first, inner=replace(first.inner, size=first.inner.size - 512))
    wrong = {
        "a bare chunk": replace(good, chunks=(replace(first, inner=None), *others)),
        "no recipients": replace(good, recipients=()),
        "too short": replace(good, chunks=(shorter, *others)),
    }[change]
    with pytest.raises(VerificationError, match="chunks"):
        Manifest.from_bytes(wrong.to_bytes())


def test_several_connections_share_a_blob_and_hold_little_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges begin and end anywhere in a segment; their number bounds what is held back."""
    monkeypatch.setattr("bundler.ranges.LEAST", 100_000)
    monkeypatch.setattr("bundler.ranges.MOST", 300_001)
    monkeypatch.setattr("bundler.ranges.SPLIT", 100_000)
    most, real, asked = [0], HeldBack.add, []

    def add(one: HeldBack, *arguments: object) -> object:
        found = real(one, *arguments)  # type: ignore[arg-type]
        most[0] = max(most[0], len(one._parts))
        return found

    def slowly(data: bytes, offset: int) -> Iterator[bytes]:
        asked.append(offset)
        for block in in_blocks(data, offset, 7_001):
            time.sleep(0.002)
            yield block

    monkeypatch.setattr(HeldBack, "add", add)
    upstream, made = Upstream.of(BIG, SMALL, EMPTY, ZEROS), encrypted(tmp_path)
    upstream.fail("one", BIG, slowly)
    plain(made, export(made, upstream, workers=4))
    assert len(asked) > 2
    assert 0 < most[0] <= 2 * 16


def test_memory_stays_flat_whatever_the_size_of_a_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT", MIB)
    monkeypatch.setattr("bundler.fetch.MARK_BYTES", 32 << 20)
    large = bytes(24 * MIB)
    made = encrypted(tmp_path, lock(locked("one", large)), chunk_size=32 * MIB)
    upstream = Upstream.of(large)
    tracemalloc.start()
    try:
        outcome = export(made, upstream)
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
        tracemalloc.reset_peak()
        signed = manifest(made, outcome)
        verify(signed, Media.find([made.folder(0, BUNDLE)]), recipient=MINE, workers=1)
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
