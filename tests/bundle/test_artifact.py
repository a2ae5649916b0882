"""What an artifact may be called, what it must consist of, and where its files may go."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bundle.artifact import Artifact, Content, path_fault
from bundle.decode import Fields, Path, spell
from bundle.digest import Descriptor, Digest
from bundle.errors import UsageError

FILE, OTHER, ROOT = (Digest.of(word) for word in (b"file", b"other", b"root"))


def file(path: str, digest: Digest = FILE, size: int = 4) -> Content:
    return Content("file", "application/x", digest, size, path=path)


def manifest(**changes: Any) -> Content:
    return replace(Content("manifest", "application/m", ROOT, 9, tags=("1",)), **changes)


def artifact(*contents: Content, **changes: Any) -> Artifact:
    made = Artifact("model", "ngc/m:1", "ngc/m", "1", ROOT, (*contents, manifest()))
    return replace(made, **changes)


def fields(value: object) -> Fields:
    def fault(path: Path, message: str, hint: str) -> UsageError:
        return UsageError(f"{spell(path)} {message}", hint=hint)

    return Fields(value, (), fault)


def test_a_content_reads_back_what_it_wrote() -> None:
    full = Content("manifest", "a/b", ROOT, 9, "linux/arm64/v8", "", ("1", "x"), FILE)
    for content in (full, file("dir/file"), manifest()):
        assert Content.read(fields(json.loads(json.dumps(content.to_dict())))) == content


def test_a_content_writes_nothing_that_is_empty() -> None:
    content = Content("layer", "a/b", FILE, 4)
    wanted = {"role": "layer", "size": 4, "digest": str(FILE), "mediaType": "a/b"}
    assert content.to_dict() == wanted
    assert content.descriptor == Descriptor("a/b", FILE, 4)


def test_an_artifact_reads_back_what_it_wrote() -> None:
    made = artifact(file("a"), notes={"index": "complete"})
    contents = tuple(Content.read(fields(item.to_dict())) for item in made.contents)
    assert Artifact.read(fields(made.to_dict()), contents) == made


def test_an_artifact_knows_its_manifests_files_and_size() -> None:
    made = artifact(file("a"), file("b"), Content("layer", "a/b", OTHER, 100))
    assert [content.digest for content in made.manifests] == [ROOT]
    assert [content.path for content in made.files] == ["a", "b"]
    assert made.size == 4 + 100 + 9, "a digest counts once"


BAD_FIELDS: list[tuple[str, object]] = [
    ("kind", "images"),
    ("name", "a b"),
    ("name", ""),
    ("name", "é"),
    ("repository", "Host/a"),
    ("repository", "/a"),
    ("repository", "a/"),
    ("repository", "a" * 256),
    ("version", "v" * 256),
    ("root", "sha256:1"),
    ("notes", {"a": 1}),
]


@pytest.mark.parametrize(("key", "value"), BAD_FIELDS)
def test_an_impossible_field_of_an_artifact_is_refused(key: str, value: object) -> None:
    body = artifact().to_dict() | {key: value}
    with pytest.raises(UsageError, match=f"^{key}"):
        Artifact.read(fields(body), artifact().contents)


BAD_CONTENTS: list[tuple[str, object]] = [
    ("role", "blob"),
    ("mediaType", "nothing"),
    ("mediaType", "a/b\n"),
    ("size", -1),
    ("size", 2**53),
    ("platform", "linux"),
    ("platform", "Linux/amd64"),
    ("tags", ["a b"]),
    ("tags", [".a"]),
    ("tags", ["a" * 129]),
    ("subject", "sha256:1"),
    ("subject", None),
    ("path", "../a"),
]


@pytest.mark.parametrize(("key", "value"), BAD_CONTENTS)
def test_an_impossible_field_of_a_content_is_refused(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{key}"):
        Content.read(fields(manifest().to_dict() | {key: value}))


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (artifact(file("a", size=4), file("b", size=5)), f"{FILE} has two sizes"),
        (artifact(file("a"), file("A", OTHER)), "two files are called 'A', upper and lower case"),
        (artifact(file("straße"), file("STRASSE", OTHER)), "two files are called 'STRASSE'"),
        (artifact(file("a"), file("a")), "two files are called 'a'"),
        (artifact(file("a"), file("a/b", OTHER)), "'a' is both a file and a folder"),
        (artifact(file("x/a/b"), file("X/A", OTHER)), "'x/a' is both a file and a folder"),
        (artifact(file("")), f"{FILE} is a file without a path"),
        (artifact(root=OTHER), "the root is not among the contents"),
        (artifact(file("a"), root=FILE), "the root is not among the contents"),
        (artifact(replace(file("a"), tags=("1",))), "only a manifest or an index has tags"),
    ],
)
def test_contents_that_contradict_each_other_are_refused(made: Artifact, fault: str) -> None:
    assert made.fault().startswith(fault)
    with pytest.raises(UsageError) as caught:
        Artifact.read(fields(made.to_dict()), made.contents)
    assert fault in caught.value.message


@pytest.mark.parametrize(
    "made",
    [
        artifact(),
        artifact(file("a/b"), file("a/c", OTHER), file("ab", OTHER)),
        artifact(file("a"), file("b")),
        artifact(manifest(role="index", digest=OTHER), root=OTHER),
    ],
)
def test_contents_that_go_together_have_no_fault(made: Artifact) -> None:
    assert made.fault() == ""


@pytest.mark.parametrize(
    "path",
    ["a", "a/b/c.txt", "ä/ö", ".hidden", "a..b", "...", "a b", "-", "C", "x" * 900, "\U0001f600"],
)
def test_a_plain_relative_path_is_taken(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", "is empty or longer"),
        ("x" * 901, "is empty or longer"),
        ("ä" * 451, "is empty or longer"),
        ("/etc/passwd", "is not a relative path"),
        ("a\\b", "is not a relative path"),
        ("c:/x", "is not a relative path"),
        ("C:", "is not a relative path"),
        ("a\nb", "has control characters"),
        ("a\x00", "has control characters"),
        ("a\x7f", "has control characters"),
        ("a\x85", "has control characters"),
        ("a\u202eb", "has control characters"),
        ("a\u2028", "has control characters"),
        ("..", "has an empty, '.' or '..' segment"),
        ("a/../b", "has an empty, '.' or '..' segment"),
        ("./a", "has an empty, '.' or '..' segment"),
        ("a//b", "has an empty, '.' or '..' segment"),
        ("a/", "has an empty, '.' or '..' segment"),
        ("e\u0301", "is not in Unicode normal form C"),
        ("a\ud800", "is not UTF-8"),
    ],
)
def test_a_path_that_some_system_could_not_hold_is_refused(path: str, fault: str) -> None:
    assert path_fault(path).startswith(fault)
