from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.sources import chartfile

if TYPE_CHECKING:
    from collections.abc import Mapping

YAML = b"""\
apiVersion: v2
name: gpu-operator
version: v25.3.0
appVersion: 25.10
description: |
  two
  lines
keywords: [gpu, cuda]
deprecated: true
annotations:
  a.b/c: "1"
maintainers:
- name: somebody
  email: s@example.com
  unknown: 1
dependencies:
- name: node-feature-discovery
  version: ">= 0.16"
  repository: https://kubernetes-sigs.github.io/nfd
  condition: nfd.enabled
  tags: [x]
unknown-to-helm: {deep: [1, 2]}
"""


def tgz(files: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
    # The same bytes in every process: parameters of tests are part of the tests' names.
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in more:
            archive.addfile(member)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_the_metadata_is_what_helm_makes_of_it() -> None:
    found = chartfile.metadata(tgz({"gpu-operator/Chart.yaml": YAML, "gpu-operator/x": b"1"}))
    assert found == {
        "apiVersion": "v2",
        "name": "gpu-operator",
        "version": "v25.3.0",
        "appVersion": "25.10",
        "description": "two\nlines\n",
        "keywords": ["gpu", "cuda"],
        "deprecated": True,
        "annotations": {"a.b/c": "1"},
        "maintainers": [{"name": "somebody", "email": "s@example.com"}],
        "dependencies": [
            {
                "name": "node-feature-discovery",
                "version": ">= 0.16",
                "repository": "https://kubernetes-sigs.github.io/nfd",
                "condition": "nfd.enabled",
                "tags": ["x"],
            }
        ],
    }


def test_charts_inside_the_chart_are_not_the_chart() -> None:
    files = {"a/charts/b/Chart.yaml": b"name: b\n", "a/Chart.yaml": b"name: a\n"}
    assert chartfile.metadata(tgz(files)) == {"name": "a"}


def test_other_members_may_be_anything_because_none_is_extracted() -> None:
    files = {"../../../etc/passwd": b"x", "/etc/shadow": b"y", "a/Chart.yaml": b"name: a\n"}
    link = special("a/link", tarfile.SYMTYPE, "/etc/passwd")
    assert chartfile.metadata(tgz(files, link)) == {"name": "a"}


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"", "no .tgz|0 files"),
        (b"no archive", "no .tgz"),
        (gzip.compress(b"no tar at all" * 100, mtime=0), "no .tgz|0 files"),
        (tgz({"a/Chart.yaml": YAML})[:-20], "no .tgz"),
        (tgz({}), "0 files"),
        (tgz({"Chart.yaml": YAML}), "0 files"),
        (tgz({"a/Chart.yaml": YAML, "b/Chart.yaml": YAML}), "2 files"),
        (tgz({"a/Chart.yaml": YAML, "./a/Chart.yaml": YAML}), "2 files"),
        (tgz({}, special("a/Chart.yaml", tarfile.SYMTYPE, "/etc/passwd")), "no plain file"),
        (tgz({}, special("a/Chart.yaml", tarfile.LNKTYPE, "x")), "no plain file"),
        (tgz({}, special("a/Chart.yaml", tarfile.DIRTYPE)), "no plain file"),
        (tgz({}, special("a/Chart.yaml", tarfile.FIFOTYPE)), "no plain file"),
        (tgz({"a/Chart.yaml": b"#" * (2 << 20)}), "too large"),
        (tgz({"a/Chart.yaml": b"- a\n"}), "no mapping"),
        (tgz({"a/Chart.yaml": b"\xff"}), "utf-8"),
        (tgz({"a/Chart.yaml": b"name: [a]\n"}), "'name' is no text"),
        (tgz({"a/Chart.yaml": b"keywords: {a: b}\n"}), "'keywords' is no list"),
        (tgz({"a/Chart.yaml": b"keywords: [[a]]\n"}), "'keywords' is no text"),
        (tgz({"a/Chart.yaml": b"annotations: [a]\n"}), "'annotations' is no mapping"),
        (tgz({"a/Chart.yaml": b"annotations: {a: [b]}\n"}), "'a' is no text"),
        (tgz({"a/Chart.yaml": b"maintainers: [a]\n"}), "no mapping"),
        (tgz({"a/Chart.yaml": b"dependencies: [{tags: a}]\n"}), "'tags' is no list"),
        (tgz({"a/Chart.yaml": b"name: a\nname: b\n"}), "duplicate key"),
    ],
)
def test_an_archive_that_is_no_chart_is_refused(archive: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        chartfile.metadata(archive)


def test_an_archive_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chartfile, "UNPACKED_LIMIT", 4 << 20)
    with pytest.raises(ValueError, match="unpacks to more than"):
        chartfile.metadata(tgz({"a/Chart.yaml": YAML, "a/zeros": bytes(8 << 20)}))


def test_a_header_that_claims_a_long_name_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chartfile, "UNPACKED_LIMIT", 4 << 20)
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with pytest.raises(ValueError, match="a header in it has more than"):
        chartfile.metadata(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20)))


def test_long_names_of_long_names_are_refused() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    block = info.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")
    with pytest.raises(ValueError, match="more than 8 headers"):
        chartfile.metadata(gzip.compress(block * 5000))


@given(st.binary(max_size=600), st.integers(0, 511))
@settings(deadline=None, max_examples=200)
def test_a_damaged_header_gives_metadata_or_a_value_error(noise: bytes, at: int) -> None:
    plain = bytearray(gzip.decompress(tgz({"a/Chart.yaml": b"name: a\n"})))
    plain[at : at + len(noise)] = noise
    try:
        chartfile.metadata(gzip.compress(bytes(plain), 1))
    except ValueError:
        return
