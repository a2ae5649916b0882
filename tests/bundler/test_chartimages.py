"""The images of charts on the emulated NGC: found, pinned with the reason, and shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from bundle.errors import UsageError
from bundler import cli, spec
from bundler.resolve import Upstreams, resolve
from fixtures.ngc import emulate, sample_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.lock import Lock
    from fixtures.ngc import EmulatedNgc

CLASSIC = (
    "  - repo: https://helm.ngc.nvidia.com/nvidia\n    name: gpu-operator\n    version: v25.3.0\n"
)
CLASSIC += "    images: discover\n"
OCI = "  - repo: oci://nvcr.io/nvidia/cloud-native-charts\n    name: gpu-operator\n"
OCI += "    version: v26.7.0\n    images: discover\n"
NODES = "nodes: {os: [ubuntu22.04]}\n"
DRIVER = "nvcr.io/nvidia/driver:570.124.06-ubuntu22.04"
PLACE = "values.yaml: driver.{repository,image,version}"
IMAGES = [
    "nvcr.io/nvidia/cloud-native/k8s-driver-manager:v0.8.0",
    DRIVER,
    "nvcr.io/nvidia/gpu-operator:v25.3.0",
    "nvcr.io/nvidia/k8s-device-plugin:v0.17.1",
]


@pytest.fixture(scope="module")
def ngc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedNgc]:
    with emulate(sample_catalogue(0.001, folder=tmp_path_factory.mktemp("content"))) as running:
        yield running


def write(ngc: EmulatedNgc, folder: Path, text: str) -> Path:
    path = folder / "dray.yaml"
    known = {h: {"endpoint": e["endpoint"], "ca": str(e["ca"])} for h, e in ngc.registries.items()}
    head = f"apiVersion: dray/v1\nstream: s\nregistries: {json.dumps(known)}\n"
    path.write_text(head + text)
    return path


def lock(path: Path) -> tuple[Lock, list[str]]:
    loaded, said = spec.load(path), list[str]()
    upstreams = Upstreams(loaded, said.append)
    try:
        return resolve(loaded, upstreams), said
    finally:
        upstreams.close()


def notes(found: Lock) -> dict[str, str]:
    return {
        item.artifact.name: item.artifact.notes.get("why", "")
        for item in found.artifacts
        if item.artifact.kind == "image"
    }


@pytest.mark.parametrize(
    ("chart", "name"), [(CLASSIC, "gpu-operator v25.3.0"), (OCI, "gpu-operator v26.7.0")]
)
def test_the_images_of_a_chart_are_pinned_with_the_reason(
    ngc: EmulatedNgc, tmp_path: Path, chart: str, name: str
) -> None:
    found, _said = lock(write(ngc, tmp_path, NODES + "charts:\n" + chart))
    assert sorted(notes(found)) == IMAGES
    assert notes(found)[DRIVER] == f"{name} {PLACE}"
    assert [item.artifact.kind for item in found.artifacts].count("chart") == 1


def test_charts_that_share_an_image_both_say_why(ngc: EmulatedNgc, tmp_path: Path) -> None:
    found, _said = lock(write(ngc, tmp_path, NODES + "charts:\n" + CLASSIC + OCI))
    whys = [f"gpu-operator {version} {PLACE}" for version in ("v25.3.0", "v26.7.0")]
    assert notes(found)[DRIVER] == "; ".join(whys)


def test_an_image_that_the_spec_names_itself_is_left_to_its_entry(
    ngc: EmulatedNgc, tmp_path: Path
) -> None:
    own = f"images: [{{name: '{DRIVER}', platforms: all}}]\n"
    found, _said = lock(write(ngc, tmp_path, own + NODES + "charts:\n" + CLASSIC))
    assert sorted(notes(found)) == IMAGES
    assert notes(found)[DRIVER] == ""


def test_without_discover_a_chart_comes_alone(ngc: EmulatedNgc, tmp_path: Path) -> None:
    alone = CLASSIC.replace("discover", "none")
    found, _said = lock(write(ngc, tmp_path, "charts:\n" + alone))
    assert [item.artifact.kind for item in found.artifacts] == ["chart"]


def test_what_the_chart_leaves_open_names_the_entry_of_the_spec(
    ngc: EmulatedNgc, tmp_path: Path
) -> None:
    path = write(ngc, tmp_path, "charts:\n" + CLASSIC)
    with pytest.raises(UsageError) as caught:
        lock(path)
    assert caught.value.message.startswith(f"{path}:5:5: chart gpu-operator v25.3.0: the spec does")
    assert "needs nodes.os" in caught.value.message


def test_answers_and_values_of_the_spec_are_heard(ngc: EmulatedNgc, tmp_path: Path) -> None:
    cuda = "{image: cuda, version: 12.6.0-base-ubuntu22.04}"
    more = f"    answers: {{'{PLACE}': skip}}\n    values: {{devicePlugin: {cuda}}}\n"
    found, said = lock(write(ngc, tmp_path, NODES + "charts:\n" + CLASSIC + more))
    new = "nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04"
    assert sorted(notes(found)) == [IMAGES[0], new, IMAGES[2]]
    assert not [text for text in said if "switched off" in text]


def test_what_is_left_behind_is_said(ngc: EmulatedNgc, tmp_path: Path) -> None:
    more = "    values: {extra: {enabled: false, image: 'reg.example/a:1'}}\n"
    found, said = lock(write(ngc, tmp_path, NODES + "charts:\n" + CLASSIC + more))
    assert sorted(notes(found)) == IMAGES
    [text] = [text for text in said if "switched off" in text]
    assert text.startswith("chart gpu-operator v25.3.0: 1 image of parts that are switched off")


def test_why_shows_every_image_and_writes_nothing(ngc: EmulatedNgc, tmp_path: Path) -> None:
    path = write(ngc, tmp_path, NODES + "charts:\n" + CLASSIC)
    done = CliRunner().invoke(cli.lock, [str(path), "--why"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "gpu-operator v25.3.0" in lines
    assert f"      {PLACE}" == lines[lines.index(f"  {DRIVER}") + 1]
    done = CliRunner().invoke(cli.lock, [str(path), "--why", "--json"])
    rows = json.loads(done.stdout)["images"]
    assert [row["image"] for row in rows] == IMAGES
    assert rows[1]["why"] == PLACE
    assert rows[1]["expanded-from"] == "nvcr.io/nvidia/driver:570.124.06"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["dray.yaml"]
