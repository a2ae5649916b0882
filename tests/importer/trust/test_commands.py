"""The trust file's life on both sides, by its commands."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from bundle import trust, trustchain
from bundle.trustchain import file_name
from importer.ledger.book import Ledger
from tests import factory
from tests.refusals.table import Answer, dray, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.trust import Trust

PEOPLE = ("alice", "bob", "carol")


class Desk:
    """A low side with three people, and a high side with their first trust file."""

    def __init__(self, root: Path) -> None:
        self.low, self.high = root / "low", root / "high"
        self.high.mkdir()
        for name in PEOPLE:
            self.on_low("keygen", "--name", name, "--no-passphrase")
        keys = [word for name in PEOPLE for word in ("--key", f"{name}.pub")]
        self.next("init", *keys, "--stream", "prod", "--root-threshold", "2")
        shutil.copy(self.low / "trust.json", self.high)

    def on_low(self, *words: object, code: int = 0) -> Answer:
        self.low.mkdir(exist_ok=True)
        answer = dray(*words, folder=self.low)
        assert answer.code == code, answer
        return answer

    def next(self, *words: object, code: int = 0) -> Answer:
        return self.on_low("trust", *words, code=code)

    def sign(self, *names: str) -> Answer:
        return [self.next("sign", "--key", f"{name}.key") for name in names][-1]

    def on_high(self, *words: object, code: int = 0) -> Answer:
        answer = dray("trust", *words, folder=self.high)
        assert answer.code == code, answer
        return answer

    def current(self, side: str = "high") -> Trust:
        return trust.load((self.high if side == "high" else self.low) / "trust.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("desk")
    Desk(root)
    return root


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    shutil.copytree(made, tmp_path / "desk")
    found = Desk.__new__(Desk)
    found.low, found.high = tmp_path / "desk/low", tmp_path / "desk/high"
    return found


def test_a_version_is_in_use_when_the_last_who_must_has_signed(desk: Desk) -> None:
    desk.next("threshold", "2", "--stream", "prod")
    assert "1 missing, signed by alice" in desk.sign("alice").out
    assert desk.current("low").version == 1
    assert "is version 2 now" in desk.sign("bob").out
    assert desk.current("low").streams["prod"].threshold == 2
    assert (desk.low / file_name(1)).read_bytes() == (desk.high / "trust.json").read_bytes()


def test_keys_for_receipts_stand_apart_from_those_that_sign(desk: Desk) -> None:
    for site in ("berlin", "tokyo"):
        desk.on_low("receipt", "keygen", site, "--no-passphrase")
    added = desk.next("add", "berlin/receipt.pub", "--receipts", "--name", "berlin")
    assert "+ receipts berlin  " in added.out
    again = desk.next("add", "berlin/receipt.pub", "--receipts", "--name", "b", code=2)
    assert "'berlin' is a key for receipts in the trust file already" in again.err
    taken = desk.next("add", "berlin/receipt.pub", "--name", "b", "--stream", "prod", code=2)
    assert "is a key that signs receipts, and so nothing else" in taken.err
    taken = desk.next("add", "alice.pub", "--receipts", code=2)
    assert "is a key that signs bundles or the trust file, and so no receipts" in taken.err
    both = desk.next("add", "tokyo/receipt.pub", "--receipts", "--stream", "prod", code=2)
    assert "or --receipts alone" in both.err
    desk.next("add", "tokyo/receipt.pub", "--receipts", "--name", "tokyo-2", "--person", "tokyo")
    desk.sign("alice", "bob")
    shown = desk.on_high("show", desk.low / "trust.json").out
    assert "receipts berlin\n" in shown
    assert "receipts tokyo-2 of tokyo\n" in shown
    assert "- receipts berlin\n" in desk.next("revoke", "berlin").out
    desk.sign("alice", "carol")
    assert desk.current("low").version == 3
    assert list(desk.current("low").receipts.keys) == ["tokyo-2"]
    desk.on_high("apply", desk.low)
    assert desk.current().receipts.sites == {"tokyo-2": "tokyo"}


def test_only_who_signed_is_named_whatever_a_medium_calls_its_files(desk: Desk) -> None:
    desk.next("renew")
    desk.sign("alice", "bob")
    signed = desk.low / f"{file_name(2)}.alice.sigstore.json"
    for name in ("carol", "the-minister"):
        shutil.copy(signed, signed.with_name(f"{file_name(2)}.{name}.sigstore.json"))
    assert "version 2, signed by alice, bob\n" in desk.on_high("apply", desk.low).out
    assert Ledger.open().chain.entries[-1].body["signers"] == ["alice", "bob"]


def test_people_sign_on_their_own_machines(desk: Desk, tmp_path: Path) -> None:
    desk.next("renew")
    desk.sign("alice")
    theirs = tmp_path / "theirs"
    shutil.copytree(desk.low, theirs)
    assert dray("trust", "sign", "--key", "bob.key", folder=theirs).code == 0
    for file in theirs.glob("*.bob.*"):
        shutil.copy(file, desk.low)
    assert desk.current("low").version == 1
    desk.next("sign")
    assert desk.current("low").version == 2


def test_a_change_after_a_signature_makes_it_void(desk: Desk) -> None:
    desk.next("renew")
    desk.sign("alice")
    assert "the signature of alice is void" in desk.next("revoke", "carol").out
    assert not list(desk.low.glob("*.alice.sig*"))
    desk.sign("alice", "bob")
    assert list(desk.current("low").keys) == ["alice", "bob"]


def test_edits_add_up_and_keep_what_they_do_not_name(desk: Desk) -> None:
    desk.on_low("keygen", "--name", "dora", "--no-passphrase")
    add = ("add", "dora.pub", "--stream", "new:builder", "--person", "bob")
    desk.next(*add)
    desk.next("add", "carol.pub", "--stream", "new:releaser", "--expires", "30d")
    desk.next("epoch", "prod")
    desk.sign("alice", "bob")
    after = desk.current("low")
    assert [role.name for role in after.streams["new"].roles] == ["builder", "releaser"]
    assert after.people["dora"] == "bob"
    assert after.streams["prod"].epoch == 1
    assert after.streams["prod"].keys == PEOPLE
    before = desk.current().expires
    assert after.expires is not None
    assert before is not None
    assert (after.expires - before).days < -300


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "alice.pub"), "sign for what?"),
        (("add", "alice.pub", "--name", "other", "--root"), "is in the trust file already, as"),
        (("add", "bob.pub", "--name", "alice", "--root"), "as 'bob'"),
        (("add", "alice.key", "--root"), "is a private key, not a public one"),
        (("add", "none.pub", "--root"), "cannot be read"),
        (("revoke", "eve"), "'eve' is no key of the trust file"),
        (("revoke", "alice", "--stream", "none"), "has no stream 'none'"),
        (("revoke", "alice", "--stream", "prod:boss"), "has no prod:boss"),
        (("threshold", "4", "--stream", "prod"), "is 4, but there are 3 keys"),
        (("threshold", "2"), "sign for what?"),
        (("epoch", "none"), "has no stream 'none'"),
        (("renew", "--expires", "soon"), "not a span of days"),
        (("sign", "--key", "alice.key"), "there is no"),
        (("init", "--key", "alice.pub", "--stream", "prod"), "is there already"),
        (("init", "other.json", "--key", "alice.pub", "--stream", "A"), "is not allowed: 'A'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    desk: Desk, words: tuple[str, ...], says: str
) -> None:
    before = snapshot(desk.low)
    answer = desk.next(*words, code=2)
    assert says in answer.err
    assert "Traceback" not in answer.text
    assert snapshot(desk.low) == before


def test_a_key_that_does_not_count_does_not_sign(desk: Desk) -> None:
    desk.on_low("keygen", "--name", "eve", "--no-passphrase")
    desk.next("renew")
    assert "is no root key" in desk.next("sign", "--key", "eve.key", code=2).err
    assert not list(desk.low.glob("*.eve.sig*"))


def test_the_high_side_applies_what_is_signed_and_puts_it_on_record(desk: Desk) -> None:
    desk.next("revoke", "carol")
    desk.sign("alice", "bob")
    desk.next("renew")
    desk.sign("alice", "bob")
    said: dict[str, Any] = json.loads(desk.on_high("apply", desk.low, "--json").out)
    assert (said["version"], said["applied"]) == (3, [2, 3])
    assert desk.current().version == 3
    entry = Ledger.open().chain.entries[-1]
    assert entry.text("change") == "applied"
    assert (entry.body["before"], entry.body["version"]) == (1, 3)
    assert entry.body["trust"] == desk.current().digest
    assert "nothing newer is there" in desk.on_high("apply", desk.low).out
    shown = json.loads(desk.on_high("show", "--json").out)
    assert [row["version"] for row in shown["history"]] == [2, 1]


def test_an_unfinished_version_is_not_applied(desk: Desk) -> None:
    desk.next("renew")
    desk.sign("alice")
    before = snapshot(desk.high)
    refused = desk.on_high("apply", desk.low, code=5)
    assert "needs 2 signatures" in refused.err
    assert "dray trust sign" in refused.err
    assert snapshot(desk.high) == before
    assert Ledger.open().chain.entries == ()


def test_a_version_that_has_expired_is_not_taken_into_use(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.next("renew", "--expires", "1d")
    desk.sign("alice", "bob")
    from bundle import instant

    late = desk.current("low").expires
    assert late is not None
    monkeypatch.setattr(instant, "now", lambda: late)
    assert "expired" in desk.on_high("apply", desk.low, code=5).err
    assert desk.current().version == 1


def test_a_folder_without_a_version_is_said(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = desk.on_high("apply", tmp_path / "empty", code=2)
    assert "no signed version of a trust file" in answer.err
    assert "dray trust replace" in answer.err


def test_an_older_trust_file_is_refused_after_a_newer_was_applied(desk: Desk) -> None:
    old = (desk.high / "trust.json").read_bytes()
    desk.next("renew")
    desk.sign("alice", "bob")
    desk.on_high("apply", desk.low)
    mark = Ledger.open().standings().of("prod").trust
    assert mark is not None
    assert mark.version == 2
    (desk.high / "trust.json").write_bytes(old)
    assert desk.current().version == 1


@pytest.fixture
def anew(desk: Desk) -> Path:
    desk.on_low("keygen", "--name", "dora", "--no-passphrase")
    words = ("anew.json", "--key", "dora.pub", "--stream", "prod", "--version", "2")
    desk.next("init", *words)
    return desk.low / "anew.json"


def replacing(path: Path, digits: str | None = None, reason: str = "fire") -> tuple[object, ...]:
    digest = trust.load(path).digest
    assert digest is not None
    heard = digest.hex[:20] if digits is None else digits
    return ("replace", path, "--reason", reason, "--expect-fingerprint", heard)


def test_lost_root_keys_are_replaced_by_hand_and_on_record(desk: Desk, anew: Path) -> None:
    desk.on_high(*replacing(anew))
    assert list(desk.current().keys) == ["dora"]
    entry = Ledger.open().chain.entries[-1]
    assert (entry.text("change"), entry.text("reason")) == ("replaced", "fire")
    assert entry.body["before"] == 1
    assert (desk.high / file_name(1)).exists()


def test_a_fingerprint_is_taken_as_people_write_it(desk: Desk, anew: Path) -> None:
    digest = trust.load(anew).digest
    assert digest is not None
    grouped = " ".join(digest.hex[n : n + 4].upper() for n in range(0, 64, 4))
    desk.on_high(*replacing(anew, f"{grouped}"))
    assert desk.current().version == 2


@pytest.mark.parametrize(
    ("digits", "reason", "code", "says"),
    [
        ("0" * 20, "fire", 5, "which is not what you expect"),
        ("0123456789", "fire", 2, "has to be 20 hex digits at least"),
        ("", "fire", 2, "has to be 20 hex digits at least"),
        ("g" * 20, "fire", 2, "has to be 20 hex digits"),
        (None, "  ", 2, "--reason is empty"),
    ],
)
def test_a_replacement_wants_the_right_fingerprint_and_a_reason(
    desk: Desk, anew: Path, digits: str | None, reason: str, code: int, says: str
) -> None:
    before = snapshot(desk.high)
    assert says in desk.on_high(*replacing(anew, digits, reason), code=code).err
    assert snapshot(desk.high) == before
    assert Ledger.open().chain.entries == ()


def test_a_replacement_has_a_higher_version(desk: Desk) -> None:
    answer = desk.on_high(*replacing(desk.low / "trust.json"), code=5)
    assert "is version 1, and version 1 is in use" in answer.err
    assert "dray trust init --version 2" in answer.err


def test_a_replacement_that_would_make_every_bundle_a_replay_is_refused(desk: Desk) -> None:
    desk.next("epoch", "prod")
    desk.sign("alice", "bob")
    desk.on_high("apply", desk.low)
    words = ("--key", "bob.pub", "--stream", "prod", "--version", "3")
    desk.next("init", "low.json", *words)
    answer = desk.on_high(*replacing(desk.low / "low.json"), code=5)
    assert "gives prod epoch 0, and epoch 1 is in use here" in answer.err
    assert "dray trust init --version 3 --epoch 2" in answer.err
    desk.next("init", "new.json", *words, "--epoch", "2")
    desk.on_high(*replacing(desk.low / "new.json"))
    assert desk.current().streams["prod"].epoch == 2


def test_a_medium_says_that_it_carries_a_newer_version(desk: Desk, tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "b")
    trusted = bundle.trust.read_bytes()
    chain = bundle.path(trustchain.ENDING)
    verify = ("verify", "--quick", "--trust", bundle.trust, bundle.folder)

    chain.write_bytes(trustchain.to_bytes([trustchain.Version(2, b"{}", {})]))
    said = dray(*verify, folder=tmp_path)
    assert "carries a trust file that is not accepted" in said.err
    chain.write_bytes(b"{")
    assert "is not strict JSON" in dray(*verify, folder=tmp_path).err
    chain.write_bytes(trustchain.to_bytes([trustchain.Version(1, b"{}", {})]))
    assert "carries" not in dray(*verify, folder=tmp_path).err
    assert bundle.trust.read_bytes() == trusted
