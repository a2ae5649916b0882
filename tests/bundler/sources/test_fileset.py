from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.artifact import REPOSITORY, TAG
from bundle.digest import Digest
from bundle.errors import SourceError
from bundle.fileset import EMPTY
from bundler.lock import LockedArtifact, Origin
from bundler.sources import fileset
from bundler.sources.fileset import File, Identity

NAME = "ngc/nvidia/riva/citrinet:1.0+a"
IDENTITY = Identity("model", NAME, "ngc/nvidia/riva/citrinet", "1.0+a")
ORIGIN = Origin("ngc", {"org": "nvidia", "name": "citrinet", "version": "1.0", "type": "models"})
FILES = [
    File("b/weights.bin", 3, Digest.of(b"abc")),
    File("a.txt", 1, Digest.of(b"a"), unvouched=True),
    File("a-copy.txt", 1, Digest.of(b"a")),
    File("empty", 0, Digest.of(b"")),
]


def build(files: list[File], identity: Identity = IDENTITY) -> LockedArtifact:
    return fileset.build(identity, files, origin=ORIGIN, notes={"a": "note"})


def test_the_artifact_is_what_the_format_says() -> None:
    locked = build(FILES)
    roles = [(item.content.role, item.content.path) for item in locked.contents]
    assert roles == [
        ("file", "a-copy.txt"),
        ("file", "a.txt"),
        ("file", "b/weights.bin"),
        ("file", "empty"),
        ("config", ""),
        ("manifest", ""),
    ]
    config, root = locked.contents[-2:]
    assert (config.text, config.content.media_type) == ("{}", EMPTY)
    assert root.content.digest == locked.artifact.root
    assert root.content.tags == ("1.0_a",)
    assert [item.unvouched for item in locked.contents[:4]] == [False, True, False, False]
    assert not locked.artifact.fault()


def test_the_manifest_is_an_oci_manifest_over_the_files() -> None:
    text = build(FILES).contents[-1].text
    assert text is not None
    manifest = json.loads(text)
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["artifactType"] == "application/vnd.dray.model.v1"
    assert manifest["config"]["digest"] == Digest.of(b"{}")
    assert manifest["annotations"] == {
        "com.nvidia.dray.source": NAME,
        "org.opencontainers.image.version": "1.0+a",
    }
    assert manifest["layers"][2] == {
        "mediaType": "application/vnd.dray.file.v1",
        "digest": Digest.of(b"abc"),
        "size": 3,
        "annotations": {"org.opencontainers.image.title": "b/weights.bin"},
    }


def test_the_order_of_the_files_changes_nothing() -> None:
    assert build(FILES) == build(FILES[::-1])


def test_the_bytes_of_a_manifest_stay_the_same_from_release_to_release() -> None:
    known = "sha256:308870f18c65d5d42810730a5bfb2f30ffffc259e7303a9fa6b5ccd6746bb126"
    assert build(FILES).artifact.root == known


@pytest.mark.parametrize("change", [{"name": "x"}, {"version": "2"}, {"kind": "resource"}], ids=str)
def test_what_the_artifact_is_stands_in_its_manifest(change: dict[str, str]) -> None:
    other = build(FILES, replace(IDENTITY, **change))
    assert other.artifact.root != build(FILES).artifact.root


@pytest.mark.parametrize(
    "paths",
    [
        ["../a"],
        ["/a"],
        ["a\\b"],
        ["a//b"],
        ["a/./b"],
        [""],
        ["a\0"],
        ["C:/a"],
        ["e\u0301"],
        ["\ud800"],
        ["x" * 901],
        ["a", "a"],
        ["README", "readme"],
        ["a", "a/b"],
        ["A/b", "a"],
    ],
    ids=ascii,
)
def test_paths_that_some_target_cannot_hold_are_refused(paths: list[str]) -> None:
    with pytest.raises(SourceError, match="ngc/nvidia/riva/citrinet"):
        build([File(path, 1, Digest.of(path.encode("utf-8", "replace"))) for path in paths])


def test_a_set_without_files_is_refused() -> None:
    with pytest.raises(SourceError, match="has no files"):
        build([])


def test_a_file_cannot_have_two_sizes() -> None:
    digest = Digest.of(b"a")
    with pytest.raises(SourceError, match="two sizes"):
        build([File("a", 1, digest), File("b", 2, digest)])


def test_more_files_than_a_manifest_can_list_are_refused() -> None:
    files = [File(f"{'x' * 800}-{number}", 1, Digest.of(b"a")) for number in range(4500)]
    with pytest.raises(SourceError, match="more than one manifest can list"):
        build(files)


@pytest.mark.parametrize(
    ("version", "tag"),
    [("1.0", "1.0"), ("1.0+cu12", "1.0_cu12"), (".1", "_1"), ("", "_"), ("é" * 200, "_" * 128)],
)
def test_a_version_becomes_a_tag(version: str, tag: str) -> None:
    assert fileset.tag(version) == tag


@given(st.text())
@settings(deadline=None)
def test_every_version_becomes_some_tag(version: str) -> None:
    assert re.fullmatch(TAG, fileset.tag(version))


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("ngc/nvidia", "ESM2nv"), "ngc/nvidia/esm2nv"),
        (("Example.com:8443", "/a b/./c_/"), "example.com:8443/a-b/c"),
        (("h", "//..//x"), "h/x"),
    ],
)
def test_names_are_joined_to_a_repository(parts: tuple[str, ...], joined: str) -> None:
    assert fileset.repository(*parts) == joined


@given(st.lists(st.text(max_size=40), max_size=4))
@settings(deadline=None)
def test_every_name_becomes_a_repository_or_an_error(parts: list[str]) -> None:
    try:
        joined = fileset.repository(*parts)
    except SourceError:
        return
    assert re.fullmatch(REPOSITORY, joined)
