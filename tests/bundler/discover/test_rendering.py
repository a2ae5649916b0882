"""The built-in reader prints what helm prints, expression by expression."""

from __future__ import annotations

import pytest

from bundle.charts import chart, helmprogram, helmyaml, rendering
from tests.bundler.discover.reading import small
from tests.servers.programs import require

VALUES = {
    "s": "a-b_c.D",
    "num": 7,
    "large": 20240101,
    "small": 0.00001,
    "f": 1.5,
    "t": True,
    "e": "",
    "z": None,
    "l": ["x", "y", "x"],
    "m": {"b": 1, "a": {"c": "deep"}},
    "version": 1.10,
    "v": "{{ .Values.s }}",
}
EXPRESSIONS = """\
.Values.s
.Values.missing
.Values.version
.Values.l
.Values.m.a
.Values.t
.Values.large
.Values.large | int64
.Values.large | toString
.Values.small
kindOf .Values.large
toYaml .Values.large
.Values.num | quote
.Values.s | upper | lower | title
.Values.s | trunc 3
.Values.s | trunc -3
.Values.s | replace "-" "+"
.Values.s | trimSuffix ".D" | trimPrefix "a"
printf "%s-%d-%v-%q-%t-%5.2f-%%" .Values.s 7 .Values.f "x" true 1.5
print .Values.s "/" .Values.e
default "x" .Values.e
.Values.t | ternary "yes" "no"
coalesce .Values.e .Values.missing "c"
empty .Values.e
eq .Values.s "a-b_c.D" "x"
eq (int .Values.num) 7
ne 1 2
and .Values.t "last"
or .Values.e "other"
not .Values.e
lt 1 2
ge 2 2
contains "b" .Values.s
hasPrefix "a-" .Values.s
has "x" .Values.l
hasKey .Values.m "a"
get .Values.m "b"
index .Values.l 1
index .Values.m "a" "c"
dig "a" "c" "no" .Values.m
dig "a" "q" "no" .Values.m
len .Values.l
first .Values.l
last .Values.l
rest .Values.l
initial .Values.l
uniq .Values.l
without .Values.l "x"
append .Values.l "w" | join ","
concat .Values.l (list 1 2)
reverse .Values.l
sortAlpha (list "b" "a")
splitList "-" .Values.s
(split "-" .Values.s)._0
join "/" .Values.l
keys .Values.m | sortAlpha
pick .Values.m "b"
omit .Values.m "b"
dict "a" 1 "b" (list 2)
merge (dict "a" 1) (dict "a" 2 "b" 3)
mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3)
toYaml .Values.m | nindent 2
toJson .Values.m
fromYaml "a: [1, b]"
fromJson "{\\"a\\": {\\"b\\": 1}}"
add 1 2 3
add1 4
sub 5 2
mul 2 3 4
div 7 2
mod 7 2
max 1 5 3
min 4 2
int "7"
int64 3.9
until 3
untilStep 1 7 2
kindOf .Values.l
kindOf .Values.m
kindIs "string" .Values.s
kindIs "bool" .Values.t
typeOf .Values.s
b64enc "hello"
b64dec "aGVsbG8="
sha256sum "x"
quote 1 "a b"
squote .Values.s
cat "a" "b" 1
indent 2 "a\\nb"
repeat 3 "ab"
nospace "a b c"
substr 1 3 .Values.s
trim "  x "
trimAll "-" "--x--"
kebabcase "HelloWorld"
snakecase "HelloWorld"
camelcase "hello_world"
tpl .Values.v .
include "name" .
include "name" (dict "Chart" (dict "Name" "other"))
(include "name" . | upper)
semverCompare ">=1.21-0" .Capabilities.KubeVersion.Version
semverCompare "<1.21.0" .Capabilities.KubeVersion.GitVersion
semverCompare "^1.2" "1.9.0"
semverCompare "~1.2.3" "1.3.0"
semverCompare ">=1.2.0 <2.0.0" "1.5.0"
semverCompare ">1.2 || <1.0" "1.1.0"
semverCompare "1.2.x" "1.2.9"
semverCompare ">=1.2.0" "1.3.0-rc.1"
.Capabilities.KubeVersion.Minor
.Capabilities.APIVersions.Has "policy/v1"
.Capabilities.APIVersions.Has "monitoring.coreos.com/v1"
.Capabilities.APIVersions.Has "networking.k8s.io/v1"
.Chart.Name
.Chart.AppVersion
.Release.Name
.Release.Namespace
.Release.IsInstall
.Files.Get "extra.txt"
.Template.Name
$.Values.num
""".splitlines()
BLOCKS = {
    "if": "{{ if .Values.e }}a{{ else if .Values.t }}b{{ else }}c{{ end }}",
    "with": "{{ with .Values.m }}{{ .b }}{{ $.Values.num }}{{ end }}",
    "with else": "{{ with .Values.e }}a{{ else }}{{ .Values.num }}{{ end }}",
    "range": "{{ range $i, $e := .Values.l }}{{ $i }}={{ $e }};{{ end }}",
    "range of a mapping": "{{ range $k, $v := .Values.m }}{{ $k }};{{ end }}",
    "range else": "{{ range .Values.missing }}a{{ else }}none{{ end }}",
    "variables": '{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ end }}{{ $x }}',
    "shadow": '{{ $x := "a" }}{{ if true }}{{ $x := "b" }}{{ $x }}{{ end }}{{ $x }}',
    "trim": "a  {{- /* gone */ -}}  b {{- 1 }} {{ 2 -}} c",
    "set": '{{ $m := dict }}{{ $_ := set $m "a" 1 }}{{ $m.a }}',
    "template": '{{ template "name" . }}',
    "block": '{{ block "blk" . }}{{ .Chart.Name }}{{ end }}',
    "and in if": "{{ if and .Values.t (or .Values.e .Values.num) (not .Values.e) }}y{{ end }}",
    "raw string": "{{ `a {{ b }} \\n` }}",
}


def pages() -> list[str]:
    return [*(f"{{{{ {line} }}}}" for line in EXPRESSIONS), *BLOCKS.values()]


@pytest.mark.server
def test_both_readers_print_the_same() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n"
    body = "".join(
        f'  e{n}: {{{{ tpl (.Files.Get "e{n}") . | quote }}}}\n' for n, _ in enumerate(pages())
    )
    files: dict[str, str | bytes] = {f"e{n}": text for n, text in enumerate(pages())}
    files["extra.txt"] = "more"
    name = '{{- define "name" -}}{{ .Chart.Name | trunc 63 }}{{- end -}}'
    archive = small(VALUES, {"c.yaml": head + body, "_h.tpl": name}, files)
    helm = helmprogram.render(str(require("helm")), archive, {})
    own = rendering.render(chart.place(chart.read(archive), {}))
    expected, found = (
        helmyaml.load(next(page for page in rendered if page.file == "templates/c.yaml").text)[
            "data"
        ]
        for rendered in (helm, own)
    )
    different = {
        text: (expected[f"e{n}"], found[f"e{n}"])
        for n, text in enumerate(pages())
        if expected[f"e{n}"] != found[f"e{n}"]
    }
    assert not different
