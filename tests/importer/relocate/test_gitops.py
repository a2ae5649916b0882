"""Charts for Argo CD, Flux and helm: each address is tried with helm itself."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from fixtures import gpu_operator
from tests.importer.relocate.test_values import GPU, needed, small
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.importer.relocate.site import High
    from tests.servers.ca import Authority
    from tests.servers.harbor import HarborServer
    from tests.servers.registry import Registry

APP = "charts.example/x/app:1.0.0"


@pytest.fixture
def loaded(high: High) -> High:
    archive = gpu_operator.archive()
    high.load(needed(archive), {GPU: archive})
    done = high.relocate("--for", "helm,argocd,flux")
    assert done.code == 0, done
    return high


def helm(*words: str | Path) -> str:
    command: list[str | Path] = [programs.require("helm"), *words, "--plain-http"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_argo_finds_the_chart_and_its_values(loaded: High) -> None:
    (app,) = loaded.documents("argocd/gpu-operator-v25.3.0.yaml")
    assert (app["apiVersion"], app["kind"]) == ("argoproj.io/v1alpha1", "Application")
    source = app["spec"]["source"]
    assert not source["repoURL"].startswith("oci://")
    whole = f"oci://{source['repoURL']}/{source['chart']}"
    shown = helm("show", "chart", whole, "--version", source["targetRevision"])
    assert "name: gpu-operator" in shown
    (values,) = loaded.documents("helm/gpu-operator-v25.3.0.values.yaml")
    assert source["helm"]["valuesObject"] == values
    (secret,) = loaded.documents("argocd/repositories.yaml")
    assert secret["metadata"]["labels"] == {"argocd.argoproj.io/secret-type": "repository"}
    told = secret["stringData"]
    assert told == {
        "name": source["repoURL"],
        "url": source["repoURL"],
        "type": "helm",
        "enableOCI": "true",
    }


def test_flux_pins_the_chart_by_its_digest(loaded: High) -> None:
    repository, release = loaded.documents("flux/gpu-operator-v25.3.0.yaml")
    assert repository["spec"]["ref"] == {"digest": loaded.digest(GPU)}
    assert repository["spec"]["insecure"] is True
    whole = f"{repository['spec']['url']}@{repository['spec']['ref']['digest']}"
    command: list[str | Path] = [
        programs.require("crane"),
        "manifest",
        "--insecure",
        whole.removeprefix("oci://"),
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert release["spec"]["chartRef"] == {
        "kind": "OCIRepository",
        "name": repository["metadata"]["name"],
    }
    (values,) = loaded.documents("helm/gpu-operator-v25.3.0.values.yaml")
    assert release["spec"]["values"] == values


def test_the_readme_has_the_command_that_installs_it(loaded: High) -> None:
    text = loaded.files()["README.md"].decode()
    (line,) = [line for line in text.splitlines() if line.startswith("helm install")]
    words = line.removesuffix(" \\").split()
    assert words[:2] == ["helm", "install"]
    assert words[-1] == "--plain-http"
    values = loaded.folder / "out/helm/gpu-operator-v25.3.0.values.yaml"
    assert "kind: ClusterPolicy" in helm("template", *words[2:-1], "-f", values)


def test_two_charts_of_one_name_are_two_files(high: High) -> None:
    archive = small({"appImage": "quay.io/a/app:v1"}, "{{ .Values.appImage }}")
    other = small({"appImage": "quay.io/a/app:v1", "more": 1}, "{{ .Values.appImage }}")
    high.load(
        ["quay.io/a/app:v1"],
        {"charts.example/x/app:1.0.0": archive, "charts.example/y/app:1.0.0": other},
    )
    assert high.relocate().code == 0
    paths = {path for path in high.files() if path.startswith(("helm", "flux", "argocd/charts"))}
    whole = f"{high.prefix}-charts"
    assert paths == {
        f"{folder}-{name}-app-1.0.0{ending}"
        for name in "xy"
        for folder, ending in (
            (f"helm/{whole}", ".values.yaml"),
            (f"flux/{whole}", ".yaml"),
        )
    }
    secrets = high.documents("argocd/repositories.yaml")
    assert len({one["metadata"]["name"] for one in secrets}) == len(secrets) == 2


def test_a_ca_goes_to_everybody_who_asks(
    high: High, registry_tls: Registry, authority: Authority
) -> None:
    high.registry, high.more = registry_tls.host, {"ca": str(authority.ca)}
    archive = small({"appImage": "quay.io/a/app:v1"}, "{{ .Values.appImage }}")
    high.load(["quay.io/a/app:v1"], {APP: archive})
    done = high.relocate("--to", high.folder / "targets.yaml")
    assert done.code == 0, done
    found, pem = high.files(), authority.ca.read_bytes()
    assert found["containerd/certs.d/quay.io/ca.crt"] == pem
    assert b'ca = "ca.crt"\n' in found["containerd/certs.d/quay.io/hosts.toml"]
    assert b'server = "https://' in found["containerd/certs.d/quay.io/hosts.toml"]
    assert found[f"crio/certs.d/{high.registry}/ca.crt"] == pem
    assert b"insecure" not in found["crio/registries.conf.d/50-dray.conf"]
    (trusted,) = high.documents("openshift/registry-ca.yaml")
    assert trusted["data"] == {high.registry.replace(":", ".."): pem.decode()}
    repository, _release = high.documents("flux/app-1.0.0.yaml")
    secret = repository["spec"]["certSecretRef"]["name"]
    (held,) = high.documents(f"flux/{secret}.yaml")
    assert (held["metadata"]["name"], held["stringData"]) == (secret, {"ca.crt": pem.decode()})
    command: list[str | Path] = [high.folder / "out/verify", "--cacert", authority.ca]
    done_too = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done_too.returncode, "0 missing" in done_too.stdout) == (0, True), done_too


def test_verify_gets_a_token_where_one_is_wanted(
    high: High, registry_token: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the login in a netrc file: never an argument."""
    high.registry = registry_token.host
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(login(high.folder, registry_token)))
    high.load(["quay.io/a/app:v1"])
    assert high.relocate().code == 0
    assert registry_token.tokens
    netrc = high.folder / "netrc"
    host = registry_token.host.partition(":")[0]
    netrc.write_text(
        f"machine {host} login {registry_token.username} password {registry_token.password}\n"
    )
    command: list[str | Path] = [high.folder / "out/verify", "--netrc-file", netrc]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "0 missing" in done.stdout) == (0, True), done
    done = subprocess.run(command[:1], capture_output=True, text=True, check=False)
    assert done.returncode == 1, "without a login, nothing is there"


def login(home: Path, registry: Registry) -> Path:
    """Write what ``docker login`` would."""
    pair = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    file = home / "auth.json"
    file.write_text(json.dumps({"auths": {registry.host: {"auth": pair}}}))
    return file


def test_a_harbor_is_a_registry_with_a_project(
    high: High, harbor_plain: HarborServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    high.registry, high.scheme = harbor_plain.emulated.host, "harbor"
    admin = harbor_plain.admin
    pair = base64.b64encode(f"{admin.username}:{admin.password}".encode()).decode()
    file = high.folder / "auth.json"
    file.write_text(json.dumps({"auths": {high.registry: {"auth": pair}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    archive = small({"appImage": "quay.io/a/app:v1"}, "{{ .Values.appImage }}")
    high.load(["quay.io/a/app:v1"], {APP: archive})
    done = high.relocate("--target", high.target)
    assert done.code == 0, done
    (values,) = high.documents("helm/app-1.0.0.values.yaml")
    assert values == {"appImage": f"{high.target}/a/app:v1"}
    hosts = high.files()["containerd/certs.d/quay.io/hosts.toml"].decode()
    assert f"/v2/{high.prefix}" in hosts
