"""The --to arguments, the target file, and which target takes what."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.artifact import Artifact
from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.hosts import Host
from importer import destinations
from importer.destinations import Destination
from importer.targets.base import Claim
from importer.targets.naming import Naming, Rule

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = frozenset({"image", "chart"})
FILES = frozenset({"model", "resource", "file"})
ALL = IMAGES | FILES


def read(text: str) -> Destination:
    (found,) = destinations.read([text])
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry://h", Destination("registry", "h", Naming(), IMAGES)),
        ("registry://h:5000/", Destination("registry", "h:5000", Naming(), IMAGES)),
        ("registry://H.example/a/b/", Destination("registry", "h.example", Naming("a/b"), IMAGES)),
        ("registry://[::1]:5000/a", Destination("registry", "[::1]:5000", Naming("a"), IMAGES)),
        ("harbor://h/project", Destination("harbor", "h", Naming("project"), IMAGES)),
        ("harbor://h/a/b", Destination("harbor", "h", Naming("a/b"), IMAGES)),
        ("harbor://h", Destination("harbor", "h", Naming(project="ngc"), IMAGES)),
        ("s3://bucket", Destination("s3", "bucket", Naming(), FILES)),
        ("s3://bucket/a/b/", Destination("s3", "bucket", Naming("a/b"), FILES)),
        ("warehouse", Destination("folder", "warehouse", Naming(), ALL)),
        ("/mnt/x:y/z", Destination("folder", "/mnt/x:y/z", Naming(), ALL)),
        ("./a:5000", Destination("folder", "a:5000", Naming(), ALL)),
    ],
)
def test_each_form_is_understood(text: str, expected: Destination) -> None:
    assert read(text) == expected


@pytest.mark.parametrize("type_", ["harbor://h/ngc", "registry://h/ngc", "s3://bucket/ngc", "here"])
def test_a_quarantine_stands_before_every_name(type_: str) -> None:
    (made,) = destinations.quarantined(destinations.read([type_]), "quarantine")
    image = Artifact(
        "image", "nvcr.io/nvidia/cuda:1", "nvcr.io/nvidia/cuda", "1", Digest.of(b""), ()
    )
    final = made.naming.released
    assert made.naming.repository(image, "h") == f"quarantine/{final.repository(image, 'h')}"
    assert destinations.released([made]) == destinations.read([type_])
    rules = replace(made.naming, rules=(Rule("nvcr.io/nvidia", "gpu"),))
    assert rules.repository(image, "h") == f"quarantine/{rules.released.repository(image, 'h')}"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("harbor://h/ngc", "ngc", "'ngc' is where other things are"),
        ("harbor://h", "ngc", "'ngc' is where other things are"),
        ("here", "oci", "'oci' is where other things are"),
        ("s3://bucket/a/b", "a", "'a' is where other things are"),
        ("harbor://h/ngc", "Quarantine", "no quarantine can be called 'Quarantine'"),
        ("registry://h/ngc", "a/b", "no quarantine can be called 'a/b'"),
        ("here", "..", "no quarantine can be called '..'"),
    ],
)
def test_a_quarantine_that_would_be_none_is_refused(text: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        destinations.quarantined(destinations.read([text]), name)


def test_a_target_file_may_name_the_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "target.yaml"
    path.write_text("apiVersion: dray/v1\ntargets:\n- {to: harbor://h/ngc, quarantine: hold}\n")
    assert read(str(path)).naming == Naming("ngc", quarantine="hold")
    path.write_text("apiVersion: dray/v1\ntargets:\n- {to: harbor://h/ngc, quarantine: ngc}\n")
    with pytest.raises(UsageError, match=r"target.yaml:3:.*is where other things are"):
        read(str(path))


def test_nothing_said_is_the_warehouse() -> None:
    (found,) = destinations.read([])
    assert found == Destination("folder", "warehouse", Naming(), ALL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("ftp://host/x", "ftp:// is no target"),
        ("http://host/x", "http:// is no target"),
        ("registry://", "names no host"),
        ("registry:///x", "names no host"),
        ("registry://h:x/y", "names no host"),
        ("registry://-h", "names no host"),
        ("registry://h/UPPER", "no beginning of a repository"),
        ("registry://h/a//b", "no beginning of a repository"),
        ("registry://h/a:tag", "no beginning of a repository"),
        ("harbor://", "names no host"),
        ("harbor://h/a--b/c", "no project can be called"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3://bb/../x", "segment"),
        ("s3://bb/../x", "segment"),
        ("harbor.example:443/ngc", "looks like a registry"),
        ("localhost:5000", "looks like a registry"),
        ("a\0b", "is empty"),
    ],
)
def test_a_wrong_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)


@pytest.mark.parametrize(
    "text",
    ["registry://me:hunter2@host/x", "s3://key:hunter2@bucket", "registry://h/x?token=hunter2"],
)
def test_a_credential_in_the_argument_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as error:
        read(text)
    assert "hunter2" not in error.value.message + error.value.hint
    assert "docker login" in error.value.hint


def file(folder: Path, text: str) -> str:
    path = folder / "targets.yaml"
    path.write_text(text)
    return str(path)


def test_a_target_file_names_several_targets(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        """\
apiVersion: dray/v1
targets:
  - to: harbor://harbor.internal/ngc
    kinds: [image]
    plain-http: true
    map:
      - {from: nvcr.io/, to: mirror/}
      - {from: docker.io}
  - {to: "s3://models/prefix", ca: ca.pem, endpoint: "https://rgw:8443", region: eu-1}
  - to: sub/warehouse
""",
    )
    rules = (Rule("nvcr.io/", "mirror/"), Rule("docker.io", ""))
    store = Host("https://rgw:8443", None, str(tmp_path / "ca.pem"))
    assert destinations.read([path]) == (
        Destination(
            "harbor",
            "harbor.internal",
            Naming("ngc", rules),
            frozenset({"image"}),
            Host("", plain_http=True),
        ),
        Destination("s3", "models", Naming("prefix"), FILES, store, "eu-1"),
        Destination("folder", str(tmp_path / "sub/warehouse"), Naming(), ALL),
    )


def test_a_registry_takes_models_only_when_told(tmp_path: Path) -> None:
    path = file(
        tmp_path, 'apiVersion: dray/v1\ntargets: [{to: "registry://h", kinds: [model, image]}]\n'
    )
    assert read(path).kinds == {"model", "image"}


def test_the_nim_layout_takes_models_alone(tmp_path: Path) -> None:
    path = file(tmp_path, 'apiVersion: dray/v1\ntargets: [{to: "s3://b1", layout: nim}]\n')
    models = frozenset({"model"})
    assert read(path) == Destination("s3", "b1", Naming(layout="nim"), models)


HEAD = "apiVersion: dray/v1\ntargets:\n"


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("targets: []\n", ":1:1", "'apiVersion' is missing"),
        ("apiVersion: dray/v2\ntargets: []\n", ":1:", "is 'dray/v2'"),
        ("apiVersion: dray/v1\ntargets: []\n", ":2:", "is empty"),
        ("apiVersion: dray/v1\ntargets: {}\n", ":2:", "must be a list"),
        (HEAD + "  - to: ftp://x\n", ":3:", "no target"),
        (HEAD + "  - to: other.yaml\n", ":3:", "no other target file"),
        (HEAD + "  - to: registry://h\n    to: s3://b\n", ":4:", "duplicate"),
        (HEAD + "  - to: registry://h\n    colour: red\n", ":4:", "not a known key"),
        (HEAD + "  - to: registry://h\n    kinds: [images]\n", ":4:", "is 'images'"),
        (HEAD + "  - to: registry://h\n    kinds: []\n", ":4:", "is empty"),
        (HEAD + "  - to: s3://b1\n    kinds: [image]\n", ":4:", "take no image"),
        (HEAD + "  - to: s3://b1\n    plain-http: true\n", ":4:", "means nothing"),
        (HEAD + "  - to: registry://h\n    region: x\n", ":4:", "means nothing"),
        (HEAD + "  - to: folder\n    ca: x.pem\n", ":4:", "means nothing"),
        (HEAD + "  - to: s3://b1\n    endpoint: rgw:8443\n", ":4:", "is no URL"),
        (HEAD + "  - to: s3://b1\n    endpoint: https://u:p@rgw\n", ":4:", "is no URL"),
        (HEAD + "  - to: s3://b1\n    map: [{from: A/, to: b}]\n", ":4:", "is not allowed"),
        (HEAD + "  - to: s3://b1\n    map: [{from: a/, to: ../b}]\n", ":4:", "segment"),
        (HEAD + "  - to: s3://b1\n    map: [{from: a/, to: /b}]\n", ":4:", "relative"),
        (HEAD + "  - to: s3://b1\n    map: [{to: b}]\n", ":4:", "'from' is missing"),
        (HEAD + "  - to: registry://h\n    layout: nim\n", ":4:", "means nothing"),
        (HEAD + "  - to: s3://b1\n    layout: flat\n", ":4:", "is 'flat'"),
        (HEAD + "  - to: s3://b1\n    layout: nim\n    kinds: [file]\n", ":5:", "take no file"),
        (
            HEAD + "  - to: s3://b1\n    layout: nim\n    map: [{from: a/, to: b}]\n",
            ":5:",
            "map: means nothing with layout: nim",
        ),
        (HEAD + "  - &a {to: registry://h}\n", ":3:", "anchors"),
    ],
)
def test_a_fault_in_a_target_file_is_told_with_its_line(
    tmp_path: Path, text: str, where: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        read(file(tmp_path, text))
    assert f"targets.yaml{where}" in error.value.message


def test_a_target_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*no\.yaml"):
        read(str(tmp_path / "no.yaml"))


def test_a_password_in_a_target_file_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read(file(tmp_path, HEAD + "  - to: registry://me:hunter2@host/x\n"))
    assert "hunter2" not in error.value.message + error.value.hint


def test_every_destination_becomes_a_target(tmp_path: Path) -> None:
    arguments = ["registry://127.0.0.1:1/ngc", "s3://bucket/p", str(tmp_path / "w")]
    targets = destinations.parse(arguments, tmp_path)
    assert [target.label for target in targets] == [
        "127.0.0.1:1/ngc",
        "s3://bucket/p",
        str(tmp_path / "w"),
    ]
    assert [target.kinds for target in targets] == [IMAGES, FILES, ALL]
    for target in targets:
        target.close()
    assert list(tmp_path.iterdir()) == []


class Taking:
    """A target of which only the kinds matter."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)

    def claims(self, artifact: Artifact) -> tuple[Claim, ...]:
        return (Claim(artifact.repository, artifact.root),)


def artifact(kind: str, name: str = "") -> Artifact:
    shown = name or f"a-{kind}"
    return Artifact(kind, shown, kind, "1", Digest.of(shown.encode()), ())


def route(artifacts: list[Artifact], *targets: Any) -> dict[str, Any]:
    return dict(destinations.route(artifacts, targets))


def test_the_first_target_that_takes_a_kind_gets_it() -> None:
    one, two, three = Taking("image"), Taking("image", "chart"), Taking("model")
    found = route([artifact("image"), artifact("chart"), artifact("model")], one, two, three)
    assert found == {"a-image": one, "a-chart": two, "a-model": three}


def test_a_kind_that_no_target_takes_is_refused_with_what_to_add() -> None:
    with pytest.raises(UsageError, match=r"no target takes a-model \(model\)") as error:
        route([artifact("image"), artifact("model")], Taking("image"))
    assert error.value.hint == "add --to s3://BUCKET, or a folder"


def test_many_homeless_artifacts_are_counted() -> None:
    homeless = [artifact("chart", f"c{n}") for n in range(5)] + [artifact("file")]
    with pytest.raises(UsageError, match=r"c0, c1, c2 and 3 more \(chart, file\)") as error:
        route(homeless, Taking("image"))
    assert error.value.hint == "add --to registry://HOST/PREFIX and --to s3://BUCKET, or a folder"


def test_artifacts_that_want_one_place_are_refused() -> None:
    with pytest.raises(UsageError, match="would both be at"):
        route([artifact("image", "x"), artifact("image", "y")], Taking("image"))
