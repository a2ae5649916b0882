"""The spec: everything that it can say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import reference
from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.gate.rules import Limit
from bundle.hosts import Host
from bundle.upstream.policy import KeyEntry, Rule
from bundler import spec
from bundler.spec import ChartEntry, FileEntry, HfEntry, ImageEntry, NgcEntry, NimEntry, Spec
from tests.bundler.specs import CUDA, HEAD, HEX, IMAGE, read

if TYPE_CHECKING:
    from pathlib import Path

FULL = f"""\
apiVersion: dray/v1
stream: nvidia-ai                 # sequence numbers count per stream
platforms: [linux/amd64, linux/arm64/v8]
nodes: {{os: [ubuntu22.04], kernels: [5.15.0-113-generic]}}
images:
  - {CUDA}
  - {{name: nvcr.io/nvidia/pytorch, tags: ">=24.12-py3, <26"}}
  - {{name: 127.0.0.1:5000/a/b, digest: "sha256:{HEX}", platforms: all}}
  - {{name: "nvcr.io/a/b:1.0", platforms: [linux/arm64]}}
  - nvcr.io/a/b@sha256:{HEX}
  - nvcr.io/a/b:1@sha256:{HEX}
charts:
  - {{repo: https://helm.ngc.nvidia.com/nvidia/, name: gpu-operator, version: v25.3.0}}
  - oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator:v26.7.0
  - {{repo: "oci://harbor.example:5000/charts", name: app, version: 1.2.3+b.1, images: discover}}
models:
  - ngc: nvidia/riva/speechtotext_en_us_citrinet_1024_gamma_0_25:deployable_v2.0.0
  - ngc: nvidia/model:1.0
resources:
  - ngc: nvidia/some_team/some_notebook:1.0
files:
  - {{url: "https://example.com/a/b%20c.run?download=true", sha256: {HEX}}}
  - {{url: http://mirror.example:8080/x, sha256: "sha256:{HEX}", path: d/e, size: 12}}
hf:
  - {{repo: nvidia/Model-1, commit: {"ab" * 20}}}
nims:
  - {{image: nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0, profiles: [auto]}}
policy:
  signing-keys: [{{name: nvidia, ngc: containers, fingerprint: "sha256:{HEX}"}}]
  require-signature: [nvcr.io/nvidia/*]
  max-severity: high
scan: {{with: [grype, syft], sbom: spdx}}
registries:
  nvcr.io: {{endpoint: "http://127.0.0.1:5001/"}}
  mirror.example:8080: {{plain-http: true}}
  harbor.example:5000: {{ca: ca.pem, plain-http: false}}
expires: 90d
"""


@pytest.fixture
def full(tmp_path: Path) -> Spec:
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "dray.yaml").write_text(FULL)
    return spec.load(tmp_path / "dray.yaml")


def test_everything_that_a_spec_can_say_is_read(full: Spec, tmp_path: Path) -> None:
    def at(line: int) -> str:
        return f"{tmp_path / 'dray.yaml'}:{line}:5"

    digest = Digest(f"sha256:{HEX}")
    assert full.stream == "nvidia-ai"
    assert full.platforms == ("linux/amd64", "linux/arm64/v8")
    assert full.images == (
        ImageEntry(CUDA, where=at(6)),
        ImageEntry("nvcr.io/nvidia/pytorch", ">=24.12-py3, <26", where=at(7)),
        ImageEntry(f"127.0.0.1:5000/a/b@{digest}", "", "all", at(8)),
        ImageEntry("nvcr.io/a/b:1.0", "", ("linux/arm64",), at(9)),
        ImageEntry(f"nvcr.io/a/b@{digest}", where=at(10)),
        ImageEntry(f"nvcr.io/a/b:1@{digest}", where=at(11)),
    )
    nvidia = "https://helm.ngc.nvidia.com/nvidia"
    oci = "oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator"
    assert full.charts == (
        ChartEntry(nvidia, "gpu-operator", "v25.3.0", "", at(13)),
        ChartEntry(oci, "gpu-operator", "v26.7.0", "", at(14)),
        ChartEntry("oci://harbor.example:5000/charts/app", "app", "1.2.3+b.1", "discover", at(15)),
    )
    citrinet = "speechtotext_en_us_citrinet_1024_gamma_0_25"
    assert full.models == (
        NgcEntry("model", "nvidia", "riva", citrinet, "deployable_v2.0.0", at(17)),
        NgcEntry("model", "nvidia", "", "model", "1.0", at(18)),
    )
    assert [str(entry) for entry in full.models][1] == "nvidia/model:1.0"
    assert full.resources == (
        NgcEntry("resource", "nvidia", "some_team", "some_notebook", "1.0", at(20)),
    )
    url = "https://example.com/a/b%20c.run?download=true"
    assert full.files == (
        FileEntry(url, digest, "b c.run", None, at(22)),
        FileEntry("http://mirror.example:8080/x", digest, "d/e", 12, at(23)),
    )
    assert full.hf == (HfEntry("nvidia/Model-1", "ab" * 20, at(25)),)
    nim = ImageEntry("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0", where=at(27))
    assert full.nims == (NimEntry(nim, ("auto",), at(27)),)


def test_the_settings_of_a_spec_are_read(full: Spec, tmp_path: Path) -> None:
    assert full.nodes == spec.Nodes(("ubuntu22.04",), ("5.15.0-113-generic",))
    key = KeyEntry("nvidia", ngc="containers", fingerprint=f"sha256:{HEX}")
    assert full.policy.rules == (Rule("nvcr.io/nvidia/*"),)
    assert [replace(found, where="") for found in full.policy.keys] == [key]
    assert full.policy.gates.limits == (Limit("*", "high"),)
    assert full.scans == spec.Scans(("grype", "syft"), "spdx")
    assert full.registries == {
        "nvcr.io": Host("http://127.0.0.1:5001"),
        "mirror.example:8080": Host(plain_http=True),
        "harbor.example:5000": Host(plain_http=False, ca_file=str(tmp_path / "ca.pem")),
    }
    assert full.lifetime == timedelta(days=90)
    assert full.digest == Digest.of(FULL.encode())
    assert full.path == tmp_path / "dray.yaml"
    assert full.warnings == ()


def test_what_is_left_out_has_a_default() -> None:
    made = read(HEAD + IMAGE + "charts:\nmodels: []\nnodes:\npolicy:\nregistries:\n")
    assert made.platforms == ("linux/amd64",)
    assert made.platforms_of(made.images[0]) == ("linux/amd64",)
    assert made.expires_days == 180
    assert made.scans == spec.Scans((), "cyclonedx")
    assert read(HEAD + IMAGE + "scan: {sbom: none}\n").scans == spec.Scans()
    assert (made.charts, made.models, made.nims, made.registries) == ((), (), (), {})


def test_a_reference_comes_in_its_parts() -> None:
    made = read(HEAD + f"images: ['127.0.0.1:5000/a/b:1@sha256:{HEX}']").images[0].reference
    assert (made.host, made.path, made.tag) == ("127.0.0.1:5000", "a/b", "1")
    assert made.digest == f"sha256:{HEX}"
    assert made.repository == "127.0.0.1:5000/a/b"


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        (
            "models: [{ngc: a/b:latest}]",
            "dray.yaml:3:10: models[0]: 'latest' is a label that moves",
        ),
        ("images: [nvcr.io/a/b:latest]", "dray.yaml:3:10: images[0]: 'latest' is a moving tag"),
        ("images: [{name: nvcr.io/a/b, tag: latest-py3}]", "images[0].name: 'latest-py3' is a mov"),
        (
            "images: [{name: nvcr.io/a/b, tags: '*'}]",
            "dray.yaml:3:36: images[0].tags: this pattern",
        ),
    ],
)
def test_what_moves_is_taken_with_a_warning(line: str, warning: str) -> None:
    [found] = read(HEAD + line).warnings
    assert warning in found


def test_a_moving_tag_beside_a_digest_is_no_warning() -> None:
    assert read(HEAD + f"images: ['nvcr.io/a/b:latest@sha256:{HEX}']").warnings == ()


def test_a_missing_spec_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        spec.load(tmp_path / "dray.yaml")
    assert "no such file" in caught.value.message
    assert "dray init" in caught.value.hint


def test_a_huge_spec_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dray.yaml"
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1048576 bytes"):
        spec.load(file)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40) | st.text("abcN.:/@-_ 0159#?%[]", max_size=40))
def test_any_text_is_an_image_or_refused(text: str) -> None:
    try:
        found = reference.parse(text)
    except reference.NamingError as error:
        assert str(error)
    else:
        assert str(found) == text


def test_the_answers_and_values_of_a_chart_are_read() -> None:
    text = (
        "charts:\n  - repo: https://a.b/c\n    name: d\n    version: 1.0.0\n    images: discover\n"
        "    answers:\n      'values.yaml: image': nvcr.io/a/b:1\n      'values.yaml: x.y': skip\n"
        "    values: {driver: {usePrecompiled: true, version: '570', scale: 1.5}}\n"
    )
    [chart] = read(HEAD + text).charts
    assert chart.answers == {"values.yaml: image": "nvcr.io/a/b:1", "values.yaml: x.y": "skip"}
    values = {"driver": {"usePrecompiled": True, "version": "570", "scale": 1.5}}
    assert chart.values == values


def test_a_chart_of_ngc_is_one_of_its_helm_repositories() -> None:
    text = "charts: [{ngc: nvidia/tao/tao-toolkit-api:5.5.0}, {ngc: nvidia/gpu-operator:v25.3.0}]"
    found = read(HEAD + text).charts
    assert [(chart.repo, chart.name, chart.version) for chart in found] == [
        ("https://helm.ngc.nvidia.com/nvidia/tao", "tao-toolkit-api", "5.5.0"),
        ("https://helm.ngc.nvidia.com/nvidia", "gpu-operator", "v25.3.0"),
    ]
