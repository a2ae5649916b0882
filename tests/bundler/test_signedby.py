"""A spec's policy when its lock is made: everything real but NGC, which is emulated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle.upstream.keys import RawKey
from bundler.lock import load
from fixtures import charts, signatures
from fixtures.content import Held
from fixtures.ngc import CITRINET
from tests.e2e.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import Catalogue, EmulatedNgc

CUDA = "nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04"
TORCH = "nvcr.io/nvidia/pytorch:25.03-py3"
UNSIGNED = "nvcr.io/nvidia/pytorch:24.12-py3"
HELM = "helm.ngc.nvidia.com/nvidia/gpu-operator:v25.3.0"
MODEL = f"ngc/{CITRINET}:deployable_v2.0.0"


def fingerprint(seed: str) -> str:
    pem = signatures.public_pem(signatures.signing_key(seed))
    return RawKey.from_pem(seed, pem, what=seed).fingerprint


PINNED = f'{{name: containers, ngc: containers, fingerprint: "{fingerprint("ngc-containers")}"}}'
MODELS = f'{{name: models, ngc: models, fingerprint: "{fingerprint("ngc-models")}"}}'
CHARTS = f"{{name: charts, pgp: charts.asc, fingerprint: {charts.PUBLISHER.fingerprint}}}"


@pytest.fixture
def desk(tmp_path: Path, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch) -> LowSide:
    monkeypatch.setenv("NGC_API_KEY", ngc.catalogue.keys["entitled"].secret)
    (tmp_path / "charts.asc").write_bytes(charts.PUBLISHER.armored)
    other = signatures.public_pem(signatures.signing_key("other"))
    (tmp_path / "other.pub").write_bytes(other)
    rows = [
        f'  "{host}": {{endpoint: "{entry["endpoint"]}", ca: "{entry["ca"]}"}}\n'
        for host, entry in ngc.registries.items()
    ]
    return LowSide(Desk(tmp_path), "registries:\n" + "".join(rows))


class LowSide:
    """A desk whose specs lead to the emulated NGC."""

    def __init__(self, desk: Desk, registries: str) -> None:
        self.desk, self.registries = desk, registries
        self.lock = desk.folder / "dray.lock.yaml"

    def spec(self, *images: str, keys: str = PINNED, rules: str = "'*'", more: str = "") -> None:
        (self.desk.folder / "dray.yaml").write_text(
            f"apiVersion: dray/v1\nstream: prod\nimages: [{', '.join(images)}]\n{more}"
            f"policy: {{signing-keys: [{keys}], require-signature: [{rules}]}}\n{self.registries}"
        )

    def refused(self, code: int) -> str:
        done = self.desk.dray("lock", "dray.yaml", code=code)
        assert not self.lock.exists(), "nothing is written that the policy refuses"
        return done.err


ALL = (
    "charts: [{repo: https://helm.ngc.nvidia.com/nvidia, name: gpu-operator, version: v25.3.0}]\n"
    f"models: [{{ngc: {CITRINET}:deployable_v2.0.0}}]\n"
)


def test_every_kind_of_signature_is_verified_and_recorded(desk: LowSide) -> None:
    desk.spec(CUDA, TORCH, keys=f"{PINNED}, {MODELS}, {CHARTS}", more=ALL)
    done = desk.desk.dray("lock", "dray.yaml")
    found = {one.artifact.name: one.artifact for one in load(desk.lock).artifacts}
    records = {name: artifact.upstream for name, artifact in found.items()}
    assert all(record and record.result == "verified" for record in records.values())
    proofs = {name: record.proofs[0] for name, record in records.items() if record}
    assert {name: (proof.method, proof.key) for name, proof in proofs.items()} == {
        CUDA: ("cosign", "containers"),
        TORCH: ("cosign", "containers"),
        HELM: ("prov", "charts"),
        MODEL: ("oms", "models"),
    }
    # Of an image for one platform the index is signed, and left behind; of the other, the image.
    assert str(proofs[CUDA].over) in found[CUDA].notes["index"]
    assert proofs[TORCH].over == found[TORCH].root
    assert proofs[CUDA].reference == "nvcr.io/nvidia/cuda"
    assert "cosign, by its index sha256:" in done.out


def test_an_index_that_is_carried_is_signed_itself(desk: LowSide) -> None:
    desk.spec(CUDA, more="platforms: all\n")
    desk.desk.dray("lock", "dray.yaml")
    [one] = load(desk.lock).artifacts
    assert one.artifact.upstream
    assert one.artifact.upstream.proofs[0].over == one.artifact.root


def test_what_is_not_signed_is_refused_and_all_of_it_is_told(desk: LowSide) -> None:
    desk.spec(UNSIGNED, TORCH, CUDA, keys="{name: other, file: other.pub}")
    said = desk.refused(7)
    assert "3 of 3 artifacts are not signed as dray.yaml requires" in said
    assert f"{UNSIGNED}\n    unsigned: its publisher has no signature of it" in said
    assert "is made by another key than other" in said


def test_a_signature_of_another_image_is_refused(desk: LowSide, catalogue: Catalogue) -> None:
    held = catalogue.repositories["nvidia/pytorch"]
    target, other = (held.graphs[held.tags[tag]] for tag in ("24.12-py3", "25.03-py3"))
    copied = signatures.signature(other, "nvcr.io/nvidia/pytorch")
    catalogue.add_image("nvidia/pytorch", copied, [signatures.signature_tag(target)])
    desk.spec(UNSIGNED)
    assert f"its .sig tag signs {other.digest}, not {target.digest}" in desk.refused(7)


def test_ngcs_key_must_be_pinned_and_is_never_used_when_it_is_another(
    desk: LowSide, catalogue: Catalogue
) -> None:
    desk.spec(CUDA, keys="{name: containers, ngc: containers}")
    said = desk.refused(2)
    assert f"NGC gives {fingerprint('ngc-containers')} today" in said
    assert "dray.yaml:4:" in said
    # Whoever can answer for NGC can sign as well: with a key that is not pinned.
    catalogue.public_keys["containers"] = signatures.public_pem(signatures.signing_key("evil"))
    desk.spec(CUDA)
    assert f"has the fingerprint {fingerprint('evil')}, not {fingerprint('ngc-containers')}" in (
        desk.refused(2)
    )


def test_a_key_that_ngc_does_not_have_is_said(desk: LowSide) -> None:
    desk.spec(CUDA, keys="{name: r, ngc: resources, fingerprint: 'sha256:" + "0" * 64 + "'}")
    assert "404" in desk.refused(6)


def test_a_signature_with_other_bytes_is_a_failure_of_the_upstream(
    desk: LowSide, catalogue: Catalogue
) -> None:
    """It is no verdict about who signed: the same bytes may come the next time."""
    held = catalogue.repositories["nvidia/pytorch"]
    blobs = [
        blob
        for graph in held.graphs.values()
        for blob in graph.blobs
        if blob.media_type == signatures.SIGSTORE
    ]
    for blob in blobs:
        object.__setattr__(blob, "data", Held(b"x" * blob.size))
    desk.spec(TORCH)
    assert "other bytes" in desk.refused(6)


def test_a_pattern_that_matches_nothing_is_warned_of(desk: LowSide) -> None:
    desk.spec(CUDA, rules="'nvcr.io/nvidia/*', 'nvrc.io/*'")
    done = desk.desk.dray("lock", "dray.yaml")
    assert "require-signature: nothing is called nvrc.io/*" in done.err


def test_what_no_rule_is_about_is_recorded_too(desk: LowSide) -> None:
    desk.spec(CUDA, UNSIGNED, rules="'nvcr.io/none/*'")
    desk.desk.dray("lock", "dray.yaml")
    results = [one.artifact.upstream for one in load(desk.lock).artifacts]
    assert [record.result for record in results if record] == ["unchecked", "unsigned"]


def test_a_lock_that_does_not_say_so_is_not_exported(desk: LowSide) -> None:
    desk.spec(CUDA)
    desk.desk.dray("keygen", "--no-passphrase")
    desk.desk.dray("lock", "dray.yaml")
    good = load(desk.lock)
    [one] = good.artifacts
    record = one.artifact.upstream
    assert record
    [proof] = record.proofs
    other = replace(record, proofs=(replace(proof, fingerprint=fingerprint("other")),))
    for changed in (None, replace(record, result="unsigned", proofs=()), other):
        artifact = replace(one.artifact, upstream=changed)
        edited = replace(good, artifacts=(replace(one, artifact=artifact),))
        desk.lock.write_bytes(edited.text)
        done = desk.desk.dray("export", "dray.yaml", "--to", "out", code=7)
        assert f"the lock does not say that {CUDA} is signed" in done.err
        assert not (desk.desk.folder / "out").exists()


def test_the_lock_is_checked_against_upstream_with_the_evidence_in_it(desk: LowSide) -> None:
    desk.spec(CUDA)
    desk.desk.dray("lock", "dray.yaml")
    assert "1 ok" in desk.desk.dray("lock", "dray.yaml", "--check").out
