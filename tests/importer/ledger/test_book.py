"""The ledger's file: appended to, cut by a crash, changed by somebody, set aside on purpose."""

from __future__ import annotations

import json
import multiprocessing
import os
from typing import TYPE_CHECKING, Any

import pytest

from bundle import instant
from bundle.digest import Digest
from bundle.errors import NotTrusted, UsageError
from importer.ledger import entry as kinds
from importer.ledger.book import HEAD, Ledger
from importer.ledger.chain import BrokenChain, Chain

if TYPE_CHECKING:
    from pathlib import Path

WHEN = instant.parse("2026-06-01T12:00:00Z")
MANIFEST = str(Digest.of(b"manifest"))


def done(sequence: int, stream: str = "prod", epoch: int = 0) -> dict[str, Any]:
    body = {"bundle": f"{stream}-{sequence:06d}", "stream": stream, "epoch": epoch}
    return {**body, "sequence": sequence, "manifest": MANIFEST, "expires": "2027-01-01T00:00:00Z"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with an import in it."""
    made = Ledger.open(tmp_path / "state")
    made.append(kinds.BEGUN, **done(7))
    made.append(kinds.DONE, **done(7))
    return made


def test_what_was_appended_is_read_by_the_next_run(ledger: Ledger) -> None:
    again = Ledger.open(ledger.folder)
    assert [one.kind for one in again.chain.entries] == ["opened", "import-begun", "import-done"]
    assert again.chain == ledger.chain
    state = again.standings().of("prod").state
    assert state is not None
    assert (state.sequence, state.manifest) == (7, MANIFEST)
    assert again.standings().of("prod").expires == "2027-01-01T00:00:00Z"


def test_a_host_without_a_ledger_knows_nothing_and_writes_nothing(tmp_path: Path) -> None:
    assert Ledger.open(tmp_path / "state").standings().states() == {}
    assert list(tmp_path.iterdir()) == []


def test_each_entry_says_who_where_and_by_which_dray(ledger: Ledger) -> None:
    for one in ledger.chain.entries:
        assert one.text("user")
        assert one.text("host") == os.uname().nodename
        assert one.text("dray")


def test_a_stream_never_goes_back(ledger: Ledger) -> None:
    ledger.append(kinds.DONE, **done(3))
    ledger.append(kinds.DONE, **done(99, stream="dev"))
    states = ledger.standings().states()
    assert {name: state.sequence for name, state in states.items()} == {"dev": 99, "prod": 7}
    ledger.append(kinds.DONE, **done(1, epoch=1))
    assert ledger.standings().states()["prod"].place == (1, 1)


def test_an_import_that_failed_is_no_import(ledger: Ledger) -> None:
    ledger.append(kinds.BEGUN, **done(8))
    assert ledger.standings().of("prod").unfinished == "prod-000008"
    ledger.append(kinds.FAILED, **done(8))
    standing = ledger.standings().of("prod")
    assert standing.state is not None
    assert (standing.state.sequence, standing.unfinished) == (7, "")


def test_kinds_and_fields_of_a_newer_dray_are_kept_and_passed_over(ledger: Ledger) -> None:
    digest = str(Digest.of(b"receipt"))
    ledger.append(kinds.RECEIPT, receipt=digest, size=3, something={"new": [1]})
    ledger.append("not-known-yet", stream="prod")
    again = Ledger.open(ledger.folder)
    assert again.chain.entries[-2].body["receipt"] == digest
    assert again.chain.entries[-2].body["something"] == {"new": [1]}


def test_every_crash_in_an_append_leaves_a_ledger_that_is_read_and_goes_on(
    ledger: Ledger, tmp_path: Path
) -> None:
    before, head = ledger.path.read_bytes(), (ledger.folder / HEAD).read_bytes()
    ledger.append(kinds.DONE, **done(8))
    after = ledger.path.read_bytes()
    folder = tmp_path / "crashed"
    folder.mkdir()
    for size in range(len(before), len(after) + 1):
        (folder / "ledger.jsonl").write_bytes(after[:size])
        (folder / HEAD).write_bytes(head)
        crashed = Ledger.open(folder)
        whole = size == len(after)
        assert len(crashed.chain.entries) == (4 if whole else 3)
        if size % 20 == 0 or len(after) - size < 3:
            crashed.append("note")
            tail = [one.kind for one in Ledger.open(folder).chain.entries[3:]]
            torn = size not in {len(before), len(after)}
            expected = ["recovered", "note"] if torn else ["note"]
            assert tail == (["import-done", "note"] if whole else expected)


def test_what_a_crash_cut_off_is_put_on_record(ledger: Ledger) -> None:
    torn = b'{"half": '
    with ledger.path.open("ab") as file:
        file.write(torn)
    ledger.append("note")
    recovered = Ledger.open(ledger.folder).chain.entries[3]
    assert (recovered.kind, recovered.body["bytes"]) == ("recovered", len(torn))
    assert recovered.body["digest"] == str(Digest.of(torn))


def test_a_crash_before_the_first_entry_was_whole_is_no_ledger_yet(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(b'{"dray":"0.1')
    opened = Ledger.open(tmp_path)
    opened.append("note")
    assert [one.kind for one in Ledger.open(tmp_path).chain.entries] == ["opened", "note"]
    assert Ledger.open(tmp_path).chain.entries[0].body["torn"] == 12


def test_a_full_disk_leaves_the_ledger_as_it_was(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ledger.path.read_bytes()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match=r"cannot write the ledger .*: no space left"):
            ledger.append("note")
    assert ledger.path.read_bytes() == before
    ledger.append("note")
    assert Ledger.open(ledger.folder).chain.entries[-1].kind == "note"


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot") as caught:
        Ledger(tmp_path / "file").append("note")
    assert "DRAY_STATE_DIR" in caught.value.hint


def _append(folder: Path, count: int) -> None:
    ledger = Ledger.open(folder)
    for number in range(count):
        ledger.append("note", number_of=number)


def test_runs_at_once_write_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=_append, args=(tmp_path, 20)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0] * 4
    assert len(Ledger.open(tmp_path).chain.entries) == 81


def test_a_ledger_that_was_changed_is_told_and_never_written_to(ledger: Ledger) -> None:
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(data.replace(b'"sequence":7', b'"sequence":1', 1))
    with pytest.raises(NotTrusted, match="line 3 does not follow") as caught:
        Ledger.open(ledger.folder)
    assert "dray ledger restart --reason" in caught.value.hint
    with pytest.raises(NotTrusted):
        Ledger(ledger.folder).append("note")


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_ledger_that_was_cut_back_is_told_by_its_head(ledger: Ledger, lines: int) -> None:
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(b"".join(data.splitlines(keepends=True)[:lines]))
    with pytest.raises(NotTrusted, match="written"):
        Ledger.open(ledger.folder)


def test_a_ledger_that_is_cut_back_while_it_is_in_use_is_told(ledger: Ledger) -> None:
    ledger.path.write_bytes(b"")
    with pytest.raises(NotTrusted, match="cut back"):
        ledger.append("note")
    ledger.path.unlink()
    with pytest.raises(NotTrusted, match="is gone"):
        ledger.append("note")


@pytest.mark.parametrize(
    "change",
    [{"number": 0}, {"digest": "x"}, {"extra": 1}, {"streams": {"A": {}}}, {"streams": {"a": 1}}],
)
def test_a_damaged_head_is_told(ledger: Ledger, change: dict[str, Any]) -> None:
    path = ledger.folder / HEAD
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(NotTrusted, match=r"ledger.head is damaged"):
        Ledger.open(ledger.folder)


def test_an_entry_whose_fields_are_not_right_is_told(ledger: Ledger) -> None:
    before = ledger.chain
    with pytest.raises(UsageError, match="cannot hold this: sequence"):
        ledger.append(kinds.DONE, **{**done(8), "sequence": "eight"})
    assert Ledger.open(ledger.folder).chain == before
    bad = kinds.compose(4, before.tip, before.entries[0].when, kinds.DONE, {"stream": "prod"})
    with ledger.path.open("ab") as file:
        file.write(bad.line + b"\n")
    with pytest.raises(NotTrusted, match="'epoch' is missing"):
        Ledger.open(ledger.folder)


def test_a_restart_sets_the_old_one_aside_and_forgets_no_stream(ledger: Ledger) -> None:
    ledger.append(kinds.TRUST, change="used", stream="prod", version=3, trust=MANIFEST)
    ledger.append(kinds.DONE, **done(9))
    old = ledger.path.read_bytes().replace(b'"import-begun"', b'"import-begot"')
    ledger.path.write_bytes(old)
    made = Ledger(ledger.folder)
    aside = made.restart("the disk failed")
    assert aside is not None
    assert aside.read_bytes() == old
    again = Ledger.open(ledger.folder)
    (first,) = again.chain.entries
    assert first.text("reason") == "the disk failed"
    assert first.text("after") == Digest.of(old)
    state = again.standings().of("prod").state
    assert state is not None
    assert state.sequence == 9, "the head knew it"


def test_a_restart_of_a_good_ledger_keeps_the_trust_file_in_mind(ledger: Ledger) -> None:
    ledger.append(kinds.TRUST, change="used", stream="prod", version=3, trust=MANIFEST)
    Ledger(ledger.folder).restart("a test")
    mark = Ledger.open(ledger.folder).standings().of("prod").trust
    assert mark is not None
    assert (mark.version, mark.digest) == (3, MANIFEST)


def test_a_reason_that_no_line_could_hold_is_refused_and_nothing_written(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    with pytest.raises(UsageError, match="more than"):
        ledger.append("note", reason="x" * (1 << 17))
    with pytest.raises(UsageError, match="more than"):
        ledger.restart("x" * (1 << 17))
    assert ledger.path.read_bytes() == before


def test_names_that_are_not_utf_8_are_held_all_the_same(ledger: Ledger) -> None:
    ledger.append("note", targets=[os.fsdecode(b"w\xff")], reason="\ud800 is no letter")
    assert Ledger.open(ledger.folder).chain.entries[-1].body["targets"] == ["w\\udcff"]


def test_copies_are_continued_or_not(ledger: Ledger) -> None:
    earlier = ledger.chain
    ledger.append("note")
    assert ledger.chain.begins_with(earlier)
    assert ledger.chain.begins_with(Chain())
    assert not earlier.begins_with(ledger.chain)


def test_numbers_go_one_by_one_even_in_a_chain_that_somebody_made() -> None:
    first = kinds.compose(1, kinds.FIRST, WHEN, kinds.OPENED, {})
    for number, kind, says in (
        (3, "note", "line 2 has the number 3"),
        (1, "note", "line 2 has the number 1"),
        (2, kinds.OPENED, "line 2 opens a ledger"),
    ):
        second = kinds.compose(number, first.digest, WHEN, kind, {})
        with pytest.raises(BrokenChain, match=says) as caught:
            Chain().extend(first.line + b"\n" + second.line + b"\n")
        assert caught.value.good == (first,)
    lone = kinds.compose(1, kinds.FIRST, WHEN, "note", {})
    with pytest.raises(BrokenChain, match="line 1 does not open the ledger"):
        Chain().extend(lone.line + b"\n")
