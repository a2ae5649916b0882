"""A signed model across the gap: the tool of those who made the format verifies what arrives."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from fixtures.ngc import CITRINET
from fixtures.signatures import model_signature
from tests.e2e.foreign import raw_manifest
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc
    from fixtures.ngc.catalogue import Version
    from tests.e2e.desk import Desk
    from tests.servers.registry import Registry

VERSION = "deployable_v2.0.0"
PLACE = f"models/{CITRINET}/{VERSION}"


def verified(folder: Path, key: Path) -> tuple[int, str]:
    """Ask ``model_signing`` (OpenSSF) whether a folder is what its publisher has signed."""
    command = [
        *(programs.require("model_signing"), "verify", "key", folder),
        *("--signature", f"{folder}.sigstore", "--public_key", key),
        *("--ignore-paths", folder / ".dray-complete.json"),
    ]
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def bundle(desk: Desk, ngc: EmulatedNgc, tmp_path: Path) -> Path:
    desk.lock(models=[{"ngc": f"{CITRINET}:{VERSION}"}], registries=ngc.registries)
    desk.export(tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.server
def test_model_signing_verifies_what_was_imported(
    desk: Desk, ngc: EmulatedNgc, bundle: Path, tmp_path: Path
) -> None:
    key = tmp_path / "models.pem"
    key.write_bytes(ngc.catalogue.public_keys["models"])
    desk.load(bundle, tmp_path / "high")
    folder = tmp_path / "high" / PLACE
    assert verified(folder, key) == (0, "Verification succeeded\n")
    (folder / "README.md").write_bytes(b"changed")
    code, said = verified(folder, key)
    assert code == 1
    assert "README.md" in said


@pytest.mark.server
def test_a_registry_shows_the_signature_as_a_referrer_of_the_model(
    desk: Desk, ngc: EmulatedNgc, bundle: Path, tmp_path: Path, registry: Registry
) -> None:
    prefix = registry.repository("high")
    targets = desk.folder / "targets.yaml"
    entry = {"to": f"registry://{registry.host}/{prefix}", "kinds": ["model"]}
    targets.write_text(json.dumps({"apiVersion": "dray/v1", "targets": [entry]}))
    desk.load(bundle, "targets.yaml")
    name = f"{registry.host}/{prefix}/models/{CITRINET}"
    root = Digest.of(raw_manifest(f"{name}:{VERSION}"))
    [found] = json.loads(raw_manifest(f"{name}:sha256-{root.hex}"))["manifests"]
    signed = json.loads(raw_manifest(f"{name}@{found['digest']}"))
    assert signed["subject"]["digest"] == root
    expected = version(ngc).signature
    assert expected
    assert [layer["digest"] for layer in signed["layers"]] == [expected.digest]


def test_a_model_that_is_signed_anew_is_not_exported_with_another_signature(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    desk.lock(models=[{"ngc": f"{CITRINET}:{VERSION}"}], registries=ngc.registries)
    version(ngc).signature = model_signature(version(ngc).files, "signed anew")
    done = desk.export(tmp_path / "out", code=6)
    assert "another signature now than when it was locked" in done.err
    assert not list((tmp_path / "out").rglob("*.manifest.json"))


@pytest.mark.parametrize(
    ("signed", "status", "why"),
    [
        ("", "vanished", "not signed any more"),
        ("anew", "moved", "signed anew"),
        (VERSION, "ok", ""),
    ],
)
def test_a_check_tells_what_became_of_the_signature(
    desk: Desk, ngc: EmulatedNgc, signed: str, status: str, why: str
) -> None:
    desk.lock(models=[{"ngc": f"{CITRINET}:{VERSION}"}], registries=ngc.registries)
    found = version(ngc)
    if signed != VERSION:
        found.signature = model_signature(found.files, signed) if signed else None
    code = 6 if status == "vanished" else 0
    [row] = desk.dray("lock", "dray.yaml", "--check", "--json", code=code).json["rows"]
    assert row["status"] == status
    assert why in row.get("why", "")


def test_a_check_tells_that_a_version_is_signed_now(desk: Desk, ngc: EmulatedNgc) -> None:
    found = version(ngc)
    before, found.signature = found.signature, None
    desk.lock(models=[{"ngc": f"{CITRINET}:{VERSION}"}], registries=ngc.registries)
    found.signature = before
    [row] = desk.dray("lock", "dray.yaml", "--check", "--json").json["rows"]
    assert (row["status"], "is signed now" in row["why"]) == ("moved", True)


def version(ngc: EmulatedNgc) -> Version:
    return ngc.catalogue.filesets["models", CITRINET].versions[VERSION]
