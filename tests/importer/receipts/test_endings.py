"""Imports that were refused, failed or stopped: a signed receipt, and the exit code stays."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import schemas
from bundle.digest import Digest
from bundle.errors import PartlyDone
from importer.ledger.book import Ledger
from importer.load import Load
from importer.receipts import shelf
from tests import delta, factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factory import Bundle
    from tests.refusals.table import Answer


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A high side of its own, with a key that signs its receipts."""
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert dray("receipt", "keygen", "--no-passphrase", folder=tmp_path).code == 0
    return tmp_path


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return factory.build(tmp_path / "medium", chunk_size=delta.CHUNK)


def bring(bundle: Bundle, *more: object, to: str = "warehouse") -> Answer:
    arguments = ("--trust", bundle.trust, "--to", to, bundle.folder, *more)
    return dray("import", *arguments, folder=Path.cwd())


def last() -> Path:
    """Return the receipt that the ledger named last."""
    digest = [e.text("receipt") for e in Ledger.open().chain.entries if e.kind == "receipt"][-1]
    return next(path for path in shelf.listed() if Digest.of(path.read_bytes()) == digest)


def told(path: Path | None = None) -> dict[str, Any]:
    """Return what the last receipt says, once its signature was verified."""
    path = path or last()
    done = dray("receipt", "verify", path, "--pub", "config/dray/receipt.pub", folder=Path.cwd())
    assert done.code == 0, done
    body = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    schemas.validate("receipt", body)
    predicate: dict[str, Any] = body["predicate"]
    return predicate


def results() -> set[str]:
    return {row["result"] for row in told()["artifacts"]}


def kinds() -> list[str]:
    return [entry.kind for entry in Ledger.open().chain.entries]


def newer(folder: Path) -> Bundle:
    return factory.build(folder, lambda kept: factory.sample(kept, seed="newer"), sequence=2)


def replayed(bundle: Bundle, folder: Path) -> Answer:
    assert bring(newer(folder / "newer")).code == 0
    return bring(bundle)


def expired(_bundle: Bundle, folder: Path) -> Answer:
    return bring(factory.build(folder / "old", lifetime=timedelta(seconds=-9)))


def incomplete(bundle: Bundle, _folder: Path) -> Answer:
    bundle.chunk(1).unlink()
    return bring(bundle)


def damaged(bundle: Bundle, _folder: Path) -> Answer:
    path = bundle.chunk(1)
    data = bytearray(path.read_bytes())
    data[1] ^= 1
    path.write_bytes(data)
    return bring(bundle, "--verify-first")


def no_folder(bundle: Bundle, folder: Path) -> Answer:
    (folder / "file").write_bytes(b"")
    return bring(bundle, to="file")


def without_base(_bundle: Bundle, folder: Path) -> Answer:
    assert bring(delta.whole(folder / "one")).code == 0
    two = delta.since(folder / "two", shelf.listed()[-1])
    return bring(two, to="elsewhere")


CASES: dict[str, tuple[Callable[[Bundle, Path], Answer], int, str, str, str]] = {
    "a replay": (replayed, 5, "refused", "replay", "refused"),
    "expired": (expired, 5, "refused", "expired", "refused"),
    "a medium that is not here": (incomplete, 4, "refused", "media", "withheld"),
    "bytes that are not as signed": (damaged, 3, "refused", "bytes", "withheld"),
    "a target that cannot be written": (no_folder, 6, "failed", "target", "failed"),
    "a base that is missing": (without_base, 4, "refused", "base-missing", "withheld"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_turned_away_has_a_receipt_and_keeps_its_exit_code(
    bundle: Bundle, case: str, host: Path
) -> None:
    happen, code, outcome, rule, result = CASES[case]
    done = happen(bundle, host)
    assert done.code == code, done
    assert "receipt " in done.out
    ending = told()["ending"]
    assert (ending["outcome"], ending["rule"]) == (outcome, rule)
    assert (ending["exitCode"], results()) == (code, {result})
    assert ending["error"][:60] in done.err
    assert told()["complete"] is False
    assert kinds()[-2:] == ["refused", "receipt"]
    assert Ledger.open().chain.entries[-2].text("rule") == rule
    shown = dray("receipt", "list", folder=host)
    assert (shown.code, outcome.upper() in shown.out) == (0, True), shown


def test_a_copy_and_json_have_it_too(bundle: Bundle, host: Path) -> None:
    incomplete(bundle, host)
    done = bring(bundle, "--json", "--receipt", "out.json")
    assert (done.code, json.loads(done.out)["error"]["exitCode"]) == (4, 4), done
    assert json.loads(done.out)["receipt"]["signed"] is True
    assert told(Path("out.json"))["ending"]["rule"] == "media"


def test_the_plan_and_a_slip_of_the_operator_leave_no_receipt(bundle: Bundle, host: Path) -> None:
    bundle.chunk(1).unlink()
    assert bring(bundle, "--plan").code == 4
    assert bring(bundle, "--only", "nonsense").code in {2, 4}
    (host / "clean").mkdir()
    other = factory.build(host / "clean" / "medium")
    before = len(shelf.listed())
    assert bring(other, "--only", "nonsense").code == 2
    assert len(shelf.listed()) == before


def test_an_import_that_somebody_stops_says_so_and_has_not_ended(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: Load) -> Any:
        self.stop.set()
        return run(self)

    run = Load.run
    with monkeypatch.context() as patch:
        patch.setattr(Load, "run", stopped)
        done = bring(bundle)
    assert (done.code, told()["ending"]["outcome"]) == (PartlyDone.exit_code, "interrupted"), done
    assert results() == {"withheld"}
    assert Ledger.open().standings().of("prod").unfinished == bundle.manifest.name
    assert bring(bundle).code == 0
    assert told()["complete"] is True


def test_a_refusal_stays_what_it_is_when_it_cannot_be_recorded(bundle: Bundle, host: Path) -> None:
    bundle.chunk(1).unlink()
    (host / "state").mkdir()
    (host / "state" / "receipts").write_bytes(b"no folder")
    done = bring(bundle)
    assert done.code == 4, done
    assert "this is not on record" in done.err


def test_a_receipt_of_a_refusal_leaves_nothing_out(bundle: Bundle, host: Path) -> None:
    from bundle.errors import UsageError

    incomplete(bundle, host)
    with pytest.raises(UsageError, match="says that nothing was loaded"):
        delta.since(host / "next", shelf.listed()[-1])


def test_a_refusal_that_says_that_something_is_loaded_is_no_receipt(
    bundle: Bundle, host: Path
) -> None:
    from bundle import receipt
    from bundle.decode import dump_json
    from bundle.errors import VerificationError

    assert bring(bundle).code == 0
    body = json.loads(base64.b64decode(json.loads(shelf.listed()[0].read_bytes())["payload"]))
    ending = {"outcome": "refused", "rule": "replay", "exitCode": 5, "error": "x"}
    body["predicate"] |= {"ending": ending, "complete": False}
    with pytest.raises(VerificationError, match="is a refusal, and something is loaded"):
        receipt.parse(dump_json(body))
