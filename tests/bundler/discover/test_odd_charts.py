"""Charts that spell their images in other ways: what is found, and what is asked."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from bundle.errors import UsageError
from fixtures.chartfiles import below, chart_yaml, dump, pack
from tests.bundler.discover.reading import READERS, carried, left, pod, read, small

SHA = "sha256:" + "ab" * 32
HEX = "ab" * 32
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n"
FULL = '"{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}"'


class Odd(NamedTuple):
    archive: bytes
    carried: list[str]
    left: list[str] = []  # noqa: RUF012  (never changed)
    answers: dict[str, str] = {}  # noqa: RUF012


def _sub(name: str, values: object, **more: str | bytes) -> dict[str, str | bytes]:
    image = '"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"'
    files: dict[str, str | bytes] = {
        "Chart.yaml": chart_yaml(name, "0.1.0", "9.9"),
        "values.yaml": dump(values),
        "templates/pod.yaml": pod(image, "{{ .Chart.Name }}"),
    }
    return {**files, **more}


def _umbrella(dependency: dict[str, Any], values: object, *, packed: bool = False) -> bytes:
    sub = _sub("sub", {"image": {"repository": "reg.example/sub"}})
    files = {"charts/sub-0.1.0.tgz": pack("sub", sub)} if packed else below("charts/sub", sub)
    needs = [{"name": "sub", "version": "0.1.0", "repository": "", **dependency}]
    return small(values, files=files, dependencies=needs)


CSV = {
    "apiVersion": "operators.coreos.com/v1alpha1",
    "kind": "ClusterServiceVersion",
    "metadata": {
        "name": "x",
        "annotations": {
            "alm-examples": json.dumps(
                [
                    {
                        "kind": "Thing",
                        "spec": {
                            "part": {"repository": "reg.example/a", "image": "b", "version": "1"}
                        },
                    },
                    {"kind": "Thing", "spec": {"image": "bare"}},
                ]
            )
        },
    },
    "spec": {"relatedImages": [{"name": "c", "image": "reg.example/c:2"}]},
}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {"schema": {"properties": {"image": {"type": "string", "default": "reg.example/d:3"}}}},
}
TEST_POD = (
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: t\n  annotations:\n    helm.sh/hook: test\n"
)
TEST_POD += "spec:\n  containers:\n    - {name: t, image: busybox}\n"

ODD = {
    "registry, repository, tag": Odd(
        small(
            {"image": {"registry": "reg.example", "repository": "a/b", "tag": 1.5}},
            {"p.yaml": pod(FULL)},
        ),
        ["reg.example/a/b:1.5"],
    ),
    "global.imageRegistry in a template": Odd(
        small(
            {
                "global": {"imageRegistry": "mirror.example:5000"},
                "image": {"registry": "docker.io", "repository": "a/b", "tag": "1"},
            },
            {
                "p.yaml": pod(
                    "{{ .Values.global.imageRegistry | default .Values.image.registry }}/"
                    "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
                )
            },
        ),
        ["mirror.example:5000/a/b:1"],
    ),
    "global.imageRegistry over values that no template uses": Odd(
        small(
            {
                "global": {"imageRegistry": "mirror.example"},
                "image": {"registry": "docker.io", "repository": "a/b", "tag": "1"},
            }
        ),
        ["mirror.example/a/b:1"],
    ),
    "a digest for a version": Odd(
        small({"x": {"repository": "reg.example/a", "image": "b", "version": SHA}}),
        [f"reg.example/a/b@{SHA}"],
    ),
    "a tag and a digest": Odd(
        small({"image": {"repository": "reg.example/a", "tag": "1", "digest": SHA}}),
        [f"reg.example/a:1@{SHA}"],
    ),
    "a containerSHA beside a whole name": Odd(
        small({"x": {"image": "reg.example/a:1", "containerSHA": HEX}}),
        [f"reg.example/a:1@{SHA}"],
    ),
    "a scalar with a digest": Odd(
        small({"workerImage": f"reg.example/a:1@{SHA}"}), [f"reg.example/a:1@{SHA}"]
    ),
    "an image beside a version": Odd(
        small({"x": {"image": "reg.example/a", "version": "2"}}), ["reg.example/a:2"]
    ),
    "lists": Odd(
        small(
            {
                "extraImages": ["reg.example/a:1", "reg.example/b:2"],
                "l": [{"image": "reg.example/c:3"}],
            }
        ),
        ["reg.example/a:1", "reg.example/b:2", "reg.example/c:3"],
    ),
    "tpl": Odd(
        small(
            {"v": "7", "ref": "reg.example/{{ .Chart.Name }}:{{ .Values.v }}"},
            {"p.yaml": pod("{{ tpl .Values.ref . }}")},
        ),
        ["reg.example/small:7"],
    ),
    "helpers, printf and dict": Odd(
        small(
            {"img": {"reg": "reg.example", "name": "a/b"}},
            {
                "_h.tpl": '{{- define "img" -}}{{- $t := .i.tag | default .root.Chart.AppVersion '
                '-}}{{ printf "%s/%s:%s" .i.reg .i.name $t | quote }}{{- end -}}',
                "p.yaml": pod('{{ include "img" (dict "i" .Values.img "root" $) }}'),
            },
        ),
        ["reg.example/a/b:4.5.6"],
    ),
    "ranges, with, else if and versions of Kubernetes": Odd(
        small(
            {"parts": {"b": {"tag": "2"}, "a": {"tag": "1"}}},
            {
                "p.yaml": "{{- range $name, $part := .Values.parts }}\n---\n"
                + pod("reg.example/{{ $name }}:{{ $part.tag }}", "p-{{ $name }}")
                + "{{- end }}\n{{- with .Values.nothing }}\n---\n"
                + pod("reg.example/no:1", "no")
                + "{{- else }}\n---\n{{- $kube := .Capabilities.KubeVersion.Version }}"
                + '{{- if semverCompare ">=1.21-0" $kube }}\n'
                + pod("reg.example/new:1", "new")
                + "{{- else }}\n"
                + pod("reg.example/old:1", "old")
                + "{{- end }}\n{{- end }}\n"
            },
        ),
        ["reg.example/a:1", "reg.example/b:2", "reg.example/new:1"],
    ),
    "names in arguments and variables": Odd(
        small(
            templates={
                "p.yaml": pod(
                    "reg.example/op:1",
                    more="      args: [--reloader-image=reg.example/r:2, --level=info,"
                    " --image-pull=x, --worker-image, 'reg.example/w:3',"
                    " '--sidecar=reg.example/s:4']\n"
                    "      env:\n        - {name: RELATED_IMAGE_X, value: 'reg.example/x:5'}\n"
                    "        - {name: URL, value: 'http://reg.example/y:6'}\n"
                    "        - {name: IMAGE_PULL_POLICY, value: Always}\n",
                )
            }
        ),
        [f"reg.example/{n}" for n in ("op:1", "r:2", "s:4", "w:3", "x:5")],
    ),
    "a manifest inside a ConfigMap": Odd(
        small(
            templates={
                "c.yaml": CONFIG_MAP + "  pod.yaml: |\n"
                "    spec:\n      containers:\n        - image: reg.example/in:1\n"
            }
        ),
        ["reg.example/in:1"],
    ),
    "anchors and merge keys": Odd(
        small(
            "base: &b {repository: reg.example/a, tag: '1'}\n"
            "image:\n  <<: *b\n  tag: '2'\nimages: []\n"
        ),
        ["reg.example/a:1", "reg.example/a:2"],
    ),
    "samples, related images and defaults of CRDs": Odd(
        small(
            templates={"csv.yaml": dump(CSV)},
            files={"crds/c.yaml": dump(CRD) + "---\n" + dump({**CRD, "metadata": {"name": "e"}})},
        ),
        ["reg.example/c:2"],
        ["reg.example/a/b:1", "reg.example/d:3"],
    ),
    "a pod for helm test": Odd(
        small(templates={"tests/t.yaml": TEST_POD, "p.yaml": pod("reg.example/a:1")}),
        ["reg.example/a:1"],
    ),
    "a sub-chart switched off by its condition": Odd(
        _umbrella({"condition": "sub.enabled"}, {"sub": {"enabled": False, "image": {"tag": "3"}}}),
        [],
        ["reg.example/sub:3"],
    ),
    "a sub-chart switched off by its tag": Odd(
        _umbrella(
            {"tags": ["extras"]}, {"tags": {"extras": False}, "sub": {"image": {"tag": "3"}}}
        ),
        [],
        ["reg.example/sub:3"],
    ),
    "a packed sub-chart with its own appVersion": Odd(
        _umbrella({}, {}, packed=True), ["reg.example/sub:9.9"]
    ),
    "a sub-chart under an alias": Odd(
        _umbrella(
            {"alias": "other"}, {"other": {"image": {"tag": "5"}}, "sub": {"image": {"tag": "6"}}}
        ),
        ["reg.example/sub:5"],
    ),
    "a part that values switch off": Odd(
        small(
            {
                "m": {
                    "enabled": False,
                    "image": {"repository": "bare", "tag": ""},
                    "x": {"image": "r.io/a:1"},
                }
            }
        ),
        [],
        ["r.io/a:1"],
    ),
    "things that are no images": Odd(
        small(
            {
                "image": {"pullPolicy": "Always"},
                "repository": "https://charts.example",
                "git": {"repository": "https://git.example/x", "version": "1"},
                "imagePullPolicy": "Always",
                "url": "registry.example/path",
                "service": "db.default.svc/x:1",
                "nodeSelector": {"example.com/image": "x"},
                "sub": {"version": "1.0", "name": "x"},
            }
        ),
        [],
    ),
    "a bare name with an answer": Odd(
        small({"image": "nginx:1.25"}, {"p.yaml": pod("{{ .Values.image }}")}),
        ["docker.io/library/nginx:1.25"],
        answers={"values.yaml: image": "docker.io/library/nginx:1.25"},
    ),
    "a bare name that is not wanted": Odd(
        small({"image": "nginx"}), [], answers={"values.yaml: image": "skip"}
    ),
    "an image answered by its own name": Odd(
        small({"image": "reg.example/a:1"}), [], answers={"reg.example/a:1": "skip"}
    ),
    "a NicClusterPolicy that shares": Odd(
        small(
            templates={
                "n.yaml": "apiVersion: mellanox.com/v1alpha1\nkind: NicClusterPolicy\n"
                "metadata: {name: n}\n"
                "spec:\n  global: {repository: reg.example/m, version: v1}\n"
                "  nvIpam: {image: ipam}\n  secondaryNetwork:\n"
                "    multus: {image: multus, version: v2}\n"
            }
        ),
        ["reg.example/m/ipam:v1", "reg.example/m/multus:v2"],
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_what_a_chart_names_is_found(reader: str, odd: Odd) -> None:
    found = read(odd.archive, reader, answers=odd.answers)
    assert carried(found) == odd.carried
    assert left(found) == odd.left


ASKED = {
    "a bare name": (small({"image": "nginx:1.25"}), "values.yaml: image", "no registry host"),
    "a short name of Docker Hub": (
        small({"image": "docker.io/nginx:1"}),
        "values.yaml: image",
        "short",
    ),
    "no tag": (
        small({"image": {"repository": "reg.example/a"}}),
        "values.yaml: image.repository",
        "neither a tag nor a digest",
    ),
    "no tag in a triplet": (
        small({"x": {"repository": "reg.example/a", "image": "b", "version": ""}}),
        "values.yaml: x.{repository,image}",
        "neither a tag nor a digest",
    ),
    "a digest that is none": (
        small({"x": {"repository": "reg.example/a", "image": "b", "version": "sha256:12"}}),
        "values.yaml: x.{repository,image,version}",
        "64 lower-case hex",
    ),
    "a template in values": (
        small({"image": "reg.example/a:{{ .Values.v }}"}),
        "values.yaml: image",
        "known in part only",
    ),
    "a bare name in a manifest": (
        small(templates={"p.yaml": pod("nginx")}),
        "templates/p.yaml: Pod/p spec.containers[0].image",
        "no registry host",
    ),
    "a bare name in a variable": (
        small(
            templates={
                "p.yaml": pod(
                    "reg.example/a:1", more="      env: [{name: SIDE_IMAGE, value: side}]\n"
                )
            }
        ),
        "templates/p.yaml: Pod/p spec.containers[0].env[0].value",
        "no registry host",
    ),
    "a bare name in an argument": (
        small(
            templates={"p.yaml": pod("reg.example/a:1", more="      args: ['--x-image=side']\n")}
        ),
        "templates/p.yaml: Pod/p spec.containers[0].args[0]",
        "no registry host",
    ),
    "a bare name in a ConfigMap": (
        small(templates={"c.yaml": CONFIG_MAP + "  p: |\n    a: b\n    image: busybox\n"}),
        "templates/c.yaml: ConfigMap/c data.p image",
        "no registry host",
    ),
    "a bare name in a template of a template": (
        small(
            templates={
                "c.yaml": CONFIG_MAP + "  p: |\n    {{ `{{ if x }}` }}\n    image: busybox\n"
            }
        ),
        "templates/c.yaml: ConfigMap/c data.p line 2",
        "no registry host",
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("archive", "place", "why"), ASKED.values(), ids=ASKED.keys())
def test_what_means_nothing_by_itself_is_asked(
    reader: str, archive: bytes, place: str, why: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(archive, reader)
    assert f"\n  {place}: " in caught.value.message
    assert why in caught.value.message
    assert f'"{place}": HOST/PATH:TAG, or skip' in caught.value.hint
    assert carried(read(archive, reader, answers={place: "skip"})) in ([], ["reg.example/a:1"])


def test_everything_open_is_asked_at_once() -> None:
    archive = small({"image": "nginx", "x": {"image": "redis"}}, {"p.yaml": pod("busybox")})
    with pytest.raises(UsageError) as caught:
        read(archive)
    assert "chart x: 3 names of images cannot be told" in caught.value.message
    for place in ("values.yaml: image", "values.yaml: x.image", "templates/p.yaml: Pod/p"):
        assert place in caught.value.message


def test_a_name_from_values_that_a_template_completes_is_asked_once() -> None:
    archive = small(
        {"image": {"repository": "nginx"}},
        {"p.yaml": pod("{{ .Values.image.repository }}:{{ .Chart.AppVersion }}")},
    )
    with pytest.raises(UsageError) as caught:
        read(archive)
    assert "a name of images" in caught.value.message
    assert "values.yaml: image.repository: 'nginx:4.5.6'" in caught.value.message


def test_an_answer_that_nothing_asks_for_is_an_error() -> None:
    with pytest.raises(UsageError, match="answers that nothing asks for"):
        read(small({"image": "reg.example/a:1"}), answers={"values.yaml: imgae": "skip"})
