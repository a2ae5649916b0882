"""Names at a target."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.artifact import Artifact
from bundle.digest import Digest
from bundle.errors import UsageError
from importer.targets.base import Claim
from importer.targets.naming import Naming, Rule, refuse_collisions
from tests.importer.targets.samples import Shelf

ROOT = Digest.of(b"root")


def artifact(kind: str, repository: str, version: str = "1.0") -> Artifact:
    return Artifact(kind, f"{repository}:{version}", repository, version, ROOT, ())


@pytest.mark.parametrize(
    ("kind", "repository", "name"),
    [
        ("image", "nvcr.io/nvidia/cuda", "ngc/nvidia/cuda"),
        ("image", "localhost:5000/x/y", "ngc/x/y"),
        ("image", "cuda", "ngc/cuda"),
        ("chart", "helm.ngc.nvidia.com/nvidia/gpu-operator", "ngc/charts/nvidia/gpu-operator"),
        ("model", "ngc/nvidia/riva/name", "ngc/models/nvidia/riva/name"),
    ],
)
def test_the_host_is_dropped_and_the_kind_is_a_folder(
    kind: str, repository: str, name: str
) -> None:
    assert Naming("ngc").repository(artifact(kind, repository), "harbor:5000") == name


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("model", "models/org/m/1.0"),
        ("resource", "resources/org/m/1.0"),
        ("file", "files/org/m/1.0"),
    ],
)
def test_files_are_in_a_folder_of_kind_name_and_version(kind: str, folder: str) -> None:
    assert Naming().folder(artifact(kind, "ngc/org/m")) == folder


def test_an_artifact_without_a_version_is_in_the_folder_of_its_name() -> None:
    assert Naming().folder(artifact("file", "example.com/a/b", "")) == "files/a/b"


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("nvcr.io/", "ngc/", "p/ngc/nvidia/cuda"),
        ("nvcr.io", "ngc", "p/ngc/nvidia/cuda"),
        ("nvcr.io/nvidia/cuda", "cuda", "p/cuda"),
        ("nvcr.io/nvidia/", "", "p/cuda"),
        ("nvcr.io/nvidia/cu", "x", "p/nvidia/cuda"),
        ("nvcr.io/nv", "x", "p/nvidia/cuda"),
    ],
)
def test_a_rule_replaces_whole_parts_of_the_source_repository(
    source: str, target: str, name: str
) -> None:
    naming = Naming("p", (Rule(source, target),))
    assert naming.repository(artifact("image", "nvcr.io/nvidia/cuda"), "h") == name


def test_the_first_rule_that_applies_wins() -> None:
    naming = Naming("", (Rule("other.io", "z"), Rule("nvcr.io", "one"), Rule("nvcr.io/a", "two")))
    assert naming.repository(artifact("image", "nvcr.io/a/b"), "h") == "one/a/b"


def test_a_rule_names_a_chart_without_the_folder_of_its_kind() -> None:
    naming = Naming("", (Rule("helm.ngc.nvidia.com", "ngc-charts"),))
    chart = artifact("chart", "helm.ngc.nvidia.com/nvidia/gpu-operator")
    assert naming.repository(chart, "h") == "ngc-charts/nvidia/gpu-operator"


@pytest.mark.parametrize("repository", ["h/a:b/c", "h/a/b__-c", "h/a..b", "x:5000"])
def test_a_name_that_no_registry_takes_is_refused_with_the_way_out(repository: str) -> None:
    with pytest.raises(UsageError, match="cannot be called") as refused:
        Naming().repository(artifact("image", repository), "harbor")
    assert "map:" in refused.value.hint


def test_a_name_longer_than_clients_take_is_refused() -> None:
    long = artifact("image", "h/" + "a" * 240)
    assert Naming().repository(long, "short")
    with pytest.raises(UsageError, match="longer than 255"):
        Naming().repository(long, "h" * 16)


@pytest.mark.parametrize("version", ["..", ".", "a/b", "a\\b", "a\nb", "e\u0301"])
def test_a_version_that_is_no_name_for_a_folder_is_refused(version: str) -> None:
    with pytest.raises(UsageError):
        Naming().folder(artifact("model", "ngc/m", version))


def test_a_file_with_the_name_of_the_marker_is_refused() -> None:
    for path in (".dray-complete.json", ".dray-complete.json/x"):
        with pytest.raises(UsageError, match="reserved"):
            Naming().folder(Shelf().model("m", "1", {path: b""}))


def test_a_key_beyond_what_object_stores_take_is_refused() -> None:
    path = "/".join(["p" * 99] * 8)
    assert Naming("x" * 200).folder(Shelf().model("m", "1", {path: b""}))
    with pytest.raises(UsageError, match="1024"):
        Naming("x" * 230).folder(Shelf().model("m", "1", {path: b""}))


class Claiming:
    """A target of which only the claims matter."""

    def __init__(self, claims: dict[str, list[tuple[str, str]]]) -> None:
        self.wanted = claims

    def claims(self, artifact: Artifact) -> tuple[Claim, ...]:
        found = self.wanted[artifact.name]
        return tuple(Claim(place, Digest.of(content.encode())) for place, content in found)


def refused(claims: dict[str, list[tuple[str, str]]]) -> bool:
    target: Any = Claiming(claims)
    routed = [(target, Artifact("image", name, name, "1", ROOT, ())) for name in claims]
    try:
        refuse_collisions(routed)
    except UsageError as error:
        assert "would both be at" in error.message
        return True
    return False


def test_one_tag_for_two_digests_is_a_collision() -> None:
    assert refused({"a": [("h/r:1", "x")], "b": [("h/r:1", "y")]})


def test_one_tag_for_one_digest_twice_is_none() -> None:
    assert not refused({"a": [("h/r:1", "x")], "b": [("h/r:1", "x")]})


def test_other_tags_of_one_repository_are_no_collision() -> None:
    assert not refused({"a": [("h/r:1", "x"), ("h/r:2", "x")], "b": [("h/r:3", "y")]})


def test_a_folder_inside_another_artifacts_folder_is_a_collision() -> None:
    assert refused({"a": [("s3://b/m/1/", "x")], "b": [("s3://b/m/1/2/", "y")]})
    assert refused({"b": [("s3://b/m/1/2/", "x")], "a": [("s3://b/m/1/", "x")]})


def test_a_folder_that_only_begins_alike_is_no_collision() -> None:
    assert not refused({"a": [("s3://b/m/1/", "x")], "b": [("s3://b/m/1.0/", "y")]})


LLAMA = "ngc/nim/meta/llama3-8b-instruct:hf"
KEY = "nim%2Fmeta%2Fllama3-8b-instruct%3Ahf%3Ffile%3D"


def nim_model(name: str = LLAMA, kind: str = "model") -> Artifact:
    root = Digest.of(b"root")
    return Artifact(kind, name, "ngc/nim/meta/llama3-8b-instruct", "hf", root, ())


@pytest.mark.parametrize(
    ("prefix", "path", "key"),
    [
        ("", "config.json", f"{KEY}config.json"),
        ("a/b", "config.json", f"a/b/{KEY}config.json"),
        ("", "a/b c+d.bin", f"{KEY}a%2Fb%20c%2Bd.bin"),
    ],
)
def test_the_nim_layout_encodes_the_source_as_one_key(prefix: str, path: str, key: str) -> None:
    assert Naming(prefix, layout="nim").key(nim_model(), path) == key


@pytest.mark.parametrize(
    "artifact",
    [
        nim_model("huggingface.co/meta/llama:" + "0" * 40),
        nim_model("ngc/nvidia/riva_quickstart:2.18.0", "resource"),
    ],
)
def test_the_nim_layout_takes_nothing_but_models_of_ngc(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match="is no model of NGC"):
        Naming(layout="nim").key(artifact, "x")


def test_a_key_of_the_nim_layout_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="over 1024 bytes"):
        Naming(layout="nim").key(nim_model(), "é" * 200)
