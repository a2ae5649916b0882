"""Copies of ledgers at a target: another host reads them first, and believes none blindly."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from bundle.errors import NotTrusted, TargetError
from importer.admission import Admission
from importer.ledger import mirror
from importer.ledger.book import Ledger
from importer.ledger.shelf import FolderShelf
from importer.targets.tree import Tree
from tests import factory
from tests.e2e.desk import tree
from tests.refusals.table import Answer, dray

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.factory import Bundle

HINT = "--ignore-mirror REASON"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Bundle]:
    root = tmp_path_factory.mktemp("bundles")
    return {
        number: factory.build(
            root / str(number), lambda kept: factory.sample(kept, seed="same"), sequence=number
        )
        for number in (6, 7)
    }


@pytest.fixture
def place(tmp_path: Path) -> FolderShelf:
    return FolderShelf(Tree(tmp_path / "warehouse"))


class Hosts:
    """Import hosts that share a warehouse."""

    def __init__(self, folder: Path, bundles: dict[int, Bundle]) -> None:
        self.folder, self.bundles = folder, bundles
        self.patch = pytest.MonkeyPatch()

    def on(self, host: str) -> Ledger:
        self.patch.setenv("DRAY_STATE_DIR", str(self.folder / host))
        return Ledger.open()

    def load(self, host: str, number: int, *options: str, way: str = "import") -> Answer:
        self.on(host)
        bundle = self.bundles[number]
        trust = self.bundles[7].trust
        to = ("--to", self.folder / "warehouse", "--trust", trust)
        return dray(*way.split(), *to, *options, bundle.folder, folder=self.folder)


@pytest.fixture
def hosts(tmp_path: Path, bundles: dict[int, Bundle]) -> Hosts:
    return Hosts(tmp_path, bundles)


def test_what_one_host_imported_another_host_knows(hosts: Hosts) -> None:
    assert hosts.load("one", 7).code == 0
    refused = hosts.load("two", 6)
    assert refused.code == 5
    assert "prod 6 is older than 7" in refused.err
    assert "so says the ledger of" in refused.err
    assert HINT in refused.err
    assert [one.kind for one in hosts.on("two").chain.entries] == ["opened", "refused", "receipt"]


def test_the_same_bundle_on_another_host_is_no_replay(hosts: Hosts) -> None:
    assert hosts.load("one", 7).code == 0
    assert hosts.load("two", 7).code == 0


@pytest.fixture
def quicker(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host imports a newer bundle when this one has sent all and shown nothing."""
    confirm = Admission.confirm_by_mirrors

    def late(self: Admission) -> Mapping[str, TargetError]:
        monkeypatch.setattr(Admission, "confirm_by_mirrors", confirm)
        assert hosts.load("one", 7).code == 0
        hosts.on("two")
        return confirm(self)

    monkeypatch.setattr(Admission, "confirm_by_mirrors", late)


@pytest.mark.usefixtures("quicker")
def test_what_another_host_imported_meanwhile_is_known_before_a_name_changes(hosts: Hosts) -> None:
    refused = hosts.load("two", 6)
    assert refused.code == 5
    assert "prod 6 is older than 7" in refused.err
    shown = tree(hosts.folder / "warehouse/oci")
    assert hosts.load("one", 7).code == 0
    assert tree(hosts.folder / "warehouse/oci") == shown, "the newer one stands"
    kinds = [one.kind for one in hosts.on("two").chain.entries]
    assert kinds == ["opened", "trust", "import-begun", "refused", "receipt"]


@pytest.mark.usefixtures("quicker")
def test_a_reason_that_was_given_counts_for_what_comes_meanwhile(hosts: Hosts) -> None:
    assert hosts.load("two", 6, "--ignore-mirror", "we go back").code == 0
    kinds = [one.kind for one in hosts.on("two").chain.entries]
    assert kinds[2:5] == ["import-begun", "override", "receipt"]


def test_a_plan_reads_the_copies_and_writes_nothing(hosts: Hosts) -> None:
    hosts.load("one", 7)
    refused = hosts.load("two", 6, "--plan")
    assert (refused.code, "older than 7" in refused.err) == (5, True)
    assert not (hosts.folder / "two").exists()


@pytest.mark.parametrize("option", ["--ignore-mirror", "--allow-rollback"])
def test_a_reason_lets_it_through_and_is_on_record(hosts: Hosts, option: str) -> None:
    hosts.load("one", 7)
    assert hosts.load("two", 6, option, "we go back").code == 0
    override = hosts.on("two").chain.entries[1]
    assert (override.kind, override.text("reason")) == ("override", "we go back")
    assert override.text("rule") == {"--ignore-mirror": "mirror"}.get(option, "replay")


def forge(place: FolderShelf, ledger: str, **changes: object) -> str:
    """Write a head as somebody would who owns the target."""
    (real,) = [name for name in place.names() if name.endswith(".json")]
    data = place.read(real, 1 << 20)
    assert data is not None
    body = json.loads(data) | {"ledger": ledger} | changes
    place.write(f"{ledger}.json", json.dumps(body).encode())
    return real.removesuffix(".json")


FAR = {
    "prod": {
        "epoch": 0,
        "sequence": 2**53 - 1,
        "manifest": "sha256:" + "a" * 64,
        "when": "2026-01-01T00:00:00Z",
    }
}


def test_a_forged_copy_can_only_refuse_and_poisons_nothing(
    hosts: Hosts, place: FolderShelf
) -> None:
    hosts.load("one", 6)
    forge(place, "f" * 32, streams=FAR)
    refused = hosts.load("one", 7)
    assert (refused.code, HINT in refused.err) == (5, True)
    assert f"{'f' * 32}.json" in refused.err, "which file lies"
    assert hosts.on("one").standings().states()["prod"].sequence == 6
    (hosts.folder / "warehouse/.dray/ledger" / f"{'f' * 32}.json").unlink()
    assert hosts.load("one", 7).code == 0


def test_a_fork_that_a_copy_tells_is_an_alarm(hosts: Hosts, place: FolderShelf) -> None:
    hosts.load("one", 6)
    forked = {"prod": FAR["prod"] | {"sequence": 7}}
    forge(place, "f" * 32, streams=forked)
    refused = hosts.load("one", 7, "--allow-rollback", "no use")
    assert (refused.code, "two different bundles are prod 7" in refused.err) == (5, True)
    assert hosts.load("one", 7, "--ignore-mirror", "it was forged").code == 0


def test_a_ledger_that_was_cut_back_with_its_head_is_told_by_its_copy(hosts: Hosts) -> None:
    hosts.load("one", 6)
    ledger = hosts.folder / "one" / "ledger.jsonl"
    early = ledger.read_bytes()
    hosts.load("one", 7)
    ledger.write_bytes(early)
    (hosts.folder / "one" / "ledger.head").unlink()
    refused = hosts.load("one", 7)
    assert refused.code == 5
    assert "none of which is number" in refused.err
    assert "restore it from a backup" in refused.err


def test_a_host_that_lost_everything_is_told_by_the_copy(hosts: Hosts) -> None:
    hosts.load("one", 7)
    shutil.rmtree(hosts.folder / "one")
    assert hosts.load("one", 6).code == 5


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 100, b'{"mediaType": 1}'])
def test_a_copy_that_is_none_is_told_and_passed_over(
    hosts: Hosts, place: FolderShelf, data: bytes
) -> None:
    place.write(f"{'e' * 32}.json", data)
    loaded = hosts.load("one", 7)
    assert loaded.code == 0
    assert "what other hosts have imported is not known" in loaded.err
    begun = next(one for one in hosts.on("one").chain.entries if one.kind == "import-begun")
    assert begun.body["unread"], "it is on record"


def test_a_head_under_another_name_is_passed_over(hosts: Hosts, place: FolderShelf) -> None:
    hosts.load("one", 6)
    name = forge(place, "f" * 32, streams=FAR)
    root = hosts.folder / "warehouse/.dray/ledger"
    (root / f"{'f' * 32}.json").rename(root / f"{'0' * 32}.json")
    assert name
    assert "is the head of another ledger" in hosts.load("one", 7).err


def test_the_copy_is_the_ledger(hosts: Hosts, place: FolderShelf) -> None:
    hosts.load("one", 7)
    chain = hosts.on("one").chain
    assert place.names() == [f"{chain.name}.json", f"{chain.name}.jsonl"]
    assert place.read(f"{chain.name}.jsonl", 1 << 20) == Ledger.open().path.read_bytes()
    copy = hosts.folder / "warehouse/.dray/ledger" / f"{chain.name}.jsonl"
    assert dray("ledger", "verify", copy, folder=hosts.folder).code == 0


def test_a_target_that_takes_no_copy_is_told_and_the_import_stands(hosts: Hosts) -> None:
    (hosts.folder / "warehouse" / ".dray").mkdir(parents=True)
    (hosts.folder / "warehouse" / ".dray" / "ledger").touch()
    (hosts.folder / "warehouse" / ".dray" / "ledger").chmod(0)
    loaded = hosts.load("one", 7)
    assert loaded.code == 6, "it cannot be read either: that is no place for copies"


class Denied(FolderShelf):
    def names(self) -> list[str]:
        raise TargetError("no", case="denied")

    def write(self, name: str, data: bytes) -> None:
        raise TargetError(f"{name} is not taken")


def test_a_place_that_may_not_be_read_is_passed_over_and_told(tmp_path: Path) -> None:
    shelf = Denied(Tree(tmp_path))
    assert mirror.read([shelf]).unread == {shelf.label: "no"}
    ledger = Ledger.open(tmp_path / "state")
    ledger.append("note")
    assert list(mirror.write([shelf], ledger)) == [shelf.label]


@pytest.mark.parametrize("answers", [0, 1], ids=["before", "after all was sent"])
def test_nothing_becomes_visible_where_the_copies_do_not_answer(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    left = iter([None] * answers)

    def names(_self: FolderShelf) -> list[str]:
        if next(left, "gone"):
            raise TargetError("it has gone away")
        return []

    monkeypatch.setattr(FolderShelf, "names", names)
    failed = hosts.load("one", 7)
    assert failed.code == 6
    assert "it has gone away" in failed.err
    assert (hosts.folder / "warehouse/oci/index.json").exists() is False
    kinds = [one.kind for one in hosts.on("one").chain.entries]
    assert ("import-begun" in kinds) is bool(answers)


def test_more_files_than_there_can_be_hosts_are_refused(
    place: FolderShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importer.ledger.shelf.MOST", 2)
    for number in range(3):
        place.write(f"{number:032x}.json", b"")
    with pytest.raises(TargetError, match="holds 3 files of ledgers"):
        place.names()


def test_heads_are_checked_against_this_hosts_own_ledger_only(tmp_path: Path) -> None:
    one, two = Ledger.open(tmp_path / "1"), Ledger.open(tmp_path / "2")
    one.append("note")
    two.append("note")
    shelf = FolderShelf(Tree(tmp_path / "w"))
    mirror.write([shelf], one)
    mirror.read([shelf]).check(two)
    mirror.read([shelf]).check(one)
    head = one.head()
    (tmp_path / "1/ledger.head").unlink()
    (tmp_path / "1/ledger.jsonl").write_bytes(one.chain.entries[0].line + b"\n")
    with pytest.raises(NotTrusted, match=f"is number {head.number}"):
        mirror.read([shelf]).check(Ledger.open(tmp_path / "1"))
