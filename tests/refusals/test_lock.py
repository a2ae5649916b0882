"""Locks that lie, or that somebody has edited: each with file, line and column, and exit code 2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundler import lock
from bundler.lock import Lock
from tests import factory
from tests.refusals.table import dray, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = """\
apiVersion: dray/v1
stream: prod
images:
  - nvcr.io/nvidia/cuda:12.6
"""
UPDATE = "--update writes the lock anew"
ZEROS = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def text() -> str:
    """A good lock of :data:`SPEC`: two images and a model."""
    kept = factory.Contents()
    return Lock("prod", Digest.of(SPEC.encode()), factory.sample(kept)).text.decode()


@dataclass(frozen=True)
class Edit:
    """``old``, which stands in the lock, becomes ``new``; ``at`` is what the place must be at."""

    name: str
    old: str
    new: str
    says: str
    at: str = ""
    count: int = 1


FIRST_LAYER = "digest: sha256:"
EDITS = (
    Edit("the version is another", "dray/v1", "dray/v9", "apiVersion: is 'dray/v9'", "dray/v9"),
    Edit("it is no lock", "kind: Lock", "kind: Spec", "kind: is 'Spec'", "Spec"),
    Edit(
        "a key is unknown",
        "stream: prod",
        "stream: prod\nstrem: x",
        "strem: is not a known key",
        "strem",
    ),
    Edit(
        "a key is doubled",
        "stream: prod",
        "stream: prod\nstream: x",
        "duplicate key, first on line 5",
        "stream: x",
    ),
    Edit("a key is missing", "kind: Lock\n", "", "'kind' is missing", "apiVersion"),
    Edit("the stream is none", "stream: prod", "stream: ../x", "stream: is not allowed", "../x"),
    Edit(
        "the spec's digest is none",
        "spec: sha256:",
        "spec: sha512:",
        "spec: must be sha256:",
        "sha512:",
    ),
    Edit(
        "the artifacts are a mapping",
        "artifacts:\n",
        "artifacts: {}\nrest:\n",
        "artifacts: must be a list",
        "{}",
    ),
    Edit("an anchor", "stream: prod", "stream: &a prod", "anchors (&a) are not allowed", "&a"),
    Edit("an alias", "stream: prod", "stream: *a", "aliases (*a) are not allowed", "*a"),
    Edit(
        "a tag of YAML",
        "stream: prod",
        "stream: !!python/object:os.system prod",
        "YAML tags",
        "!!python",
    ),
    Edit("a second document", "stream: prod", "---\nstream: prod", "second document", "---"),
    Edit("it is no YAML", "stream: prod", "stream: {", "not valid YAML"),
    Edit("a merge key", "stream: prod", "<<: {stream: prod}", "merge keys", "<<"),
    Edit(
        "a kind is none", "kind: image", "kind: driver", "artifacts[0].kind: is 'driver'", "driver"
    ),
    Edit("a size is text", "size: 5000", "size: many", ".size: must be a whole number", "many"),
    Edit("a size is negative", "size: 5000", "size: -1", ".size: is -1, not from 0", "-1"),
    Edit("a size is huge", "size: 5000", "size: 99999999999999999999", "is too large", "99999"),
    Edit("a size is another", "size: 5000", "size: 5001", "has two sizes"),
    Edit("a digest is cut", "root: sha256:", "root: sha256:x", "root: must be sha256:", "sha256:x"),
    Edit(
        "a root is not there",
        "root: sha256:",
        f"root: {ZEROS}\n  more: sha256:",
        "the root is not among",
    ),
    Edit("a role is none", "role: layer", "role: root", ".role: is 'root'", "root"),
    Edit("a path goes up", "weights/model.bin", "../../model.bin", "segment", "../../model.bin"),
    Edit(
        "a path is absolute", "weights/model.bin", "/etc/passwd", "is not a relative path", "/etc"
    ),
    Edit("two paths are one", "path: config.json", "path: readme.MD", "upper and lower case aside"),
    Edit("a tag is none", "tags: ['12.6']", "tags: ['a b']", "tags[0]: is not allowed", "'a b'"),
    Edit("an origin is none", "from: registry", "from: ftp", "origin.from: is 'ftp'", "ftp"),
    Edit("an origin lacks its host", "host: nvcr.io, ", "", "lacks its host"),
    Edit("an origin is of a mapping", "host: nvcr.io", "host: {a: b}", "host: must be text", "{a"),
    Edit(
        "an artifact is there twice",
        "nvcr.io/nvidia/pytorch:24.12",
        "nvcr.io/nvidia/cuda:12.6",
        "is there twice",
    ),
    Edit("a text is of another digest", "text: '{}'", "text: '{ }'", "is not the text of"),
)


def told(edit: Edit, text: str, folder: Path) -> tuple[Path, str]:
    assert edit.old in text, text
    spec = folder / "dray.yaml"
    spec.write_text(SPEC)
    changed = text.replace(edit.old, edit.new, edit.count)
    (folder / "dray.lock.yaml").write_text(changed)
    return spec, changed


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
@pytest.mark.parametrize("command", ["lock", "export"])
def test_a_lie_in_the_lock_is_refused_with_its_place(
    edit: Edit, command: str, text: str, tmp_path: Path
) -> None:
    spec, changed = told(edit, text, tmp_path)
    before = snapshot(tmp_path)
    to = ("--to", tmp_path / "out") if command == "export" else ()
    answer = dray(command, spec, *to, folder=tmp_path)
    assert answer.code == 2, answer
    assert edit.says in answer.err
    assert "dray: hint: " in answer.err
    assert snapshot(tmp_path) == before
    if edit.at:
        place = re.search(r"dray\.lock\.yaml:(\d+):(\d+): ", answer.err)
        assert place, answer.err
        line = changed.splitlines()[int(place[1]) - 1]
        assert line[int(place[2]) - 1 :].startswith(edit.at), (place[0], line)


def test_a_lock_of_another_spec_is_refused(text: str, tmp_path: Path) -> None:
    spec = tmp_path / "dray.yaml"
    spec.write_text(SPEC + "# changed\n")
    (tmp_path / "dray.lock.yaml").write_text(text)
    answer = dray("export", spec, "--to", tmp_path / "out", folder=tmp_path)
    assert answer.code == 2
    assert "the spec was changed since" in answer.err
    assert "review what changed" in answer.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda path: path.write_bytes(b""), "must be a mapping"),
        (lambda path: path.write_bytes(b"a: \0"), "U+0000"),
        (lambda path: path.write_text("[" * 100_000), "nested deeper than 40"),
    ],
)
def test_what_is_no_lock_is_refused(
    make: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    (tmp_path / "dray.yaml").write_text(SPEC)
    make(tmp_path / "dray.lock.yaml")
    answer = dray("export", "dray.yaml", "--to", "out", folder=tmp_path)
    assert answer.code == 2, answer
    assert says in answer.err


def test_a_lock_that_is_larger_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "MAX_BYTES", 1000)
    (tmp_path / "dray.yaml").write_text(SPEC)
    (tmp_path / "dray.lock.yaml").write_bytes(b"#" * 1001)
    answer = dray("export", "dray.yaml", "--to", "out", folder=tmp_path)
    assert answer.code == 2
    assert "larger than 1000 bytes" in answer.err
