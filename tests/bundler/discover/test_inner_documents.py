"""Images that stand inside of texts: documents, lists, scripts, files that templates take in."""

from __future__ import annotations

import json
import time

import pytest

from bundle.charts.files import Files
from bundle.errors import UsageError
from tests.bundler.discover.reading import READERS, carried, pod, read, small

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n"
A = "reg.example/a:1"


def config(text: str, key: str = "p") -> str:
    """Return a ConfigMap that holds a text under one key."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return f"{CONFIG_MAP}  {key}: |\n{lines}"


def thing(value: object) -> str:
    """Return a resource of an unknown kind whose spec is one value."""
    return json.dumps(
        {"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": value}
    )


POLICY = """\
apiVersion: mellanox.com/v1alpha1
kind: NicClusterPolicy
spec:
  ofedDriver: {repository: reg.example/mellanox, image: doca-driver, version: "25.01"}
"""
INSIDE = {
    "JSON in one line": (
        {"c.yaml": thing({"json": '{"containers": [{"image": "reg.example/a:1"}]}'})},
        [A],
    ),
    "JSON in several lines": ({"c.yaml": config('{\n  "image" : "reg.example/a:1"\n}')}, [A]),
    "JSON under keys that name nothing": (
        {"c.yaml": config('{"router": {"image": "reg.example/a", "tag": "1"}}', "router")},
        [A],
    ),
    "YAML with an image in parts": (
        {"c.yaml": config("x:\n  image: {repository: reg.example/a, tag: 1}\n")},
        [A],
    ),
    "several documents": ({"c.yaml": config("a: 1\n---\nimage: reg.example/a:1\n")}, [A]),
    "a document inside a document inside a document": (
        {"c.yaml": thing({"t": json.dumps({"t": json.dumps({"image": A})})})},
        [A],
    ),
    "an operator's resource, expanded as what it is": (
        {"c.yaml": config(POLICY)},
        [
            "reg.example/mellanox/doca-driver:25.01-rhel9.4-amd64",
            "reg.example/mellanox/doca-driver:25.01-ubuntu22.04-amd64",
        ],
    ),
    "a text that is no document": (
        {"c.yaml": config("[[ if x ]]\nimage: reg.example/a:1\n{{ `{{ end }}` }}")},
        [A],
    ),
    "Knative's example": (
        {"c.yaml": config("image: reg.example/no:1", "_example")},
        [],
    ),
    "names with commas between": (
        {"p.yaml": pod(A, more="      args: ['--images=reg.example/b:1,reg.example/c:2']\n")},
        [A, "reg.example/b:1", "reg.example/c:2"],
    ),
    "names with commas between in a variable": (
        {
            "p.yaml": pod(
                A, more="      env: [{name: X, value: 'reg.example/b:1, reg.example/c:2'}]\n"
            )
        },
        [A, "reg.example/b:1", "reg.example/c:2"],
    ),
    "a flag in a command line": (
        {"p.yaml": pod(A, more="      args: ['-c', 'kubectl run x --image=reg.example/b:1']\n")},
        [A, "reg.example/b:1"],
    ),
    "a flag in a script": (
        {"c.yaml": config("#!/bin/sh\nset -e\nkubectl debug --image 'reg.example/b:1' node/x")},
        ["reg.example/b:1"],
    ),
    "a flag that only begins so, and a variable": (
        {"c.yaml": config("#!/bin/sh\nrun --image-pull-policy=Always --image=$X --imagex y\n")},
        [],
    ),
    "a model as an OCI artifact": (
        {"c.yaml": thing({"storageUri": "oci://reg.example/model:2"})},
        ["reg.example/model:2"],
    ),
    "pictures": (
        {"c.yaml": thing({"logoImage": "https://x.example/l.png", "iconImage": "/i.png"})},
        [],
    ),
    "an image that a template takes from a file": (
        {"c.yaml": CONFIG_MAP + '{{ (.Files.Glob "files/*.yaml").AsConfig | indent 2 }}\n'},
        ["reg.example/file:1"],
    ),
    "files one by one": (
        {
            "c.yaml": CONFIG_MAP
            + '{{ range $path, $_ := .Files.Glob "**.yaml" }}  {{ base $path }}: |\n'
            "{{ $.Files.Get $path | indent 4 }}\n{{ end }}"
        },
        ["reg.example/file:1"],
    ),
    "a template in a file": (
        {"p.yaml": '{{ tpl (.Files.Get "files/pod.tpl") . }}'},
        ["reg.example/tpl:4.5.6"],
    ),
    "a loop that is left early": (
        {
            "p.yaml": '{{ range list "a" "b" "c" "d" }}{{ if eq . "b" }}{{ continue }}{{ end }}'
            '{{ if eq . "d" }}{{ break }}{{ end }}\n---\n'
            + pod("reg.example/{{ . }}:1", "{{ . }}")
            + "{{ end }}"
        },
        [A, "reg.example/c:1"],
    ),
}
FILES = {
    "files/a.yaml": "spec:\n  image: reg.example/file:1\n",
    "files/pod.tpl": pod("reg.example/tpl:{{ .Chart.AppVersion }}"),
    "files/deep/b.yml": "image: reg.example/unused:1\n",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("templates", "wanted"), INSIDE.values(), ids=INSIDE.keys())
def test_what_stands_inside_is_found(
    reader: str, templates: dict[str, str], wanted: list[str]
) -> None:
    assert carried(read(small({}, templates, FILES), reader)) == wanted


@pytest.mark.parametrize("reader", READERS)
def test_a_place_inside_a_document_can_be_answered(reader: str) -> None:
    archive = small({}, {"c.yaml": config('{"agent": {"image": "agent:v1"}}')})
    place = "templates/c.yaml: ConfigMap/c data.p agent.image"
    with pytest.raises(UsageError) as caught:
        read(archive, reader)
    assert f"\n  {place}: 'agent:v1' has no registry host" in caught.value.message
    assert carried(read(archive, reader, answers={place: A})) == [A]


@pytest.mark.parametrize("reader", READERS)
def test_values_that_sub_charts_export_are_taken_over(reader: str) -> None:
    sub = {
        "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        "charts/sub/values.yaml": (
            "exports:\n  data: {image: {name: reg.example/exported, tag: '1'}}\n"
            "inner: {tag: '7', other: x}\n"
        ),
    }
    needs = {"name": "sub", "version": "1.0.0", "repository": ""}
    needs["import-values"] = ["data", {"child": "inner", "parent": "taken"}]  # type: ignore[assignment]
    template = pod("{{ .Values.image.name }}:{{ .Values.image.tag }}-{{ .Values.taken.tag }}")
    archive = small({"image": {"tag": "2"}}, {"p.yaml": template}, sub, dependencies=[needs])
    found = carried(read(archive, reader))
    assert "reg.example/exported:2-7" in found, "what the chart says itself wins"


def test_a_loop_that_may_be_left_is_asked_about() -> None:
    """The built-in reader cannot tell: nothing may be left out for that."""
    loop = '{{ range list "a" "b" }}{{ if randAlpha 1 }}{{ break }}{{ end }}\n---\n'
    archive = small({}, {"p.yaml": loop + pod("reg.example/{{ . }}:1", "{{ . }}") + "{{ end }}"})
    with pytest.raises(UsageError, match="a part cannot be decided"):
        read(archive)


BOX = '{{- define "box" -}}\n- {name: x, image: "reg.example/{{ . }}:1"}\n{{- end -}}\n'
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n"
HIDDEN = {
    "a loop over what is not known": '{{ range (regexSplit "," "a,b" -1) }}'
    '{{ include "box" . | nindent 4 }}{{ end }}',
    "what else there is": '{{ if regexMatch "a" "b" }}{{ else }}{{ template "box" "b" }}{{ end }}',
    "a name that is not known": '    {{ include (regexFind "b.*" "box") "b" | nindent 4 }}',
    "a template that is not there": '    {{ include "no-such" . }}',
    "what a function makes of it": '    {{ include "box" "b" | regexReplaceAll "a" "b" }}',
}


@pytest.mark.parametrize("template", HIDDEN.values(), ids=HIDDEN.keys())
def test_an_image_that_hides_behind_a_template_is_asked_about(template: str) -> None:
    """No image of it is seen, so nothing but the doubt tells that there may be one."""
    archive = small({}, {"_box.tpl": BOX, "p.yaml": POD + template})
    with pytest.raises(UsageError, match="a part cannot be decided"):
        read(archive)


def test_templates_that_take_each_other_in_are_looked_through_once() -> None:
    pairs = [
        f'{{{{ define "a{n}" }}}}{{{{ include "a{n + 1}" . }}}}{{{{ include "b{n + 1}" . }}}}'
        f'{{{{ end }}}}{{{{ define "b{n}" }}}}{{{{ include "a{n + 1}" . }}}}'
        f'{{{{ include "b{n + 1}" . }}}}{{{{ end }}}}'
        for n in range(60)
    ]
    loop = '{{ range regexSplit "," "a" -1 }}{{ include "a0" . }}{{ end }}'
    start = time.monotonic()
    read(small({}, {"_t.tpl": "".join(pairs), "p.yaml": f"a: b\n# {loop}\n"}))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("reader", READERS)
def test_a_sidecar_of_an_annotation_is_found(reader: str) -> None:
    note = "annotations: {sidecar.example/proxyImage: 'reg.example/proxy:1', x/logoImage: 'y'}"
    bare = pod(A).replace("metadata:\n", f"metadata:\n  {note}\n")
    inner = (
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n"
        f"    metadata:\n      {note.replace('proxy:1', 'proxy:2')}\n"
    )
    archive = small({}, {"p.yaml": bare + inner})
    assert carried(read(archive, reader)) == [A, "reg.example/proxy:1", "reg.example/proxy:2"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", ["a.yaml"]),
        ("**", ["a.yaml", "b/c.yaml", "b/d/e.yml"]),
        ("b/*", ["b/c.yaml"]),
        ("b/**", ["b/c.yaml", "b/d/e.yml"]),
        ("**.yaml", ["a.yaml", "b/c.yaml"]),
        ("b/**/*.yml", ["b/d/e.yml"]),
        ("?.yaml", ["a.yaml"]),
        ("{a,x}.yaml", ["a.yaml"]),
        ("**.{yaml,yml}", ["a.yaml", "b/c.yaml", "b/d/e.yml"]),
        ("[a-c].yaml", ["a.yaml"]),
        ("[!a].yaml", []),
        ("\\a.yaml", ["a.yaml"]),
        ("a.yam", []),
        ("", []),
    ],
)
def test_files_are_chosen_as_helm_does(pattern: str, found: list[str]) -> None:
    content = dict.fromkeys(("a.yaml", "b/c.yaml", "b/d/e.yml"), b"x")
    hidden = {"Chart.yaml": b"", "values.yaml": b"", "templates/t.yaml": b""}
    assert list(Files.of({**content, **hidden}).glob(pattern)) == found


@pytest.mark.parametrize("pattern", ["{a", "{{a,b}}", "[a", "x" * 401, "{a,b}" * 7])
def test_a_pattern_that_is_none_is_unknown(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|class"):
        Files().glob(pattern)


def test_no_pattern_takes_long() -> None:
    files = Files({"a" * 250: ""})
    start = time.monotonic()
    assert not files.glob("*a**a" * 70 + "b")
    assert time.monotonic() - start < 2
