"""Charts that want to hurt: refused or left unread, in bounded time, never a traceback."""

from __future__ import annotations

import io
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle.charts import helmprogram
from bundle.errors import DrayError, SourceError, UsageError
from bundler.discover import discover
from bundler.spec import Nodes
from fixtures.chartfiles import chart_yaml, pack
from tests.bundler.discover.reading import NODES, READERS, carried, pod, read, small
from tests.servers.programs import require

if TYPE_CHECKING:
    from pathlib import Path

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
)


def tar(**names: bytes) -> bytes:
    """Return a .tgz with members of these names, as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as members:
        for name, data in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            members.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


CHART = chart_yaml("x", "1.0.0").encode()
REFUSED = {
    "no archive": (b"nothing", "no .tgz"),
    "cut": (small({"image": "reg.example/a:1"})[:-20], "no .tgz"),
    "up": (tar(**{"x/Chart.yaml": CHART, "x/../../etc/passwd": b""}), "a member called"),
    "absolute": (tar(**{"/x/Chart.yaml": CHART}), "a member called"),
    "backslash": (tar(**{"x/Chart.yaml": CHART, "x/a\\b": b""}), "a member called"),
    "no Chart.yaml": (tar(**{"x/values.yaml": b""}), "without Chart.yaml"),
    "large": (pack("x", {"Chart.yaml": CHART, "big": bytes(6 << 20)}), "larger than"),
    "huge": (
        pack("x", {"Chart.yaml": CHART, **{f"f{n}": bytes(5 << 20) for n in range(14)}}),
        "unpacks to more than",
    ),
    "values that are a list": (small("[a]\n"), "is no mapping"),
    "values that are a bomb": (small(BOMB), "more than 500000 nodes"),
    "values of too many parts": (small("---\n" * 80_000), "more than 150000 nodes are written"),
    "values that hold themselves": (small("a: &a [*a]\n"), "alias"),
    "deep values": (small("a: " + "[" * 100 + "]" * 100), "nested deeper"),
    "values with a type": (small("a: !!python/object/apply:os.system [x]\n"), "could not"),
    "a sub-chart that is missing": (
        small(dependencies=[{"name": "gone", "version": "1.0.0", "repository": ""}]),
        "'gone' is not in charts/",
    ),
}


@pytest.mark.parametrize(("archive", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_chart_is_refused_with_the_reason(archive: bytes, why: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(archive)
    assert caught.value.message.startswith("chart x cannot be read: ")
    assert why in caught.value.message


def test_charts_in_one_another_without_end_are_refused() -> None:
    inner = pack("x", {"Chart.yaml": CHART})
    for _ in range(9):
        inner = pack("x", {"Chart.yaml": CHART, "charts/x.tgz": inner})
    with pytest.raises(SourceError, match="too many charts"):
        read(inner)


def test_links_are_never_followed() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as members:
        for name, target in (("x/values.yaml", "/etc/passwd"), ("x/templates/p.yaml", "../y")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            members.addfile(link)
        chart = tarfile.TarInfo("x/Chart.yaml")
        chart.size = len(CHART)
        members.addfile(chart, io.BytesIO(CHART))
    assert read(buffer.getvalue()) == []


ENDLESS = {
    "a template that includes itself": '{{- define "a" }}{{ include "a" . }}{{ end }}'
    '{{ include "a" . }}',
    "a range without end": "{{ range until 99999 }}{{ range until 99999 }}x{{ end }}{{ end }}",
    "a text without end": '{{ range until 99999 }}{{ repeat 100000 "xxxxxxxxxx" }}{{ end }}',
    "tpl of itself": '{{ define "t" }}{{ tpl "{{ include \\"t\\" . }}" . }}{{ end }}'
    '{{ include "t" . }}',
    "an action that nothing closes": "{{ if .Values.x",
    "an if that nothing ends": "{{ if .Values.x }}",
    "keys of two types": '{{ $m := dict "a" 1 }}{{ $_ := set $m 1 2 }}{{ $m }}',
    "brackets": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "branches": "{{ if 1 }}" * 300 + "{{ end }}" * 300,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_template_without_end_is_not_read_and_is_asked_about(text: str) -> None:
    archive = small(templates={"p.yaml": text, "q.yaml": pod("reg.example/a:1")})
    with pytest.raises(UsageError) as caught:
        read(archive)
    message = caught.value.message
    assert "templates/p.yaml: its template cannot be read" in message
    place = message.splitlines()[1].strip().removesuffix(": helm would know: install it")
    assert carried(read(archive, answers={place: "skip"})) == ["reg.example/a:1"]


@pytest.mark.server
def test_a_condition_that_cannot_be_decided_is_asked_about_where_images_hang_on_it() -> None:
    body = '{{ if regexMatch "a+" .Values.v }}\n' + pod("reg.example/a:1") + "{{ else }}\n"
    archive = small({"v": "b"}, {"p.yaml": body + pod("reg.example/b:1") + "{{ end }}"})
    with pytest.raises(UsageError, match="a part cannot be decided"):
        read(archive)
    assert carried(read(archive, "helm")) == ["reg.example/b:1"]


def test_an_unknown_part_of_a_name_is_never_filled_in() -> None:
    archive = small(templates={"p.yaml": pod("reg.example/a:{{ randAlpha 3 }}")})
    with pytest.raises(UsageError) as caught:
        read(archive)
    assert "'reg.example/a:…' is known in part only" in caught.value.message


@pytest.mark.parametrize("reader", READERS)
def test_a_template_that_sets_values_does_not_change_what_they_name(reader: str) -> None:
    set_it = '{{ $_ := set .Values.x "image" "reg.example/b:2" }}\n'
    archive = small({"x": {"image": "reg.example/a:1"}}, {"p.yaml": set_it})
    assert carried(read(archive, reader)) == ["reg.example/a:1"]


@pytest.mark.parametrize("reader", READERS)
def test_labels_that_are_not_known_do_not_hide_the_image(reader: str) -> None:
    text = pod("reg.example/a:1").replace(
        "spec:", '  labels:\n    {{- regexReplaceAll "x" "a: b" "y" | nindent 4 }}\nspec:', 1
    )
    assert carried(read(small(templates={"p.yaml": text}), reader)) == ["reg.example/a:1"]


@pytest.mark.server
def test_a_chart_that_helm_refuses_is_read_without_it() -> None:
    archive = small(
        {"image": "reg.example/a:1"}, {"p.yaml": pod('{{ required "say x" .Values.x }}')}
    )
    said: list[str] = []
    answers = {"templates/p.yaml: Pod/p spec.containers[0].image": "skip"}
    found = discover(archive, NODES, helm=str(require("helm")), answers=answers, warn=said.append)
    assert carried(found) == ["reg.example/a:1"]
    [text] = said
    assert "helm cannot render it" in text
    assert "say x" in text


def script(folder: Path, body: str) -> str:
    path = folder / "helm"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_helm_that_hangs_or_floods_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helmprogram, "TIMEOUT", 0.2)
    with pytest.raises(helmprogram.HelmError, match="stopped"):
        helmprogram.render(script(tmp_path, "exec sleep 60"), b"", {})
    monkeypatch.setattr(helmprogram, "TIMEOUT", 60.0)
    monkeypatch.setattr(helmprogram, "OUTPUT_LIMIT", 1000)
    with pytest.raises(helmprogram.HelmError, match="stopped"):
        helmprogram.render(script(tmp_path, "exec yes"), b"", {})


def test_helm_sees_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGC_API_KEY", "nvapi-secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    seen = tmp_path / "seen"
    helmprogram.render(script(tmp_path, f"env > {seen}"), b"", {})
    names = dict(line.split("=", 1) for line in seen.read_text().splitlines())
    assert not {"NGC_API_KEY", "HTTPS_PROXY"} & set(names)
    assert names["HOME"] not in {"", str(tmp_path)}
    assert names["KUBECONFIG"].startswith(names["HOME"])


def test_helm_that_is_not_installed_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    archive = small({"image": "reg.example/a:1"})
    assert carried(discover(archive, Nodes())) == ["reg.example/a:1"]


@pytest.mark.server
def test_every_refusal_is_one_of_ours() -> None:
    for archive, _why in REFUSED.values():
        with pytest.raises(DrayError):
            read(archive, "helm")
