"""Whatever a chart says: a whole name comes out, or a question."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import reference
from bundle.errors import UsageError
from bundler.discover import discover
from bundler.spec import Nodes
from fixtures.chartfiles import chart_yaml, dump, pack

KEYS = st.sampled_from(
    [
        *(
            "image",
            "repository",
            "version",
            "tag",
            "digest",
            "registry",
            "name",
            "images",
            "driver",
        ),
        *("enabled", "usePrecompiled", "containerSHA", "global", "imageRegistry", "gds", "args"),
    ]
)
NAMES = st.sampled_from(
    [
        *(
            "",
            "nginx",
            "nvidia/driver",
            "nvcr.io/nvidia",
            "nvcr.io/nvidia/cuda:12",
            "1.0",
            "latest",
        ),
        *(
            "reg.example:5000/a",
            "docker.io/nginx",
            "sha256:" + "0" * 64,
            "0" * 64,
            "a b",
            "UPPER/x",
        ),
        *(
            "{{ .Values.image }}",
            "reg.example/a@sha256:12",
            "http://reg.example/a:1",
            "--x-image=y",
        ),
        *("reg.example/{{ .Values.tag }}:1", "a:b:c", "@", ":", "/", "reg.example/a:" + "x" * 200),
    ]
)
LEAVES = NAMES | st.booleans() | st.integers(-9, 999) | st.none() | st.floats(0, 9)
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner | LEAVES, max_size=3), max_size=4),
    max_leaves=12,
)
EXPRESSIONS = st.sampled_from(
    [
        *(
            "{{ .Values.image }}",
            "{{ .Values.driver.image }}",
            '"{{ .Values.x | quote }}"',
            "nginx",
        ),
        *(
            "{{ toYaml .Values | nindent 8 }}",
            '{{ include "x" . }}',
            "{{ tpl (toYaml .Values) . }}",
        ),
        *(
            "{{ default .Chart.AppVersion .Values.tag }}",
            "{{ regexFind . }}",
            "{{ range .Values }}",
        ),
        *("{{ .Values.repository }}/{{ .Values.image }}:{{ .Values.version }}", "{{ end }}", "{{"),
        *("{{ if .Values.enabled }}a.b/c:1{{ else }}d{{ end }}", "{{ index .Values.args 0 }}"),
    ]
)
KINDS = st.sampled_from(["Pod", "ClusterPolicy", "NVIDIADriver", "NicClusterPolicy", "ConfigMap"])
NODES = Nodes(("ubuntu22.04",), ("5.15.0-1",))


def _chart(values: dict[str, Any], kind: str, lines: list[str]) -> bytes:
    body = "".join(f"  image{number}: {line}\n" for number, line in enumerate(lines))
    body += "".join(f"  p{number}:\n    image: {line}\n" for number, line in enumerate(lines))
    manifest = f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: x\nspec:\n{body}"
    files = {"Chart.yaml": chart_yaml("c", "1.0.0", "2.0"), "values.yaml": dump(values)}
    return pack("c", {**files, "templates/x.yaml": manifest})


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, KINDS, st.lists(EXPRESSIONS, max_size=4))
def test_every_image_has_a_host_and_a_tag_or_a_digest(
    values: dict[str, Any], kind: str, lines: list[str]
) -> None:
    try:
        found = discover(_chart(values, kind, lines), NODES, architectures=["amd64"], helm="")
    except UsageError as error:
        assert error.message.count("\n") >= 1
        return
    for image in found:
        name = reference.parse(image.reference)
        assert name.host
        assert name.tag or name.digest
        assert image.why in image.places
