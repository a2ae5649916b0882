"""One run over a plan: everything is tried, nothing is sealed over a hole, and it goes on."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import SourceError, UsageError
from bundle.http import Interrupted
from bundler.chunkfile import MediumError
from bundler.fetch import Stop
from tests.bundler.world import (
    BUNDLE,
    MIB,
    PLAIN,
    Shuffled,
    Upstream,
    chunks,
    content,
    export,
    in_blocks,
    journal,
    leftovers,
    lock,
    locked,
    longer,
    noise,
    other,
    plan,
    refuses,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG, MIDDLE, SMALL, EMPTY = noise("big", 2_500_000), noise("middle", 600_000), noise("s", 900), b""
ONE, TWO = locked("one", BIG, MIDDLE, EMPTY), locked("two", MIDDLE, SMALL)
LOCK = lock(ONE, TWO)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, unless the upstream says when."""
    monkeypatch.setattr("bundle.transfer.backoff", lambda _failures, after: after or 0)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.of(BIG, MIDDLE, SMALL, EMPTY)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digest]:
    """The chunks of an export that nothing disturbed."""
    folder = tmp_path_factory.mktemp("expected")
    export(plan(LOCK, folder), Upstream.of(BIG, MIDDLE, SMALL, EMPTY))
    return chunks(folder)


def cut(data: bytes, offset: int) -> Iterator[bytes]:
    """Break off after a third of what is left."""
    yield data[offset : offset + (len(data) - offset) // 3 + 1]
    raise Interrupted("cut")


def test_every_blob_is_in_the_chunks_once(tmp_path: Path, upstream: Upstream) -> None:
    outcome = export(plan(LOCK, tmp_path), upstream)
    made = content(tmp_path)
    assert {Digest.of(data) for data in (BIG, MIDDLE, SMALL, EMPTY)} <= set(made)
    assert all(Digest.of(data) == digest for digest, data in made.items())
    assert outcome.failures == {}
    assert outcome.fetched == sum(LOCK.blobs.values())
    assert len([one for one in upstream.opened if one[1] == Digest.of(MIDDLE)]) == 1


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_completion_changes_no_byte(
    tmp_path: Path, expected: dict[str, Digest], workers: int, seed: int
) -> None:
    upstream = Upstream.of(BIG, MIDDLE, SMALL, EMPTY)
    pace = Shuffled(seed, workers, blobs=3)
    for name, blob in (("one", BIG), ("one", MIDDLE), ("two", SMALL)):
        upstream.fail(name, blob, pace)
    export(plan(LOCK, tmp_path), upstream, workers=workers)
    assert chunks(tmp_path) == expected


def test_a_failure_stops_no_other_artifact_and_seals_no_chunk_of_it(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.fail("two", SMALL, refuses)
    outcome = export(plan(LOCK, tmp_path), upstream)
    assert list(outcome.failures) == ["up.example/two:1.0"]
    assert outcome.chunks == []
    asked = len(upstream.opened)
    upstream.faults.clear()
    outcome = export(plan(LOCK, tmp_path), upstream)
    assert [digest for _name, digest, _at in upstream.opened[asked:]] == [Digest.of(SMALL)]
    assert (outcome.failures, outcome.fetched) == ({}, len(SMALL))


def test_a_blob_that_fails_is_reported_for_every_artifact_that_needs_it(
    tmp_path: Path, upstream: Upstream
) -> None:
    del upstream.blobs[Digest.of(MIDDLE)]
    outcome = export(plan(LOCK, tmp_path), upstream)
    assert set(outcome.failures) == {"up.example/one:1.0", "up.example/two:1.0"}


@pytest.mark.parametrize("fault", [refuses, other, longer, cut])
def test_another_artifact_that_has_the_same_blob_makes_up_for_one_that_fails(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest], fault: object
) -> None:
    upstream.fail("one", MIDDLE, fault)  # type: ignore[arg-type]
    export(plan(LOCK, tmp_path), upstream)
    assert chunks(tmp_path) == expected


def test_what_a_lying_upstream_left_does_not_spoil_the_next_ones_bytes(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest]
) -> None:
    def lies_and_leaves(data: bytes, offset: int) -> Iterator[bytes]:
        yield bytes(len(data) // 2)[offset:]
        raise SourceError("gone")

    upstream.fail("one", MIDDLE, lies_and_leaves)
    assert export(plan(LOCK, tmp_path), upstream).failures == {}
    assert chunks(tmp_path) == expected


@pytest.mark.parametrize("fault", [other, longer])
def test_an_upstream_with_other_bytes_fails_its_artifact_alone(
    tmp_path: Path, upstream: Upstream, fault: object
) -> None:
    upstream.fail("two", SMALL, fault)  # type: ignore[arg-type]
    outcome = export(plan(LOCK, tmp_path), upstream)
    (failure,) = outcome.failures.values()
    assert isinstance(failure, SourceError)
    assert "up.example/two:1.0" in failure.message


def test_a_source_that_cannot_be_opened_fails_its_artifact_alone(tmp_path: Path) -> None:
    upstream = Upstream.of(BIG, MIDDLE, SMALL, EMPTY)
    real = upstream.opener

    def opener(artifact: object, one: object) -> object:
        if one.content.digest == Digest.of(SMALL):  # type: ignore[attr-defined]
            raise UsageError("config.json is broken", hint="mend it")
        return real(artifact, one)  # type: ignore[arg-type]

    upstream.opener = opener  # type: ignore[method-assign, assignment]
    outcome = export(plan(LOCK, tmp_path), upstream)
    assert {name: error.hint for name, error in outcome.failures.items()} == {
        "up.example/two:1.0": "mend it"
    }


def test_a_cut_connection_is_gone_on_with_where_it_broke_off(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest]
) -> None:
    upstream.fail("one", BIG, cut)
    export(plan(LOCK, tmp_path), upstream)
    offsets = [at for _name, digest, at in upstream.opened if digest == Digest.of(BIG)]
    assert offsets == sorted(set(offsets))
    assert len(offsets) > 3
    assert chunks(tmp_path) == expected


def test_a_run_that_is_stopped_goes_on_inside_the_blob(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest]
) -> None:
    stop = threading.Event()

    def stopping(data: bytes, offset: int) -> Iterator[bytes]:
        for number, block in enumerate(in_blocks(data, offset)):
            if number == 10:
                stop.set()
            yield block

    upstream.fail("one", BIG, stopping)
    with pytest.raises(Stop):
        export(plan(LOCK, tmp_path), upstream, stop=stop, workers=1)
    upstream.faults.clear()
    export(plan(LOCK, tmp_path), upstream)
    offsets = [at for _name, digest, at in upstream.opened if digest == Digest.of(BIG)]
    assert offsets == [0, 11 * (64 << 10)]
    assert chunks(tmp_path) == expected


def test_a_stop_is_not_kept_waiting_by_an_upstream_that_says_when_to_come_again(
    tmp_path: Path, upstream: Upstream
) -> None:
    stop = threading.Event()

    def busy(_data: bytes, _offset: int) -> Iterator[bytes]:
        stop.set()
        raise Interrupted("busy", retry_after=300)

    upstream.fail("one", BIG, busy)
    with pytest.raises(Stop):
        export(plan(LOCK, tmp_path), upstream, stop=stop)


def test_a_stop_is_not_kept_waiting_by_chunks_that_could_be_sealed(
    tmp_path: Path, upstream: Upstream
) -> None:
    made = plan(LOCK, tmp_path)
    export(made, upstream)
    opened = journal(made)
    for number in list(opened.sealed):
        opened.write(unsealed=number)
    opened.close()
    stop = threading.Event()
    with pytest.raises(Stop):
        export(made, upstream, stop=stop, on_bytes=lambda _count: stop.set())
    opened = journal(made)
    opened.close()
    assert opened.sealed == {}


def test_what_a_power_cut_took_is_fetched_again_and_nobody_is_blamed(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest]
) -> None:
    made = plan(LOCK, tmp_path)
    opened = journal(made)
    opened.write(at=Digest.of(BIG), bytes=1_500_000)
    opened.close()
    for number in (1, 2):
        (tmp_path / BUNDLE / f"{BUNDLE}.chunk-0000{number}.tar.partial").write_bytes(bytes(MIB))
    assert export(made, upstream).failures == {}
    offsets = [at for _name, digest, at in upstream.opened if digest == Digest.of(BIG)]
    assert offsets == [1_500_000, 0]
    assert chunks(tmp_path) == expected


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_sealed_chunk_that_is_lost_is_made_again_alone(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest], damage: str
) -> None:
    made = plan(LOCK, tmp_path)
    export(made, upstream)
    lost = max(tmp_path.rglob("*.tar"))
    lost.unlink() if damage == "gone" else os.truncate(lost, 1000)
    asked = len(upstream.opened)
    export(made, upstream)
    assert chunks(tmp_path) == expected
    assert leftovers(tmp_path) == []
    again = {digest for _name, digest, _at in upstream.opened[asked:]}
    assert again < {Digest.of(data) for data in (BIG, MIDDLE, SMALL, EMPTY)}


def test_the_journal_of_a_run_killed_at_any_line_is_gone_on_with(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest]
) -> None:
    whole = tmp_path / "whole"
    made = plan(LOCK, whole)
    export(made, upstream)
    lines = next(whole.rglob("*.journal")).read_bytes().splitlines(keepends=True)
    assert len(lines) > len(expected)
    for count in range(len(lines)):
        folder = tmp_path / str(count)
        shutil.copytree(whole, folder)
        torn = b"".join(lines[:count]) + lines[count][: len(lines[count]) // 2]
        next(folder.rglob("*.journal")).write_bytes(torn)
        export(plan(LOCK, folder), upstream)
        assert chunks(folder) == expected, count
        assert leftovers(folder) == []
        shutil.rmtree(folder)


def test_a_full_medium_stops_the_run_and_keeps_what_is_written(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.pwrite, iter(range(10_000))

    def pwrite(handle: int, data: bytes, offset: int) -> int:
        if next(calls) > 20:
            raise OSError(errno.ENOSPC, "full")
        return real(handle, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(MediumError, match="No space left on device") as caught:
            export(plan(LOCK, tmp_path), upstream)
    assert "free some space" in caught.value.hint
    export(plan(LOCK, tmp_path), upstream)
    assert chunks(tmp_path) == expected


def test_partial_files_that_no_chunk_became_are_removed(tmp_path: Path, upstream: Upstream) -> None:
    made = plan(LOCK, tmp_path)
    stray = made.folder(0, BUNDLE) / f"{BUNDLE}.chunk-00009.tar.partial"
    stray.parent.mkdir()
    stray.write_bytes(b"of an attempt that took more chunks")
    export(made, upstream)
    assert leftovers(tmp_path) == []


def test_a_bug_in_a_source_is_not_lost_in_its_thread(tmp_path: Path, upstream: Upstream) -> None:
    def broken(_data: bytes, _offset: int) -> Iterator[bytes]:
        raise ZeroDivisionError

    upstream.fail("two", SMALL, broken)
    with pytest.raises(ZeroDivisionError):
        export(plan(LOCK, tmp_path), upstream)


def test_with_compression_what_shrinks_is_encoded_and_the_rest_stays_as_it_is(
    tmp_path: Path,
) -> None:
    words = text("words", 6_000_000)
    made = lock(locked("one", words, media_type=PLAIN), TWO)
    upstream = Upstream.of(words, MIDDLE, SMALL)
    outcome = export(plan(made, tmp_path, compress=True), upstream)
    stored = {blob.digest: blob for blob in outcome.blobs}
    assert stored[Digest.of(words)].encoding == "zstd"
    assert stored[Digest.of(words)].stored_size < len(words) // 4
    assert stored[Digest.of(MIDDLE)].encoding == "identity"
    again = export(plan(made, tmp_path, compress=True), upstream)
    assert (again.fetched, again.kept) == (0, sum(made.blobs.values()))
    assert again.blobs == outcome.blobs


def test_a_blob_to_be_encoded_that_fails_is_reported_and_the_rest_is_done(tmp_path: Path) -> None:
    words = text("words", 700_000)
    made = lock(locked("one", words, media_type=PLAIN), TWO)
    upstream = Upstream.of(words, MIDDLE, SMALL)
    upstream.fail("one", words, longer)
    outcome = export(plan(made, tmp_path, compress=True), upstream)
    assert list(outcome.failures) == ["up.example/one:1.0"]
    assert outcome.fetched == sum(made.blobs.values()) - len(words)


def test_after_a_blob_that_fails_the_others_to_be_encoded_are_tried_and_reported(
    tmp_path: Path,
) -> None:
    first, second, third = (text(word, 700_000) for word in ("red", "green", "blue"))
    names = ("one", "two", "three")
    images = [
        locked(name, blob, media_type=PLAIN)
        for name, blob in zip(names, (first, second, third), strict=True)
    ]
    upstream = Upstream.of(first, second, third)
    upstream.fail("one", first, refuses)
    upstream.fail("three", third, refuses)
    outcome = export(plan(lock(*images), tmp_path, compress=True), upstream)
    assert sorted(outcome.failures) == ["up.example/one:1.0", "up.example/three:1.0"]
