"""What the journal remembers of a run that was killed, and what it refuses."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from bundle.chunks import Part
from bundle.digest import Digest
from bundle.errors import UsageError
from bundler.chunkfile import MediumError, Sealed
from bundler.journal import Journal, check_idle

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))
CREATED = "2026-06-01T12:00:00Z"


def opened(folder: Path, plan: str = "plan", created: str = CREATED) -> Journal:
    return Journal.open(folder / "sub" / "x.journal", plan=plan, created=created, placed=(0, 1))


def replayed(folder: Path) -> Journal:
    """Return what another run finds."""
    again = opened(folder, created="later")
    again.close()
    return again


def test_what_is_written_is_there_for_the_next_run(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.write(at=A, bytes=5)
    journal.write(done=B, crc=[1, 2])
    journal.write(sealed=3, digest=C, parts=[A, B])
    journal.write(frames=A, encoding="zstd", plain=7, stored=3)
    journal.write(encoded=B, encoding="zstd", parts=[[4, 512, 9, C]])
    journal.close()
    again = replayed(tmp_path)
    assert (again.created, again.placed) == (CREATED, (0, 1))
    assert (again.reached, again.done) == ({A: 5}, {B: (1, 2)})
    assert again.sealed == {3: Sealed(C, (A, B))}
    assert again.frames == {A: ("zstd", 7, 3)}
    assert again.encoded == {B: ("zstd", (Part(4, 512, 9, C),))}


def test_what_is_undone_is_forgotten(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.write(at=A, bytes=5)
    journal.write(done=A, crc=[1])
    journal.write(sealed=1, digest=C, parts=[A])
    journal.write(undone=A)
    journal.write(unsealed=1)
    journal.close()
    again = replayed(tmp_path)
    assert (again.reached, again.done, again.sealed) == ({}, {}, {})


def test_a_rewound_blob_takes_all_after_it_along(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for number, digest in ((2, A), (3, B), (4, C)):
        journal.write(encoded=digest, encoding="zstd", parts=[[number, 512, 9, digest]])
        journal.write(sealed=number, digest=digest, parts=[digest])
    journal.write(sealed=1, digest=A, parts=[A])
    journal.write(rewound=B)
    journal.close()
    again = replayed(tmp_path)
    assert set(again.encoded) == {A}
    assert set(again.sealed) == {1, 2}


@pytest.mark.parametrize("torn", [b'{"done": "sha', b"{", b"\x00\x00\x00"])
def test_a_torn_last_line_is_ignored_and_taken_away(tmp_path: Path, torn: bytes) -> None:
    journal = opened(tmp_path)
    journal.write(at=A, bytes=5)
    journal.close()
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + torn)
    journal = opened(tmp_path)
    assert journal.path.read_bytes() == whole
    journal.write(done=A, crc=[1])
    journal.close()
    assert replayed(tmp_path).done == {A: (1,)}


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"[]",
        b"7",
        b"{}",
        b'{"done": "sha256:short", "crc": []}',
        b'{"done": 7, "crc": []}',
        b'{"at": "x"}',
        b'{"sealed": "1", "digest": "x", "parts": []}',
        b'{"encoded": "sha256:' + b"0" * 64 + b'", "encoding": "zstd", "parts": [[1]]}',
        b'{"rewound": "nothing"}',
        b"[" * 100_000,
        b'{"keys": "0123456789abcdef", "heavy": [' + b"[]," * 90_000 + b"[]]}",
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_is_refused_and_the_file_is_let_go(tmp_path: Path, line: bytes) -> None:
    journal = opened(tmp_path)
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes() + line + b"\n")
    for _ in range(2):
        with pytest.raises(UsageError, match="is damaged") as caught:
            opened(tmp_path)
        assert "--restart" in caught.value.hint


def test_a_line_is_read_no_further_than_any_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)
    journal.write(at=A, bytes=5)
    journal.close()
    whole = journal.path.read_bytes()
    monkeypatch.setattr("bundler.journal.LONGEST", 200)
    for length in (200, 201):
        padded = b'{"keys": "0123456789abcdef"}'.ljust(length - 1) + b"\n"
        journal.path.write_bytes(whole + padded)
        if length == 200:
            assert replayed(tmp_path).keys == "0123456789abcdef"
    with pytest.raises(UsageError, match="is damaged"):
        opened(tmp_path)


def test_another_plan_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(UsageError, match="unfinished export of another lock"):
        opened(tmp_path, plan="another")


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(UsageError, match="another export is writing"):
        opened(tmp_path)
    with pytest.raises(UsageError, match="another export is writing"):
        check_idle(journal.path)
    journal.close()
    check_idle(journal.path)
    opened(tmp_path).close()


def test_a_file_system_without_locks_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "none")

    monkeypatch.setattr(fcntl, "flock", flock)
    opened(tmp_path).close()


def test_a_full_medium_is_named_and_half_a_line_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)
    before = journal.path.read_bytes()
    real, full = os.write, [False]

    def write(handle: int, data: memoryview) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, "full")
        full[0] = True
        return real(handle, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(MediumError, match=r"x\.journal cannot be written: No space left"):
            journal.write(at=A, bytes=5)
    assert journal.path.read_bytes() == before
    assert journal.reached == {}
    journal.write(at=A, bytes=6)
    journal.close()
    assert replayed(tmp_path).reached == {A: 6}


def test_a_line_that_is_written_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
        journal = opened(tmp_path)
        journal.write(done=A, crc=[1])
        journal.close()
    assert replayed(tmp_path).done == {A: (1,)}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").write_bytes(b"a file")
    with pytest.raises(MediumError, match=r"x\.journal cannot be written"):
        opened(tmp_path)


def test_a_removed_journal_is_gone(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.remove()
    assert not journal.path.exists()
