"""Reports, VEX and SBOMs that artifacts carry are found, whichever way they are attached."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

from bundle.artifact import Content
from bundle.gate import carried
from fixtures import reports
from fixtures.reports import Flaw, openvex, statement
from tests.bundle.gate.made import Store


def store() -> Store:
    return Store()


def attested(document: Any, kind: str, about: str) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "x", "digest": {"sha256": about.removeprefix("sha256:")}}],
        "predicateType": kind,
        "predicate": document,
    }


def envelope(statement: dict[str, Any]) -> dict[str, Any]:
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    return {"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []}


def test_each_document_is_taken_for_what_it_is() -> None:
    kept = store()
    image = kept.carrying(
        kept.image(),
        reports.trivy(Flaw("CVE-2026-1")),
        reports.cyclonedx(Flaw("CVE-2026-2")),
        openvex(statement("CVE-2026-1", "nvcr.io/nvidia/cuda")),
        reports.spdx(("a", "MIT")),
        {"something": "else"},
    )
    found = carried.find(image, kept.read)
    assert [one.report.form for one in found.reports] == ["trivy", "cyclonedx"]
    assert {one.subjects for one in found.reports} == {frozenset({str(image.root)})}
    assert [one.only for one in found.vex] == [image.name]
    assert [one.expression for one in found.licenses] == ["Apache-2.0", "MIT"]
    assert not found.faults


def test_a_statement_in_an_envelope_is_opened_and_says_what_it_is_about() -> None:
    kept = store()
    plain = kept.image("nvcr.io/nvidia/two:1", "linux/amd64", "linux/arm64")
    arm = str(plain.contents[1].digest)
    document = attested(reports.trivy(Flaw("CVE-2026-1")), "https://example.com/trivy", arm)
    bundle = {"mediaType": "x", "dsseEnvelope": envelope(document)}
    vuln = {"scanner": {"uri": "trivy", "result": reports.grype()}, "metadata": {"x": "y"}}
    image = kept.carrying(
        plain,
        document,
        envelope(document),
        bundle,
        envelope(attested(vuln, "https://cosign.sigstore.dev/attestation/vuln/v1", arm)),
        envelope(attested({"Data": reports.cyclonedx()}, "https://cyclonedx.org/bom", arm)),
    )
    found = carried.find(image, kept.read)
    assert [one.report.form for one in found.reports] == ["trivy", "trivy", "trivy", "grype"]
    assert {one.subjects for one in found.reports} == {frozenset({arm})}
    assert len(found.licenses) == 1


def test_what_cannot_be_read_is_a_fault_and_not_passed_over() -> None:
    kept = store()
    broken = envelope({}) | {"payload": "%"}
    image = kept.carrying(kept.image(), b"no JSON", {**reports.trivy(), "Results": 1}, broken)
    found = carried.find(image, kept.read)
    assert len(found.faults) == 3
    assert "is no JSON that can be read" in found.faults[0]
    assert "Results is no list" in found.faults[1]
    assert "payload is not base64" in found.faults[2]
    huge = replace(image.contents[1], size=1 << 30)
    heavy = replace(image, contents=(image.contents[0], huge, *image.contents[2:]))
    assert "is larger than" in carried.find(heavy, kept.read).faults[0]


def test_cosigns_tags_and_attestations_in_an_index_are_looked_at() -> None:
    kept = store()
    plain = kept.image("nvcr.io/nvidia/two:1", "linux/amd64", "unknown/unknown")
    amd = plain.contents[0]
    image = kept.carrying(plain, reports.trivy())
    manifest = image.contents[-1]
    tag = f"sha256-{amd.digest.hex}.att"
    tagged = replace(manifest, subject=None, tags=(tag,))
    image = replace(image, contents=(*image.contents[:-1], tagged))
    found = carried.find(image, kept.read)
    assert [one.subjects for one in found.reports] == [frozenset({str(amd.digest)})]
    assert carried.machines(image) == [amd]
    attestation = replace(manifest, subject=None, platform="unknown/unknown")
    image = replace(image, contents=(*image.contents[:-1], attestation))
    assert len(carried.find(image, kept.read).reports) == 1


def test_only_so_many_documents_are_read() -> None:
    kept = store()
    image = kept.carrying(kept.image(), *({"n": n} for n in range(carried.MOST + 1)))
    assert carried.find(image, kept.read).faults == ["it carries more than 256 documents"]


def test_a_chart_and_an_image_say_their_own_licence() -> None:
    kept = store()
    config = json.dumps({"annotations": {"artifacthub.io/license": "Apache-2.0"}}).encode()
    row = Content(
        "config", "application/vnd.cncf.helm.config.v1+json", kept.keep(config), len(config)
    )
    root = json.dumps({"annotations": {"org.opencontainers.image.licenses": "MIT"}}).encode()
    top = Content("manifest", "application/x", kept.keep(root), len(root))
    made = replace(kept.image(), root=top.digest, contents=(row, top))
    found = carried.find(made, kept.read)
    assert [one.expression for one in found.licenses] == ["Apache-2.0", "MIT"]
