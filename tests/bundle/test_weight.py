"""Documents that are too heavy for their length are refused before they are parsed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from bundle import strictyaml, weight
from bundle.decode import parse_json
from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 3_000_000
HEAVY: dict[str, Callable[[], bytes]] = {
    "lists": lambda: b"[" + b"[]," * (SIZE // 3) + b"1]",
    "objects": lambda: b"[" + b'{"a":1},' * (SIZE // 8) + b"1]",
    "keys": lambda: b"{" + b",".join(b'"%06x":1' % n for n in range(SIZE // 10)) + b"}",
    "texts": lambda: b"[" + b'"ab",' * (SIZE // 5) + b"1]",
    "numbers": lambda: b"[" + b"1," * (SIZE // 2) + b"1]",
}


@pytest.mark.parametrize("name", HEAVY)
def test_many_small_parts_are_refused_unparsed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_args, **_more: pytest.fail("it was parsed"))
    with pytest.raises(ValueError, match="far more small parts"):
        parse_json(HEAVY[name](), limit=1 << 30)


def test_a_long_document_of_rows_is_read() -> None:
    row = {"digest": "sha256:" + "0" * 64, "size": 123456, "mediaType": "application/x", "ok": True}
    rows = [row] * 40_000
    assert parse_json(json.dumps(rows, separators=(",", ":")).encode(), limit=1 << 30) == rows


def test_a_short_document_may_be_as_dense_as_it_likes() -> None:
    found = parse_json(b"[" + b"[]," * 40_000 + b"1]", limit=1 << 30)
    assert len(cast("list[object]", found)) == 40_001


@pytest.mark.parametrize("text", ["[]]]]]", "}", '"', ":::", "]{", '"\\'])
def test_what_is_no_document_is_the_parsers_to_refuse(text: str) -> None:
    weight.check(text)
    with pytest.raises(ValueError, match=r"Extra data|Expecting|Unterminated"):
        parse_json(text.encode(), limit=100)


def test_yaml_of_too_many_nodes_is_refused_where_it_gets_too_much() -> None:
    data = b"- a\n" * (weight.FEW + 1)
    with pytest.raises(UsageError, match=r"x\.yaml:\d+:3: .*far more small parts"):
        strictyaml.parse(data, name="x.yaml", limit=1 << 30)


def test_yaml_may_have_very_many_rows() -> None:
    row = f"- {{digest: 'sha256:{'0' * 64}', size: 1}}\n"
    rows = row.encode() * 90_000
    found = strictyaml.parse(rows, name="x", limit=1 << 30).value
    assert len(cast("list[object]", found)) == 90_000


REPORTS: dict[str, object] = {
    "CycloneDX": {
        "bom-ref": "pkg:deb/ubuntu/libtasn1-6@4.18.0-4ubuntu0.1?arch=amd64&distro=ubuntu-22.04",
        "type": "library",
        "name": "libtasn1-6",
        "purl": "pkg:deb/ubuntu/libtasn1-6@4.18.0-4ubuntu0.1?arch=amd64&distro=ubuntu-22.04",
        "licenses": [{"license": {"name": "GPL-2.0"}}, {"license": {"id": "MIT"}}],
        "properties": [{"name": "aquasecurity:trivy:PkgType", "value": "ubuntu"}],
        "ratings": [{"source": {"name": "nvd"}, "score": 7.5, "severity": "high"}],
        "cwes": [125, 126],
        "affects": [{"ref": "p@1", "versions": [{"version": "1", "status": "affected"}]}],
    },
    "SARIF": {
        "ruleId": "CVE-2024-1",
        "ruleIndex": 1,
        "level": "note",
        "message": {"text": "Package: a"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "library/a", "uriBaseId": "ROOTPATH"},
                    "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
                }
            }
        ],
    },
}


@pytest.mark.parametrize("form", REPORTS)
def test_a_scanners_report_may_be_long_and_written_without_spaces(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight, "FREE", 0)
    text = json.dumps([REPORTS[form]] * 1000, separators=(",", ":"))
    read = parse_json(text.encode(), limit=1 << 30, foreign=True)
    assert isinstance(read, list)
    assert len(read) == 1000
