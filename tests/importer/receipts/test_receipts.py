"""The receipt of an import: written, signed, listed, shown, verified; and every lie about it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import schemas
from bundle import instant
from bundle import trust as trusts
from bundle.digest import Digest
from bundle.receiptkeys import ReceiptKeys
from bundle.secretfile import Passphrase
from bundle.signature import PublicKey
from bundler import signing
from importer.ledger import entry as kinds
from importer.ledger.book import Ledger
from importer.load import Load
from importer.receipts import shelf
from tests import factory, keys
from tests.refusals.table import dray
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factory import Bundle
    from tests.refusals.table import Answer


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return factory.build(tmp_path / "medium")


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A high side of its own: state, settings and working folder."""
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bring(bundle: Bundle, *more: object) -> Answer:
    arguments = ("--trust", bundle.trust, "--to", "warehouse", bundle.folder, *more)
    return dray("import", "--json", *arguments, folder=Path.cwd())


def keygen() -> Path:
    done = dray("receipt", "keygen", "--no-passphrase", folder=Path.cwd())
    assert done.code == 0, done
    return Path("config/dray/receipt.pub").absolute()


def statement(path: Path) -> dict[str, Any]:
    envelope = json.loads(path.read_bytes())
    body: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return body


def run(*arguments: object) -> Answer:
    return dray("receipt", *arguments, folder=Path.cwd())


def test_it_says_what_was_verified_and_loaded_and_where(bundle: Bundle) -> None:
    assert bring(bundle, "--receipt", "out.json").code == 0
    body = statement(Path("out.json"))
    schemas.validate("receipt", body)
    told, manifest = body["predicate"], bundle.manifest
    assert told["bundle"]["manifest"] == str(Digest.of(bundle.path("manifest.json").read_bytes()))
    assert [one["name"] for one in told["verified"]["signers"]] == [factory.SIGNER]
    assert told["verified"]["trust"]["version"] == 1
    assert (told["verified"]["chunks"], told["complete"]) == (len(manifest.chunks), True)
    rows = {row["name"]: row for row in told["artifacts"]}
    assert {row["result"] for row in rows.values()} == {"loaded"}
    cuda = rows["nvcr.io/nvidia/cuda:12.6"]
    assert (cuda["target"], cuda["place"]) == (
        "warehouse",
        "oci:warehouse/oci:nvidia/cuda:12.6",
    )
    names = {one["name"]: one["digest"]["sha256"] for one in body["subject"]}
    assert names["nvcr.io/nvidia/cuda:12.6"] == cuda["root"].removeprefix("sha256:")
    assert {"user", "host", "dray"} <= set(told["by"])


def test_the_ledger_names_it_before_it_says_that_the_import_is_done(bundle: Bundle) -> None:
    assert bring(bundle).code == 0
    (path,) = shelf.listed()
    *_, begun, noted, done = Ledger.open().chain.entries
    assert [begun.kind, noted.kind, done.kind] == [kinds.BEGUN, kinds.RECEIPT, kinds.DONE]
    assert noted.text("receipt") == Digest.of(path.read_bytes())
    assert noted.body["signed"] is False


def test_a_second_import_finds_all_there_and_keeps_the_first_receipt(bundle: Bundle) -> None:
    assert bring(bundle).code == bring(bundle).code == 0
    one, two = shelf.listed()
    assert [one.name, two.name] == [f"prod-000001.receipt-000{number}.json" for number in (1, 2)]
    rows = statement(two)["predicate"]["artifacts"]
    assert {row["result"] for row in rows} == {"present"}


def test_what_was_not_asked_for_is_skipped(bundle: Bundle) -> None:
    assert bring(bundle, "--only", "image").code == 0
    told = statement(shelf.listed()[0])["predicate"]
    assert [row["result"] for row in told["artifacts"]] == ["loaded", "loaded", "skipped"]
    assert (told["policy"]["only"], told["complete"]) == (["image"], True)


def test_bytes_that_are_not_as_signed_are_withheld_and_told(bundle: Bundle) -> None:
    part = bundle.manifest.blob[next(iter(bundle.manifest.artifacts[0].contents)).digest].parts[0]
    path = bundle.chunk(part.chunk)
    data = bytearray(path.read_bytes())
    data[part.offset] ^= 1
    path.write_bytes(data)
    assert bring(bundle).code == 3
    told = statement(shelf.listed()[0])["predicate"]
    assert told["complete"] is False
    results = [row["result"] for row in told["artifacts"]]
    assert results[0] == "failed"
    assert set(results[1:]) == {"withheld"}
    assert "other bytes" in told["artifacts"][0]["error"]
    assert len(statement(shelf.listed()[0])["subject"]) == 1, "nothing was loaded"


def test_overrides_and_replaced_names_are_told(bundle: Bundle, tmp_path: Path) -> None:
    newer = factory.build(
        tmp_path / "newer", lambda kept: factory.sample(kept, seed="newer"), sequence=2
    )
    assert bring(newer).code == 0
    assert bring(bundle, "--allow-rollback", "the driver hangs").code == 0
    told = statement(shelf.listed()[0])["predicate"]
    assert told["policy"]["overrides"] == [{"rule": "replay", "reason": "the driver hangs"}]
    old = {artifact.name: artifact.root for artifact in newer.manifest.artifacts}
    for row in told["artifacts"]:
        assert [one["before"] for one in row["replaced"]] == [old[row["name"]]]


def test_it_is_signed_by_the_key_that_the_host_has(bundle: Bundle) -> None:
    pub = keygen()
    assert bring(bundle, "--receipt", "out.json").code == 0
    done = run("verify", "out.json", "--pub", pub)
    assert (done.code, "prod-000001 complete" in done.out) == (0, True), done
    assert Ledger.open().chain.entries[-2].body["signed"] is True


def test_the_trust_file_says_whose_receipts_count(bundle: Bundle) -> None:
    pub = keygen()
    assert bring(bundle, "--receipt", "out.json").code == 0
    done = run("verify", "out.json", "--trust", bundle.trust)
    assert (done.code, "names no key that signs receipts" in done.err) == (5, True), done
    made = trusts.load(bundle.trust)
    key = PublicKey.from_pem(pub.read_bytes())
    known = replace(made, receipts=ReceiptKeys({"berlin": key}))
    bundle.trust.write_bytes(known.to_bytes())
    assert run("verify", "out.json", "--trust", bundle.trust).code == 0
    assert "not verified" not in run("show", "out.json", "--trust", bundle.trust).out
    assert "names other keys" not in bring(bundle, "--allow-rollback", "edited by hand").err
    assert dray("receipt", "keygen", "--no-passphrase", "other", folder=Path.cwd()).code == 0
    done = bring(bundle, "--receipt", "out.json", "--receipt-key", "other/receipt.key")
    assert (done.code, "the trust file names other keys for receipts" in done.err) == (0, True)
    done = run("verify", "out.json", "--trust", bundle.trust)
    assert (done.code, "another key than berlin" in done.err) == (5, True), done


def test_openssl_checks_it(bundle: Bundle) -> None:
    pub = keygen()
    assert bring(bundle, "--receipt", "out.json").code == 0
    envelope = json.loads(Path("out.json").read_bytes())
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    Path("pae").write_bytes(b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(payload)))
    with Path("pae").open("ab") as file:
        file.write(payload)
    Path("sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command: list[str | Path] = [programs.require("openssl"), "dgst", "-sha256", "-verify", pub]
    done = subprocess.run([*command, "-signature", "sig", "pae"], capture_output=True, check=True)
    assert done.stdout == b"Verified OK\n"


def edited(change: Callable[[dict[str, Any]], object]) -> None:
    """Change what ``out.json`` says, and leave its signature."""
    envelope = json.loads(Path("out.json").read_bytes())
    body = json.loads(base64.b64decode(envelope["payload"]))
    change(body)
    envelope["payload"] = base64.b64encode(json.dumps(body).encode()).decode()
    Path("out.json").write_text(json.dumps(envelope))


def unsign(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "signatures": []}))


LIES: dict[str, tuple[Callable[[], object], str]] = {
    "edited": (lambda: edited(lambda b: b["predicate"].update(complete=True)), "was changed"),
    "unsigned": (lambda: unsign(Path("out.json")), "is not signed"),
    "no JSON": (lambda: Path("out.json").write_text("{"), "is not strict JSON"),
    "another type": (
        lambda: Path("out.json").write_text(
            Path("out.json").read_text().replace("vnd.in-toto", "vnd.dray.manifest.v1")
        ),
        "payloadType",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_receipt_that_nobody_signed_so_is_refused(bundle: Bundle, lie: str) -> None:
    pub = keygen()
    assert bring(bundle, "--receipt", "out.json").code == 0
    tell, message = LIES[lie]
    tell()
    done = run("verify", "out.json", "--pub", pub)
    assert (done.code, message in done.err) == (5, True), done


def test_a_receipt_by_another_key_is_refused(bundle: Bundle) -> None:
    keygen()
    assert bring(bundle, "--receipt", "out.json").code == 0
    assert dray("receipt", "keygen", "--no-passphrase", "other", folder=Path.cwd()).code == 0
    done = run("verify", "out.json", "--pub", "other/receipt.pub")
    assert (done.code, "another key than other/receipt.pub" in done.err) == (5, True), done


def test_a_receipt_that_was_changed_on_this_host_is_found(bundle: Bundle) -> None:
    assert bring(bundle).code == 0
    (path,) = shelf.listed()
    assert run("list").code == 0
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n", 1))
    done = run("list")
    assert (done.code, "NOT IN THE LEDGER" in done.out) == (3, True), done


def test_killed_before_the_ledger_had_it_leaves_an_import_that_has_not_ended(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt lies there, nothing names it; the next run writes it anew."""
    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr("importer.admission.Admission.note_receipt", _kill)
        bring(bundle)
    assert Ledger.open().standings().of("prod").unfinished == "prod-000001"
    assert bring(bundle).code == 0
    assert Ledger.open().standings().of("prod").unfinished == ""
    (path,) = shelf.listed()
    assert str(Digest.of(path.read_bytes())) in Ledger.open().receipts()
    assert run("list").code == 0


def test_a_receipt_of_a_ledger_that_was_set_aside_is_not_written_over(bundle: Bundle) -> None:
    assert bring(bundle).code == 0
    (old,) = shelf.listed()
    data = old.read_bytes()
    os.utime(old, (0, 0))
    Ledger.open().restart("moved")
    assert bring(bundle).code == 0
    assert [path.read_bytes() == data for path in shelf.listed()] == [True, False]


def test_an_import_that_was_interrupted_has_no_receipt(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(Load, "run", _kill)
        bring(bundle)
    assert shelf.listed() == []


def test_a_key_that_signs_bundles_signs_no_receipt(tmp_path: Path) -> None:
    signing.generate(tmp_path, "alice", passphrase=None)
    alice, _warning = signing.load(tmp_path / "alice.key", passphrase=Passphrase())
    bundle = factory.build(tmp_path / "hers", signers=[alice])
    bundle.trust.write_bytes(keys.trust(alice, expires=instant.now() + factory.YEAR).to_bytes())
    done = bring(bundle, "--receipt-key", "alice.key")
    assert (done.code, "it signs bundles, and so no receipts" in done.out) == (2, True), done
    assert not Path("warehouse").exists()


def test_a_passphrase_protects_the_key(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_RECEIPT_PASSPHRASE", "correct horse")
    assert dray("receipt", "keygen", folder=Path.cwd()).code == 0
    assert b"ENCRYPTED" in Path("config/dray/receipt.key").read_bytes()
    assert bring(bundle, "--receipt", "out.json").code == 0
    assert run("verify", "out.json", "--pub", "config/dray/receipt.pub").code == 0
    monkeypatch.setenv("DRAY_RECEIPT_PASSPHRASE", "wrong")
    done = bring(bundle)
    assert (done.code, "wrong passphrase" in done.out) == (2, True), done


def test_a_key_is_never_overwritten(bundle: Bundle) -> None:
    keygen()
    done = dray("receipt", "keygen", "--no-passphrase", folder=Path.cwd())
    assert (done.code, "exists already" in done.err) == (2, True), done


class _Killed(BaseException):
    pass


def _kill(*_arguments: object, **_named: object) -> None:
    raise _Killed
