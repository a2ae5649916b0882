"""What mirrors say, tried with the clients that read them: source name in, loaded bytes out."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

import schemas
from tests.servers import gomodules, programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.importer.relocate.site import High
    from tests.servers.ca import Authority

CUDA = "nvcr.io/nvidia/cuda:12.6"
NIM = "nvcr.io/nim/meta/llama:1.8"
DOCA = "nvcr.io/nvidia/mellanox/doca:25.01"
NFD = "registry.k8s.io/nfd/node-feature-discovery:v0.17.2"
PORT = "mirror.example:5000/team/app:1"
IMAGES = (CUDA, NIM, DOCA, NFD, PORT)


def skopeo(high: High, name: str) -> str:
    """Return the digest that a name leads to by the drop-in, or what went wrong."""
    folder = high.folder / "conf"
    folder.mkdir(exist_ok=True)
    (folder / "registries.conf").write_bytes(high.files()["crio/registries.conf.d/50-dray.conf"])
    done = subprocess.run(
        [
            programs.require("skopeo"),
            *("--registries-conf", folder / "registries.conf", "--insecure-policy"),
            *("inspect", "--no-tags", "--format", "{{.Digest}}", f"docker://{name}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip() or done.stderr


def renamed(high: High, name: str) -> str:
    """Return what the policy of Kyverno makes of a name: its expressions are Go's, and Python's."""
    (policy,) = high.documents("kyverno/rename-images.yaml")
    made = set()
    for rule in policy["spec"]["rules"]:
        found = name
        for each in rule["mutate"]["foreach"]:
            (row,) = next(iter(each["patchStrategicMerge"]["spec"].values()))
            call = re.fullmatch(
                r"\{\{ regex_replace_all\('([^']+)', '\{\{element.image\}\}', '([^']+)'\) \}\}",
                row["image"],
            )
            assert call, row
            assert f"regex_match('{call[1]}', " in each["preconditions"]["all"][0]["key"]
            found = re.sub(call[1], call[2].replace("$1", r"\1"), found)
        made.add(found)
    assert len(made) == 1, made
    return made.pop()


def test_containerd_asks_the_mirror_and_nothing_else(high: High) -> None:
    high.load(IMAGES)
    assert high.relocate().code == 0
    found = {path for path in high.files() if path.startswith("containerd/")}
    hosts = ("nvcr.io", "registry.k8s.io", "mirror.example_5000_")
    assert found == {f"containerd/certs.d/{host}/hosts.toml" for host in hosts}
    body = tomllib.loads(high.files()["containerd/certs.d/nvcr.io/hosts.toml"].decode())
    url = f"http://{high.registry}/v2/{high.prefix}"
    assert body["server"] == url
    assert list(body["host"]) == [url]
    for one in (body, body["host"][url]):
        assert (one["capabilities"], one["override_path"]) == (["pull", "resolve"], True)


def test_skopeo_finds_every_image_by_its_source_name(high: High) -> None:
    high.load(IMAGES)
    assert high.relocate().code == 0
    for name in IMAGES:
        assert skopeo(high, name) == high.digest(name)
        repository, _, _tag = name.rpartition(":")
        assert skopeo(high, f"{repository}@{high.digest(name)}") == high.digest(name)


def test_skopeo_never_asks_the_source(high: High) -> None:
    high.load([CUDA])
    assert high.relocate().code == 0
    assert "blocked" in skopeo(high, "nvcr.io/nvidia/never-loaded:1")


def test_renamed_repositories_are_split_by_prefix(high: High) -> None:
    high.rules = (("nvcr.io/nim", "models"), ("nvcr.io/nvidia/cuda", "base/cuda-toolkit"))
    high.load(IMAGES)
    done = high.relocate()
    assert done.code == 0, done
    for name in IMAGES:
        assert skopeo(high, name) == high.digest(name), name
        _host, _, rest = name.partition("/")
        target = {
            CUDA: "base/cuda-toolkit:12.6",
            NIM: "models/meta/llama:1.8",
        }.get(name, rest)
        assert renamed(high, name) == f"{high.target}/{target}"
    assert "blocked" in skopeo(high, "nvcr.io/other/thing:1")
    assert not any(path.startswith("containerd/certs.d/nvcr.io/") for path in high.files())
    assert "no hosts.toml for nvcr.io" in done.out
    assert "no hosts.toml for nvcr.io" in high.files()["README.md"].decode()


def test_a_rule_of_one_host_never_leads_to_what_another_brought(high: High) -> None:
    """Both hosts go below one prefix: ghcr.io/nvidia/cuda was never loaded, nvcr.io's was."""
    high.load([CUDA, "ghcr.io/mellanox/ib:1"])
    done = high.relocate()
    assert done.code == 0, done
    assert skopeo(high, CUDA) == high.digest(CUDA)
    assert "blocked" in skopeo(high, "ghcr.io/nvidia/cuda:12.6")
    assert renamed(high, "ghcr.io/nvidia/cuda:12.6") == "ghcr.io/nvidia/cuda:12.6"
    assert "may be found there as another's" in done.out


def test_openshift_says_the_same_as_the_drop_in(high: High) -> None:
    high.rules = (("nvcr.io/nim", "models"),)
    high.load(IMAGES)
    assert high.relocate().code == 0
    conf = tomllib.loads(high.files()["crio/registries.conf.d/50-dray.conf"].decode())
    rules = {
        row["prefix"]: [mirror["location"] for mirror in row["mirror"]]
        for row in conf["registry"]
        if "mirror" in row
    }
    for file, kind, key in (
        ("image-digest-mirrors", "ImageDigestMirrorSet", "imageDigestMirrors"),
        ("image-tag-mirrors", "ImageTagMirrorSet", "imageTagMirrors"),
    ):
        (body,) = high.documents(f"openshift/{file}.yaml")
        assert (body["apiVersion"], body["kind"]) == ("config.openshift.io/v1", kind)
        rows = body["spec"][key]
        assert {row["source"]: row["mirrors"] for row in rows} == rules
        assert {row["mirrorSourcePolicy"] for row in rows} == {"NeverContactSource"}


@pytest.mark.parametrize(
    ("name", "is_renamed"),
    [
        ("nvcr.io/nvidia/cuda:12.6", True),
        ("nvcr.io/nvidia/cuda@sha256:" + "0" * 64, True),
        ("nvcr.io:443/nvidia/cuda:12.6", False),
        ("xnvcr.io/nvidia/cuda:12.6", False),
        ("nvcrxio/nvidia/cuda:12.6", False),
        ("other.example/nvcr.io/nvidia/cuda", False),
    ],
)
def test_kyverno_renames_names_of_the_source_alone(
    high: High, name: str, *, is_renamed: bool
) -> None:
    high.load([CUDA])
    assert high.relocate().code == 0
    rest = name.removeprefix("nvcr.io")
    assert renamed(high, name) == (f"{high.target}{rest}" if is_renamed else name)


def test_kyverno_reaches_every_kind_of_container(high: High) -> None:
    high.load([CUDA])
    assert high.relocate().code == 0
    (policy,) = high.documents("kyverno/rename-images.yaml")
    lists = [rule["mutate"]["foreach"][0]["list"] for rule in policy["spec"]["rules"]]
    names = ("containers", "initContainers", "ephemeralContainers")
    assert lists == [f"request.object.spec.{name} || `[]`" for name in names]


def test_verify_asks_for_every_digest(high: High) -> None:
    high.load(IMAGES)
    assert high.relocate().code == 0
    path: Path = high.folder / "out" / "verify"
    done = subprocess.run([path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "15 asked for, 0 missing, 0 without an answer\n"
    text = path.read_text()
    path.write_text(text.replace(high.digest(CUDA), "sha256:" + "0" * 64))
    done = subprocess.run([path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"MISSING http://{high.target}/nvidia/cuda/manifests/sha256:0" in done.stdout.replace(
        "/v2/", "/"
    )


def test_the_map_has_every_name_and_digest(high: High) -> None:
    high.load([CUDA, NIM])
    assert high.relocate().code == 0
    body = json.loads(high.files()["image-map.json"])
    rows = {row["source"]: row for row in body["artifacts"]}
    assert rows[CUDA]["target"] == f"{high.target}/nvidia/cuda:12.6"
    assert rows[CUDA]["tags"] == ["12.6"]
    assert body["receipts"][0]["bundle"] == "prod-000001"


def test_the_map_obeys_its_schema(high: High) -> None:
    high.load([CUDA, NIM], models={"ngc/nvidia/riva:1.0": {"model.bin": b"x"}}, to=["warehouse"])
    assert high.relocate().code == 0
    schemas.validate("image-map", json.loads(high.files()["image-map.json"]))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_containerd_itself_finds_every_image(
    high: High, authority: Authority, request: pytest.FixtureRequest, *, tls: bool
) -> None:
    """With ``override_path``, a CA beside the file, and a port in the name of a host."""
    program = gomodules.containerd_hosts()
    if tls:
        high.registry = request.getfixturevalue("registry_tls").host
        high.more = {"ca": str(authority.ca)}
    high.load(IMAGES)
    assert high.relocate("--to", high.folder / "targets.yaml").code == 0
    strange = "nvcr.io/never/loaded:1"
    folder = high.folder / "out/containerd/certs.d"
    command: list[str | Path] = [program, folder, *IMAGES, strange]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    *found, last = done.stdout.splitlines()
    assert found == [f"{name} {high.digest(name)}" for name in IMAGES]
    assert last.startswith(f"{strange} not found:")
    assert "nvcr.io" not in done.stderr, "nobody asked the source"
