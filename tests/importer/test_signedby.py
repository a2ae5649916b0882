"""The high side's own policy: from the bundle alone, whatever the low side recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.receipt import unproved
from bundle.upstream.record import Proof, Record
from bundler.lock import LockedContent
from fixtures import signatures
from fixtures.content import Graph, blob
from importer.ledger.book import Ledger
from tests import factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.lock import LockedArtifact
    from tests.factory import Bundle, Contents

CUDA = "nvcr.io/nvidia/cuda:12.6"
TORCH = "nvcr.io/nvidia/pytorch:24.12"
VENDOR = signatures.signing_key("vendor")


def graph_of(kept: Contents, locked: LockedArtifact) -> Graph:
    root = next(c for c in locked.contents if c.content.digest == locked.artifact.root)
    return Graph(blob(kept[root.content.digest], root.content.media_type))


def with_signature(kept: Contents, locked: LockedArtifact, signature: Graph) -> LockedArtifact:
    """Return the image with a referrer that signs it, or does not."""
    from bundle.artifact import Content

    contents = list(locked.contents)
    for item in (*signature.blobs, signature.manifest):
        digest = kept.add(item.read())
        if any(content.content.digest == digest for content in contents):
            continue
        manifest = item is signature.manifest
        role, subject = ("manifest", locked.artifact.root) if manifest else ("layer", None)
        made = Content(role, item.media_type, digest, item.size, subject=subject)
        contents.append(LockedContent(made))
    plain = tuple(item.content for item in contents)
    artifact = replace(locked.artifact, contents=plain)
    return replace(locked, artifact=artifact, contents=tuple(contents))


def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return a signed image; one with a signature of the first; both are said to be verified."""
    cuda = factory.image(kept, CUDA, [b"cuda"])
    torch = factory.image(kept, TORCH, [b"torch"])
    signed = signatures.bundle_signature(graph_of(kept, cuda), VENDOR)
    found = []
    for one in (cuda, torch):
        proof = Proof("cosign", "vendor", f"sha256:{'0' * 64}", one.artifact.root)
        record = Record("verified", (proof,))
        said = replace(one, artifact=replace(one.artifact, upstream=record))
        found.append(with_signature(kept, said, signed))
    return tuple(found)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return factory.build(tmp_path / "media", artifacts)


def policy(folder: Path, match: str = CUDA, *, key: str = "vendor") -> Path:
    pem = signatures.public_pem(signatures.signing_key(key))
    (folder / "vendor.pub").write_bytes(pem)
    path = folder / "policy.yaml"
    path.write_text(
        "apiVersion: dray/v1\nkind: Policy\n"
        "signing-keys: [{name: vendor, file: vendor.pub}]\n"
        f"require-signature: ['{match}']\n"
    )
    return path


def test_what_is_signed_is_shown(bundle: Bundle, tmp_path: Path) -> None:
    arguments = ("verify", "--trust", bundle.trust, "--policy", policy(tmp_path), bundle.folder)
    answer = dray(*arguments, folder=tmp_path)
    assert answer.code == 0, answer
    assert f"{CUDA}: signed by vendor (sha256:" in answer.out
    assert "policy: 1 of 1 artifact signed as required; 1 not asked for" in answer.out
    document = json.loads(dray(*arguments, "--json", folder=tmp_path).out)
    rows = {row["artifact"]: row for row in document["policy"]["artifacts"]}
    assert rows[CUDA]["result"] == "verified"
    assert rows[CUDA]["by"][0]["fingerprint"] != f"sha256:{'0' * 64}", "of the key given here"
    assert rows[TORCH]["result"] == "unchecked"


def beside_notes(state: Path) -> dict[Path, bytes]:
    """What the host remembers, but for the notes for people that ``dray status`` shows."""
    files = (path for path in state.rglob("*") if path.is_file() and path.parent.name != "seen")
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize("way", ["verify", "import"])
def test_what_the_low_side_recorded_is_not_believed(
    bundle: Bundle, tmp_path: Path, isolated: Path, way: str
) -> None:
    target, made = tmp_path / "warehouse", policy(tmp_path, "*")
    to = ("--to", target) if way == "import" else ()
    before = beside_notes(isolated)
    answer = dray(
        way, "--trust", bundle.trust, "--policy", made, *to, bundle.folder, folder=tmp_path
    )
    assert answer.code == 7, answer
    assert "1 of 2 artifacts is not signed as" in answer.err
    assert f"{TORCH}\n    its referrer sha256:" in answer.err
    assert not target.exists()
    if way == "verify":
        assert beside_notes(isolated) == before


def test_the_ledger_and_the_receipt_say_what_the_policy_said(
    bundle: Bundle, tmp_path: Path
) -> None:
    made, out = policy(tmp_path, "*"), tmp_path / "out.json"
    common = ("import", "--trust", bundle.trust, "--policy", made, "--to", tmp_path / "warehouse")
    answer = dray(*common, "--receipt", out, bundle.folder, folder=tmp_path)
    assert answer.code == 7, answer
    told = unproved(out.read_bytes(), what="it").receipt
    assert (told.outcome, told.ending.rule if told.ending else "") == ("refused", "policy")
    (said,) = [told.publishers] if told.publishers else []
    assert (said.file, said.digest) == (made.name, Digest.of(made.read_bytes()))
    rows = {one.artifact: one for one in said.judgements}
    assert (rows[CUDA].record.result, rows[CUDA].record.proofs[0].key) == ("verified", "vendor")
    assert rows[TORCH].faults
    *_, noted, refused, receipt = Ledger.open().chain.entries
    assert [noted.kind, refused.kind, receipt.kind] == ["policy", "refused", "receipt"]
    assert (noted.body["required"], noted.body["unsigned"]) == (2, [TORCH])
    assert noted.text("policy") == said.digest

    answer = dray(*common[:4], policy(tmp_path), *common[5:], bundle.folder, folder=tmp_path)
    assert answer.code == 0, answer
    kinds = [entry.kind for entry in Ledger.open().chain.entries]
    assert kinds[-4:] == ["policy", "import-begun", "receipt", "import-done"]
    shown = dray("receipt", "show", out, folder=tmp_path)
    assert "policy policy.yaml" in shown.out, shown
    assert "1 of 2 artifacts signed as required" in shown.out


def test_another_key_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    made = policy(tmp_path, key="other")
    answer = dray(
        "verify", "--trust", bundle.trust, "--policy", made, bundle.folder, folder=tmp_path
    )
    assert answer.code == 7
    assert "is made by another key than vendor" in answer.err


def test_only_what_is_imported_must_be_signed(bundle: Bundle, tmp_path: Path) -> None:
    made = policy(tmp_path, "*")
    answer = dray(
        *("import", "--trust", bundle.trust, "--policy", made, "--only", "model"),
        *("--to", tmp_path / "warehouse", bundle.folder),
        folder=tmp_path,
    )
    assert answer.code == 0, answer
    assert "nothing here is called *" in answer.err


def test_the_gates_of_a_policy_refuse_what_has_no_report(bundle: Bundle, tmp_path: Path) -> None:
    made = policy(tmp_path)
    made.write_text(made.read_text() + "max-severity: high\n")
    answer = dray(
        "verify", "--trust", bundle.trust, "--policy", made, bundle.folder, folder=tmp_path
    )
    assert answer.code == 7
    assert f"  {CUDA}\n    severity: no report\n" in answer.err
    assert f"  {TORCH}\n    severity: no report\n" in answer.err
    loaded = dray(
        "import", "--trust", bundle.trust, "--policy", made, bundle.folder, folder=tmp_path
    )
    assert loaded.code == 7
    assert not (tmp_path / "warehouse").exists()


def test_in_a_quarantine_the_gates_are_asked_later(bundle: Bundle, tmp_path: Path) -> None:
    made = policy(tmp_path)
    made.write_text(made.read_text() + "max-severity: high\n")
    asked = ("import", "--trust", bundle.trust, "--policy", made, bundle.folder)
    done = dray(*asked, "--quarantine", "quarantine", folder=tmp_path)
    assert done.code == 0, done
    assert "-> oci:warehouse/oci:quarantine/nvidia/cuda:12.6" in done.out
    wrong = policy(tmp_path, TORCH)
    assert dray(*asked[:4], wrong, bundle.folder, "--quarantine", "q", folder=tmp_path).code == 7


def test_a_signature_that_was_damaged_on_the_way_is_found_as_damage(
    bundle: Bundle, tmp_path: Path
) -> None:
    """Never as a missing signature: the bytes are checked before anybody judges them."""
    signature = next(
        content
        for artifact in bundle.manifest.artifacts
        for content in artifact.contents
        if content.media_type == signatures.SIGSTORE
    )
    part = bundle.manifest.blob[Digest(signature.digest)].parts[0]
    path = bundle.chunk(part.chunk)
    data = bytearray(path.read_bytes())
    data[part.offset + 5] ^= 1
    path.write_bytes(data)
    made = policy(tmp_path)
    for more in ((), ("--quick",)):
        answer = dray(
            *("verify", *more, "--trust", bundle.trust, "--policy", made, bundle.folder),
            folder=tmp_path,
        )
        assert answer.code == 3, answer
