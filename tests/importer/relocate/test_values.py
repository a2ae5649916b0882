"""The values of charts, proved by helm: every image that it renders is at the target, and pulls."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundle.charts import chart as charts
from bundle.charts import manifests
from bundle.charts.rendering import Rendered
from bundler.discover import discover
from bundler.spec import Nodes
from fixtures import chartfiles, gpu_operator, network_operator
from fixtures.chartfiles import chart_yaml, deployment, dump
from fixtures.known_charts import KNOWN
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.known_parts import Known
    from tests.importer.relocate.site import High

NODES = Nodes(os=("ubuntu22.04",), kernels=("5.15.0-113-generic",))
GPU = "helm.ngc.nvidia.com/nvidia/gpu-operator:v25.3.0"
NETWORK = "helm.ngc.nvidia.com/nvidia/network-operator:25.1.0"


IMAGE = '"{{ .Values.image.repository }}:{{ .Values.image.tag }}"'


def needed(archive: bytes) -> list[str]:
    """Return the images that the low side would carry for a chart."""
    found = discover(archive, NODES, architectures=["amd64"], helm="")
    return [image.reference for image in found if image.carried]


def small(values: object, image: str, *more: str, **files: str | bytes) -> bytes:
    """Return a chart of one deployment."""
    body: dict[str, str | bytes] = {
        "Chart.yaml": chart_yaml("app", "1.0.0", "2.0"),
        "values.yaml": dump(values),
        "templates/app.yaml": deployment("app", image, more="".join(more)),
        **files,
    }
    return chartfiles.pack("app", body)


def rendered(archive: bytes, *values: Path) -> list[Any]:
    """Return what helm itself renders with the values, as documents."""
    with tempfile.NamedTemporaryFile(suffix=".tgz") as file:
        file.write(archive)
        file.flush()
        options: list[str | Path] = [word for path in values for word in ("-f", path)]
        command: list[str | Path] = [programs.require("helm"), "template", "x", file.name]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def named(documents: list[Any]) -> dict[str, str]:
    """Return the images that manifests name, as an operator would put them together: and suffix."""
    pages = [Rendered("all.yaml", yaml.safe_dump(one)) for one in documents]
    found, doubts = manifests.find(pages)
    assert not doubts
    return {mention.name: mention.suffix for mention in found if mention.enabled}


def pulls(name: str, suffix: str) -> bool:
    """Whether crane finds the image; an operator appends the system of a node to its tag."""
    ending = {"ofed": "-ubuntu22.04-amd64", "os": "-ubuntu22.04", "": ""}[suffix]
    whole = name if "@" in name else name + ending
    command: list[str | Path] = [programs.require("crane"), "digest", "--insecure", whole]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def check(high: High, archive: bytes, stem: str, *, least: int) -> dict[str, str]:
    """See that all that helm renders is at the target; return the names."""
    documents = rendered(archive, high.folder / "out/helm" / f"{stem}.values.yaml")
    found = named(documents)
    assert len(found) >= least, found
    for name, suffix in found.items():
        assert name.startswith(f"{high.target}/"), name
        assert pulls(name, suffix), name
    return found


def test_the_gpu_operator_finds_all_its_images(high: High) -> None:
    archive = gpu_operator.archive()
    high.load(needed(archive), {GPU: archive})
    done = high.relocate("--for", "helm")
    assert done.code == 0, done
    found = check(high, archive, "gpu-operator-v25.3.0", least=12)
    names = {name.removeprefix(f"{high.target}/") for name in found}
    assert "nvidia/gpu-operator:v25.3.0" in names, "glued with a colon by the chart"
    assert "nvidia/cloud-native/gpu-operator-validator:v25.3.0" in names
    assert "nfd/node-feature-discovery:v0.17.2" in names, "of the sub-chart"
    (values,) = high.documents("helm/gpu-operator-v25.3.0.values.yaml")
    assert "version" not in values["driver"], "a tag stays the chart's"
    assert values["driver"]["repository"] == f"{high.target}/nvidia"


def test_the_network_operator_finds_all_its_images(high: High) -> None:
    archive = network_operator.archive()
    high.load(needed(archive), {NETWORK: archive})
    done = high.relocate("--for", "helm")
    assert done.code == 0, done
    check(high, archive, "network-operator-25.1.0", least=8)


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN.keys())
def test_charts_that_spell_images_as_public_ones_do(high: High, known: Known) -> None:
    name = str(charts.read(known.archive).metadata["name"])
    high.load(known.carried, {f"charts.example/x/{name}:0.9.0": known.archive})
    own = high.folder / "own.yaml"
    own.write_text(yaml.safe_dump(dict(known.values)))
    done = high.relocate("--for", "helm", "--values", f"{name}={own}")
    assert done.code == 0, done
    (file,) = (high.folder / "out/helm").iterdir()
    documents = rendered(known.archive, own, file)
    for image, suffix in named(documents).items():
        if f"{image} is written where no value reaches it" not in done.out:
            assert image.startswith(f"{high.target}/"), image
            assert pulls(image, suffix), image


def test_names_that_were_mapped_come_out_right(high: High) -> None:
    high.rules = (
        ("nvcr.io/nvidia/cloud-native/gpu-operator-validator", "checks/validator"),
        ("nvcr.io/nvidia/gpu-operator", "operator"),
        ("registry.k8s.io/nfd", "discovery"),
    )
    archive = gpu_operator.archive()
    high.load(needed(archive), {GPU: archive})
    assert high.relocate("--for", "helm").code == 0
    found = check(high, archive, "gpu-operator-v25.3.0", least=12)
    names = {name.removeprefix(f"{high.target}/") for name in found}
    assert {
        "checks/validator:v25.3.0",
        "operator:v25.3.0",
        "discovery/node-feature-discovery:v0.17.2",
    } <= names


SPELLINGS: dict[str, tuple[Any, str, str]] = {
    "registry, repository, tag": (
        {"image": {"registry": "quay.io", "repository": "a/app", "tag": "v1"}},
        '"{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}"',
        "quay.io/a/app:v1",
    ),
    "a tag that is a number": (
        {"image": {"repository": "quay.io/a/app", "tag": "1.10"}},
        '"{{ .Values.image.repository }}:{{ .Values.image.tag }}"',
        "quay.io/a/app:1.10",
    ),
    "a registry apart from the images": (
        {"registry": "quay.io", "app": {"image": "a/app", "version": "v1"}},
        '"{{ .Values.registry }}/{{ .Values.app.image }}:{{ .Values.app.version }}"',
        "quay.io/a/app:v1",
    ),
    "a registry with a path apart from the images": (
        {"hub": "quay.io/team", "tag": "v1"},
        '"{{ .Values.hub }}/app:{{ .Values.tag }}"',
        "quay.io/team/app:v1",
    ),
    "one text": ({"appImage": "quay.io/a/app:v1"}, "{{ .Values.appImage }}", "quay.io/a/app:v1"),
    "a text with a digest of what was left behind": (
        {"appImage": "quay.io/a/app@sha256:" + "5c" * 32},
        "{{ .Values.appImage }}",
        "quay.io/a/app@sha256:" + "5c" * 32,
    ),
    "a digest beside a tag": (
        {"image": {"repository": "quay.io/a/app", "tag": "v1", "digest": "sha256:" + "5c" * 32}},
        '"{{ .Values.image.repository }}:{{ .Values.image.tag }}@{{ .Values.image.digest }}"',
        "quay.io/a/app:v1@sha256:" + "5c" * 32,
    ),
    "a list of containers": (
        {"extra": [{"name": "x", "image": "quay.io/a/app:v1"}, {"name": "y"}]},
        "{{ (index .Values.extra 0).image }}",
        "quay.io/a/app:v1",
    ),
    "an argument": (
        {"args": ["--quiet", "--runner-image=quay.io/a/app:v1"]},
        '"{{ index .Values.args 1 | trimPrefix "--runner-image=" }}"',
        "quay.io/a/app:v1",
    ),
    "a name of Docker Hub": (
        {"image": {"repository": "busybox", "tag": "1.37"}},
        '"{{ .Values.image.repository }}:{{ .Values.image.tag }}"',
        "docker.io/library/busybox:1.37",
    ),
    "the chart's own version": (
        {"image": {"repository": "quay.io/a/app"}},
        '"{{ .Values.image.repository }}:{{ .Chart.AppVersion }}"',
        "quay.io/a/app:2.0",
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_values_are_rewritten_however_they_spell_a_name(
    high: High, spelling: tuple[Any, str, str]
) -> None:
    values, image, loaded = spelling
    archive = small(values, image)
    high.load([loaded], {"charts.example/x/app:1.0.0": archive})
    done = high.relocate("--for", "helm")
    assert done.code == 0, done
    assert "written where no value reaches it" not in done.out
    (name,) = check(high, archive, "app-1.0.0", least=1)
    if "@" in name:
        assert name.endswith(f"@{high.digest(loaded)}")


def test_an_image_that_was_not_loaded_is_refused_by_name(high: High) -> None:
    archive = small({"image": {"repository": "quay.io/a/app", "tag": "v2"}}, IMAGE)
    high.load(["quay.io/a/app:v1"], {"charts.example/x/app:1.0.0": archive})
    done = high.relocate()
    assert (done.code, (high.folder / "out").exists()) == (7, False), done
    assert f"charts.example/x/app:1.0.0: {high.target}/a/app:v2 (templates/app.yaml" in done.err
    assert high.relocate("--for", "containerd,kyverno").code == 0
    name = f"{high.target}/a/app:v2"
    assert high.relocate("--allow-missing", name, output="allowed").code == 0
    assert f"was not loaded: {name}" in high.files("allowed")["helm/app-1.0.0.values.yaml"].decode()


def test_what_the_site_switches_on_has_to_be_loaded_too(high: High) -> None:
    switched = '{{ if .Values.more }}"quay.io/a/more:v1"{{ else }}"quay.io/a/app:v1"{{ end }}'
    archive = small({"more": False}, switched)
    high.load(["quay.io/a/app:v1"], {"charts.example/x/app:1.0.0": archive})
    assert high.relocate("--for", "helm").code == 0
    own = high.folder / "own.yaml"
    own.write_text("more: true\n")
    done = high.relocate("--for", "helm", "--values", f"app={own}", output="more")
    assert (done.code, "quay.io/a/more:v1" in done.err) == (7, True), done
    done = high.relocate("--values", f"other={own}", output="more")
    assert (done.code, "names no chart that was loaded" in done.err) == (2, True), done


def test_a_driver_for_another_system_does_not_count(high: High) -> None:
    """The operator appends the system to the tag: the bare tag is never asked for."""
    archive = gpu_operator.archive()
    images = [
        name.replace("-ubuntu22.04", "") if "nvidia/driver:" in name else name
        for name in needed(archive)
    ]
    high.load(images, {GPU: archive})
    done = high.relocate("--for", "helm")
    assert (done.code, "nvidia/driver:570.124.06-…" in done.err) == (7, True), done


def test_pull_secrets_have_the_form_that_each_place_wants(high: High) -> None:
    archive = gpu_operator.archive()
    high.load(needed(archive), {GPU: archive})
    assert high.relocate("--for", "helm", "--pull-secret", "harbor-pull").code == 0
    (values,) = high.documents("helm/gpu-operator-v25.3.0.values.yaml")
    assert values["driver"]["imagePullSecrets"] == ["harbor-pull"]
    assert values["node-feature-discovery"]["imagePullSecrets"] == [{"name": "harbor-pull"}]
    documents = rendered(archive, high.folder / "out/helm/gpu-operator-v25.3.0.values.yaml")
    (policy,) = [one for one in documents if one["kind"] == "ClusterPolicy"]
    assert policy["spec"]["toolkit"]["imagePullSecrets"] == ["harbor-pull"]


@pytest.mark.parametrize(
    "line",
    [
        "      imagePullSecrets:\n        {{- toYaml .Values.imagePullSecrets | nindent 8 }}\n",
        "      imagePullSecrets:\n        {{- range .Values.imagePullSecrets }}\n"
        "        - name: {{ . }}\n        {{- end }}\n",
    ],
    ids=["objects", "names"],
)
def test_the_form_of_a_pull_secret_is_found_by_rendering(high: High, line: str) -> None:
    values = {"image": {"repository": "quay.io/a/app", "tag": "v1"}, "imagePullSecrets": []}
    archive = small(values, IMAGE, line)
    high.load(["quay.io/a/app:v1"], {"charts.example/x/app:1.0.0": archive})
    assert high.relocate("--for", "helm", "--pull-secret", "harbor-pull").code == 0
    (pod,) = rendered(archive, high.folder / "out/helm/app-1.0.0.values.yaml")
    assert pod["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "harbor-pull"}]


def test_pins_are_where_a_digest_is_taken_and_nowhere_else(high: High) -> None:
    """The operator joins a digest with @ for its operands; its chart glues its own with a colon."""
    archive = gpu_operator.archive()
    high.load(needed(archive), {GPU: archive})
    assert high.relocate("--for", "helm", "--pin").code == 0
    (values,) = high.documents("helm/gpu-operator-v25.3.0.values.yaml")
    toolkit = "nvcr.io/nvidia/k8s/container-toolkit:v1.17.5-ubuntu20.04"
    validator = "nvcr.io/nvidia/cloud-native/gpu-operator-validator:v25.3.0"
    assert values["toolkit"]["version"] == high.digest(toolkit)
    assert values["validator"]["version"] == high.digest(validator), "an operand, by its default"
    assert "version" not in values["operator"], "glued with a colon"
    assert "version" not in values["driver"], "the operator appends to it"
    assert "tag" not in values["node-feature-discovery"]["image"], "glued with a colon"
    found = check(high, archive, "gpu-operator-v25.3.0", least=12)
    assert sum("@sha256:" in name for name in found) >= 8


def test_pins_are_not_given_to_an_operator_that_nobody_knows(high: High) -> None:
    archive = network_operator.archive()
    high.load(needed(archive), {NETWORK: archive})
    assert high.relocate("--for", "helm", "--pin").code == 0
    found = check(high, archive, "network-operator-25.1.0", least=8)
    assert not any("@" in name for name in found)


def test_pins_go_into_the_key_that_a_chart_has_for_them(high: High) -> None:
    known = KNOWN["monitoring"]
    high.load(known.carried, {"charts.example/x/monitoring:0.9.0": known.archive})
    assert high.relocate("--for", "helm", "--pin").code == 0
    (values,) = high.documents("helm/monitoring-0.9.0.values.yaml")
    root = high.digest("quay.io/made-up/operator:v0.80.0").removeprefix("sha256:")
    assert values["operator"]["image"]["sha"] == root, "without sha256: before it"
    exporter = high.digest("docker.io/made-up/exporter:v2")
    assert values["exporter-a"]["image"]["digest"] == exporter
    check(high, known.archive, "monitoring-0.9.0", least=5)
