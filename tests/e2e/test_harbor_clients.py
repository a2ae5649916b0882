"""What arrives in a Harbor over TLS is what the clients of others take, and cosign verifies it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.foreign import run
from tests.e2e.test_cosign import BUNDLE, LEGACY, cosign, sign
from tests.servers.tokens import basic

if TYPE_CHECKING:
    from bundle.credentials import Credentials
    from fixtures.ngc import EmulatedNgc
    from importer.harbor.artifacts import Artifact
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.harbor import HarborServer

pytestmark = pytest.mark.server
CHART = "nvidia/cloud-native-charts/gpu-operator"
VERSION = "v26.7.0"
SBOM = "application/spdx+json"


@dataclass
class Place:
    """A project of a Harbor, and the login of its robot, as the clients are told of them."""

    harbor: HarborServer
    project: str
    robot: Credentials
    desk: Desk

    def load(self) -> None:
        """Import the desk's bundle."""
        target = {"to": f"harbor://{self.harbor.host}/{self.project}", "ca": self.harbor.ca}
        kept = {key: value for key, value in target.items() if value}
        path = self.desk.folder / "targets.yaml"
        path.write_text(json.dumps({"apiVersion": "dray/v1", "targets": [kept]}))
        [bundle] = (self.desk.folder / "out").iterdir()
        self.desk.load(bundle, "targets.yaml")

    def trusted(self, option: str) -> tuple[str, ...]:
        """Return an option with the CA's file, where there is one of its own."""
        return (option, self.harbor.ca) if self.harbor.ca else ()

    def find(self, name: str, reference: str) -> Artifact:
        """Return an artifact as Harbor's API has it."""
        found = self.harbor.client(self.robot).artifacts.get(f"{self.project}/{name}", reference)
        assert found
        return found


@pytest.fixture
def place(harbor: HarborServer, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Place:
    project = harbor.project()
    robot = harbor.robot([project])
    config = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    login = {"auth": basic(robot.username, robot.password)}
    config.write_text(json.dumps({"auths": {harbor.host: login}}))
    if harbor.ca:
        monkeypatch.setenv("SSL_CERT_FILE", harbor.ca)  # of clients in Go
    return Place(harbor, project, robot, desk)


def test_images_and_charts_are_what_skopeo_crane_oras_and_helm_take(
    place: Place, upstream: Upstream, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    app = upstream.multi("app", 300_000, 70_000)
    (tmp_path / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    attach = ("oras", "attach", "--plain-http", "--artifact-type", SBOM)
    run(*attach, upstream.name("app:1.0"), "sbom.json:application/json", cwd=tmp_path)
    chart = f"oci://nvcr.io/{CHART}:{VERSION}"
    place.desk.lock(upstream.name("app:1.0"), charts=[chart], registries=ngc.registries)
    place.desk.export(place.desk.folder / "out")
    place.load()
    name = f"{upstream.prefix}/app"
    image = f"{place.harbor.host}/{place.project}/{name}"
    if place.harbor.ca:
        (tmp_path / "certs").mkdir()
        (tmp_path / "certs" / "ca.crt").write_bytes(Path(place.harbor.ca).read_bytes())
    certs = ("--src-cert-dir", tmp_path / "certs") if place.harbor.ca else ()
    options = ("--insecure-policy", "copy", "--all", "--preserve-digests", *certs)
    run("skopeo", *options, f"docker://{image}:1.0", f"oci:{tmp_path}/skopeo:x")
    run("crane", "validate", "--remote", f"{image}:1.0")
    assert run("crane", "digest", f"{image}:1.0").decode().strip() == app.digest
    ca = place.trusted("--ca-file")
    ways = (*place.trusted("--from-ca-file"), "--to-oci-layout")
    run("oras", "copy", "--recursive", *ways, f"{image}:1.0", f"{tmp_path}/oras:x")
    said = json.loads(run("oras", "discover", *ca, "--format", "json", f"{image}:1.0"))
    found = said.get("referrers") or said.get("manifests")
    assert [one["artifactType"] for one in found] == [SBOM]
    assert [one.type for one in place.find(name, "1.0").accessories] == ["subject.accessory"]
    _helm(place, tmp_path)


def _helm(place: Place, tmp_path: Path) -> None:
    where = f"oci://{place.harbor.host}/{place.project}/charts/{CHART}"
    how = ("--version", VERSION, *place.trusted("--ca-file"))
    run("helm", "pull", where, *how, "-d", tmp_path)
    assert (tmp_path / f"gpu-operator-{VERSION}.tgz").exists()
    shown = run("helm", "show", "chart", where, *how).decode()
    assert f"version: {VERSION}" in shown
    assert b"image" in run("helm", "show", "values", where, *how)
    assert b"kind: " in run("helm", "template", "x", where, *how)
    assert place.find(f"charts/{CHART}", VERSION).type == "CHART"


@pytest.mark.parametrize("program", [LEGACY, BUNDLE])
def test_a_signature_is_an_accessory_and_cosign_verifies_it(
    place: Place, upstream: Upstream, program: str
) -> None:
    made = upstream.multi("signed", 3000, attested=False)
    sign(program, place.desk.folder, f"{upstream.name('signed')}@{made.digest}")
    place.desk.lock(upstream.name("signed:1.0"))
    place.desk.export(place.desk.folder / "out")
    place.load()
    name = f"{upstream.prefix}/signed"
    assert [one.type for one in place.find(name, "1.0").accessories] == ["signature.cosign"]
    image = f"{place.harbor.host}/{place.project}/{name}@{made.digest}"
    how = ("--key", "vendor.pub", "--insecure-ignore-tlog=true")
    assert str(made.digest) in cosign(program, place.desk.folder, "verify", *how, image)
    other = next(str(node.digest) for node in made.walk() if node.digest != made.digest)
    cosign(program, place.desk.folder, "verify", *how, f"{image.partition('@')[0]}@{other}", code=1)
