"""What ``dray status`` says of each stream: here, pending, failed, refused, from where, how old."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle import instant
from bundle.errors import TargetError, UsageError
from bundle.receipt import Entry
from importer.ledger.streams import Standing
from importer.load import Load
from importer.receipts import shelf
from importer.status import seen
from importer.status.arrived import Arrived, Placed
from importer.status.row import Row
from tests import delta, factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from tests.factory import Bundle
    from tests.refusals.table import Answer


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def one(tmp_path: Path) -> Bundle:
    return delta.whole(tmp_path / "one")


@pytest.fixture
def two(tmp_path: Path) -> Bundle:
    return factory.build(
        tmp_path / "two", delta.second, sequence=2, chunk_size=delta.CHUNK, media=(600_000, 800_000)
    )


def run(command: str, bundle: Bundle, *more: object) -> Answer:
    return dray(command, "--trust", bundle.trust, *more, folder=Path.cwd())


def bring(bundle: Bundle, *more: object) -> Answer:
    return run("import", bundle, "--to", "warehouse", *bundle.folders, *more)


def status(bundle: Bundle, *more: object) -> dict[str, Any]:
    done = run("status", bundle, "--json", "--artifacts", *more)
    (row,) = json.loads(done.out)["streams"]
    return dict(row)


def said(bundle: Bundle, *more: object) -> str:
    return run("status", bundle, *more).out


def test_what_is_here_and_where_it_came_from(one: Bundle) -> None:
    assert bring(one).code == 0
    row, manifest = status(one), one.manifest
    assert row["here"] == {"warehouse": {"image": 2, "model": 1}}
    assert {a["name"]: a["root"] for a in row["artifacts"]} == {
        artifact.name: artifact.root for artifact in manifest.artifacts
    }
    assert (row["from"]["lock"], row["from"]["spec"]) == (manifest.lock, manifest.spec)
    assert list(row["from"]["signers"]) == [factory.SIGNER]
    assert row["from"]["generator"] == " ".join(manifest.generator)
    assert (row["pending"], row["unsuccessful"], row["warnings"]) == ([], [], [])
    text = said(one, "--artifacts")
    assert "here     2 images, 1 model at warehouse" in text
    assert "nvidia/riva:1.0 -> warehouse/models/nvidia/riva/1.0" in text


def test_what_a_newer_bundle_left_alone_is_still_here(one: Bundle, two: Bundle) -> None:
    assert bring(one).code == bring(two).code == 0
    rows = {a["name"]: a["from"] for a in status(two)["artifacts"]}
    assert rows["nvidia/riva:1.0"] == "prod-000001"
    assert rows["nvidia/riva:1.1"] == "prod-000002"
    assert status(two)["here"] == {"warehouse": {"image": 4, "model": 2}}


def test_a_name_that_was_taken_over_is_here_once(one: Bundle, tmp_path: Path) -> None:
    other = factory.build(
        tmp_path / "other", lambda kept: factory.sample(kept, seed="other"), sequence=3
    )
    same = factory.build(tmp_path / "same", factory.sample, sequence=2)
    assert bring(same).code == bring(other).code == 0
    rows = status(other)["artifacts"]
    assert len({row["place"] for row in rows}) == len(rows)
    assert {row["from"] for row in rows} == {"prod-000003"}


def test_a_bundle_that_was_verified_waits_medium_by_medium(one: Bundle, two: Bundle) -> None:
    assert bring(one).code == 0
    first, second = two.folders
    assert run("verify", two, first).code == 4
    (waiting,) = status(two)["pending"]
    assert (waiting["bundle"], waiting["state"]) == ("prod-000002", "partly-verified")
    assert (waiting["media"], waiting["mediaInAll"]) == ([1], 2)
    assert "prod-000002  verified in part" in said(two)
    assert run("verify", two, second).code == 4
    assert status(two)["pending"][0]["state"] == "verified"
    assert "not imported" in said(two)
    assert bring(two).code == 0
    assert status(two)["pending"] == []
    assert seen.notes() == []


def test_neither_a_glance_nor_a_damaged_medium_counts_as_verified(one: Bundle, two: Bundle) -> None:
    assert bring(one).code == 0
    assert run("verify", two, *two.folders, "--quick").code == 0
    path = two.chunk(1)
    path.write_bytes(bytes(path.stat().st_size))
    assert run("verify", two, *two.folders).code == 3
    assert status(two)["pending"] == []


def test_an_older_bundle_that_was_verified_does_not_wait(one: Bundle, two: Bundle) -> None:
    assert bring(two).code == 0
    run("verify", one, *one.folders)
    assert status(one)["pending"] == []


def test_a_note_of_another_bundle_under_that_name_counts_for_nothing(
    two: Bundle, tmp_path: Path
) -> None:
    other = factory.build(tmp_path / "other", delta.first, sequence=2, chunk_size=delta.CHUNK)
    assert run("verify", other, *other.folders).code == 0
    (noted,) = seen.notes()
    first, _second = two.folders
    assert run("verify", two, first).code == 4
    (waiting,) = seen.notes()
    assert waiting.chunks == set(two.manifest.media[0].chunks)
    assert noted.chunks - waiting.chunks


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"chunks": [true]}', b"[" * 9999])
def test_a_note_that_is_none_is_passed_over(one: Bundle, host: Path, data: bytes) -> None:
    assert bring(one).code == 0
    (host / "state" / "seen").mkdir(exist_ok=True)
    (host / "state" / "seen" / "prod-000009.json").write_bytes(data)
    assert status(one)["pending"] == []


@pytest.mark.parametrize("number", [True, 0, "1", None])
def test_a_note_whose_chunks_are_no_numbers_is_none(one: Bundle, number: object) -> None:
    assert run("verify", one, *one.folders).code == 0
    (noted,) = seen.notes()
    data = json.dumps({**noted.to_dict(), "chunks": [1, number]}).encode()
    with pytest.raises(UsageError, match="holds what is no number"):
        seen.read(data)


def test_an_import_that_was_killed_waits_with_where_it_went(
    one: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(_self: Load) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Load, "run", killed)
        bring(one)
    (waiting,) = status(one)["pending"]
    assert (waiting["state"], waiting["targets"]) == ("not-ended", ["warehouse"])
    assert "and not ended: run it again" in said(one)
    assert run("status", one, "--max-age", "1d").code == 7
    assert bring(one).code == 0
    assert status(one)["pending"] == []


def test_what_failed_is_told_until_it_was_imported(
    one: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise TargetError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("importer.targets.folder.Folder.put", full)
        assert bring(one).code == 6
    (failed,) = status(one)["unsuccessful"]
    assert (failed["kind"], "the disk is full" in failed["error"]) == ("import-failed", True)
    assert "the import of prod-000001 failed" in status(one)["warnings"]
    assert bring(one).code == 0
    assert status(one)["unsuccessful"] == []


def test_what_was_refused_is_told_by_its_rule(one: Bundle, two: Bundle) -> None:
    assert bring(two).code == 0
    assert bring(one).code == 5
    (refused,) = status(one)["unsuccessful"]
    assert (refused["bundle"], refused["rule"]) == ("prod-000001", "replay")
    assert "refused  prod-000001  less than a minute ago  replay: prod 1 is older" in said(one)
    assert run("status", one, "--max-age", "1d").code == 0, "an old drive is no fault of the stream"


def test_a_receipt_that_is_gone_or_was_changed_is_not_believed(one: Bundle) -> None:
    assert bring(one).code == 0
    (path,) = shelf.listed()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n", 1))
    row = status(one)
    assert (row["here"], "from" in row) == ({}, False)
    assert "1 receipt that the ledger names cannot be found on this host" in row["warnings"]
    assert run("status", one, "--max-age", "1d").code == 7


def test_before_anything_came_it_says_so(one: Bundle) -> None:
    assert status(one)["warnings"] == ["nothing was imported in full yet"]


def test_what_lies_in_a_quarantine_waits_until_it_was_promoted(one: Bundle) -> None:
    def placed(place: str, quarantine: str) -> Placed:
        artifact = one.manifest.artifacts[0]
        return Placed(Entry(artifact, "loaded", "t", place, quarantine=quarantine), one.name)

    held, used = placed("t/held/cuda:1", "held"), placed("t/cuda:1", "")
    row = Row("prod", Standing(), instant.now(), arrived=Arrived([held]))
    assert [r["place"] for r in row.to_dict(everything=False)["unpromoted"]] == ["t/held/cuda:1"]
    told = "  pending  prod-000001  1 artifact in the quarantine held, not promoted"
    assert told in row.lines(everything=False)
    row.arrived = Arrived([used, held])
    assert row.to_dict(everything=False)["unpromoted"] == []
    assert told not in row.lines(everything=False)
