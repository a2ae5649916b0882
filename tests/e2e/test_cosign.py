"""Cosign itself: what it signs is accepted, and what arrives is accepted by it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from bundler.lock import load
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.registry import Registry

pytestmark = pytest.mark.server
OFFLINE = ("--key", "vendor.pub", "--insecure-ignore-tlog=true", "--allow-http-registry")
LEGACY, BUNDLE = "cosign-2.5", "cosign"


def cosign(program: str, folder: Path, *arguments: str, code: int = 0) -> str:
    """Run cosign in ``folder``, and return all that it says."""
    own = {"COSIGN_PASSWORD": "", "COSIGN_YES": "true", "HOME": str(folder)}
    done = subprocess.run(
        [programs.require(program), *arguments],
        cwd=folder,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code or (code and done.returncode), done.stderr
    return done.stdout + done.stderr


def sign(program: str, folder: Path, reference: str) -> None:
    cosign(program, folder, "generate-key-pair")
    (folder / "cosign.pub").rename(folder / "vendor.pub")
    (folder / "cosign.key").rename(folder / "vendor.secret")  # not dray's: that is the only *.key
    how: tuple[str, ...] = ("--tlog-upload=false", "--allow-http-registry")
    if program == BUNDLE:
        how = (*how[1:], "--signing-config", "none.json")
        none = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}
        (folder / "none.json").write_text(json.dumps(none))
    cosign(program, folder, "sign", "--key", "vendor.secret", *how, reference)


def spec(desk: Desk, image: str, platforms: str) -> None:
    (desk.folder / "dray.yaml").write_text(
        f"apiVersion: dray/v1\nstream: prod\nplatforms: {platforms}\nimages: ['{image}']\n"
        "policy:\n  signing-keys: [{name: vendor, file: vendor.pub}]\n"
        "  require-signature: ['*']\n"
    )


@pytest.mark.parametrize("program", [LEGACY, BUNDLE])
@pytest.mark.parametrize("platforms", ["all", "[linux/amd64]"])
def test_what_cosign_signs_is_accepted_and_what_arrives_is_accepted_by_cosign(
    desk: Desk, upstream: Upstream, registry: Registry, program: str, platforms: str
) -> None:
    made = upstream.multi("signed", 3000, attested=False)
    source = upstream.name("signed")
    sign(program, desk.folder, f"{source}@{made.digest}")
    spec(desk, f"{source}:1.0", platforms)
    desk.dray("lock", "dray.yaml")
    [one] = load(desk.folder / "dray.lock.yaml").artifacts
    assert one.artifact.upstream
    [proof] = one.artifact.upstream.proofs
    assert (proof.over, proof.method) == (made.digest, "cosign")
    assert (proof.over == one.artifact.root) is (platforms == "all")

    desk.dray("export", "dray.yaml", "--to", "out")
    desk.dray("policy", "dray.yaml", "--to", "high")
    prefix = f"{registry.host}/{registry.repository('high')}"
    desk.dray(
        *("import", "out/prod-000001", "--policy", "high/policy.yaml"),
        *("--to", f"registry://{prefix}"),
    )
    place = f"{prefix}/{source.partition('/')[2]}@{one.artifact.root}"
    carried_whole = platforms == "all"
    said = cosign(program, desk.folder, "verify", *OFFLINE, place, code=0 if carried_whole else 1)
    assert (str(made.digest) in said) is carried_whole, said
