"""Manifests that are signed, well formed, and lie about paths, names, tags and kinds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from bundler.lock import LockedArtifact
from tests import factory
from tests.refusals.edits import OTHER, add, lie, put
from tests.refusals.table import IMPORT, VERIFY_FIRST, Lie, check, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact
    from tests.factory import Bundle, Contents
    from tests.refusals.edits import Body, Tell


def path(value: str, *, of: int = 0) -> Tell:
    """Call one of the model's files otherwise."""

    def change(body: Body) -> None:
        model = next(item for item in body["artifacts"] if item["kind"] == "model")
        files = [content for content in model["contents"] if content["role"] == "file"]
        files[of]["path"] = value

    return lie(change)


def of_model(**fields: object) -> Tell:
    return lie(
        lambda body: next(a for a in body["artifacts"] if a["kind"] == "model").update(fields)
    )


UNSAFE = "contents[0].path"
PATHS = (
    *(
        Lie(name, path(value), 3, UNSAFE)
        for name, value in (
            ("a path goes up", "../../../etc/cron.d/x"),
            ("a path goes up in its middle", "weights/../../x"),
            ("a path goes up with backslashes", "..\\..\\x"),
            ("a path is absolute", "/etc/passwd"),
            ("a path has a drive", "C:/Windows/x"),
            ("a path has a NUL", "x\0y"),
            ("a path has a line end", "x\ny"),
            ("a path has an escape", "\x1b[2J"),
            ("a path has an escape of one byte", "\x9b2J"),
            ("a path reads backwards", "weights/\u202egnp.exe"),
            ("a path has an empty step", "weights//x"),
            ("a path has a dot", "./x"),
            ("a path ends in a slash", "weights/"),
            ("a path is not in normal form C", "caf" + "e\u0301"),
            ("a path is too long", "x/" * 500 + "x"),
        )
    ),
    Lie("a repository goes up", of_model(repository="ngc/../../etc/x"), 3, "repository is not"),
    Lie("a repository is up", of_model(repository="ngc/x/../y"), 3, "repository is not"),
    Lie(
        "an image's repository goes up",
        put("artifacts", 0, "repository", value="nvcr.io/../x"),
        3,
        "repository is not allowed",
    ),
    Lie("two paths differ in case only", path("README.MD", of=1), 3, "upper and lower case aside"),
    Lie("two paths are one when folded", path("readme.md", of=2), 3, "upper and lower case aside"),
    Lie("a path is twice", path("README.md", of=2), 3, "two files are called"),
    Lie("a file is a folder too", path("README.md/x", of=2), 3, "is both a file and a folder"),
    Lie("a file has no path", path("", of=1), 3, "is a file without a path"),
    Lie(
        "a file is our marker",
        path(".dray-complete.json", of=1),
        2,
        "reserved name",
        ways=(IMPORT, VERIFY_FIRST),
    ),
    Lie(
        "a version goes up",
        of_model(version="../../x"),
        2,
        "has a version with a slash",
        ways=(IMPORT, VERIFY_FIRST),
    ),
    Lie("a version is up", of_model(version=".."), 2, "segment", ways=(IMPORT, VERIFY_FIRST)),
    Lie(
        "a version has a NUL",
        of_model(version="1\0"),
        2,
        "control characters",
        ways=(IMPORT, VERIFY_FIRST),
    ),
    Lie("a repository is absolute", of_model(repository="/etc/x"), 3, "repository is not allowed"),
)

IMAGE = ("artifacts", 0)
ARTIFACTS = (
    Lie(
        "a root is not among the contents",
        put(*IMAGE, "root", value=OTHER),
        3,
        "the root is not among the contents",
    ),
    Lie(
        "a root is a layer",
        lie(lambda b: b["artifacts"][0].update(root=b["artifacts"][0]["contents"][0]["digest"])),
        3,
        "the root is not among the contents",
    ),
    Lie(
        "a layer has a tag",
        put(*IMAGE, "contents", 1, "tags", value=["12.6"]),
        3,
        "only a manifest or an index has tags",
    ),
    Lie(
        "a tag has a slash",
        put(*IMAGE, "contents", -1, "tags", value=["../x"]),
        3,
        "is not allowed",
    ),
    Lie(
        "a content has two sizes",
        lie(
            lambda b: b["artifacts"][0]["contents"].append(
                {**b["artifacts"][0]["contents"][0], "size": 1}
            )
        ),
        3,
        "has two sizes",
    ),
    Lie("a content has another size", add(*IMAGE, "contents", 1, "size", amount=1), 3, ""),
    Lie(
        "a content is of no kind",
        put(*IMAGE, "contents", 0, "role", value="root"),
        3,
        "role is 'root'",
    ),
    Lie(
        "a media type has a line end",
        put(*IMAGE, "contents", 0, "mediaType", value="a/b\r\nX: y"),
        3,
        "mediaType is not allowed",
    ),
    Lie("an artifact is of no kind", put(*IMAGE, "kind", value="driver"), 3, "kind is 'driver'"),
    Lie(
        "an artifact's name has spaces",
        put(*IMAGE, "name", value="nvcr.io/x y"),
        3,
        "name is not allowed",
    ),
    Lie(
        "an artifact is there twice",
        lie(lambda b: b["artifacts"].append(b["artifacts"][0])),
        3,
        "names nvcr.io/nvidia/cuda:12.6 twice",
    ),
    Lie(
        "a model has an image's name",
        of_model(name="nvcr.io/nvidia/cuda:12.6"),
        3,
        "names nvcr.io/nvidia/cuda:12.6 twice",
    ),
)


def rebuilt(change: Callable[[Artifact], Artifact], *, of: int) -> Tell:
    """Build the bundle anew with one artifact changed: for lies that stand in every chunk too."""

    def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
        made = list(factory.sample(kept))
        artifact = change(made[of].artifact)
        pairs = zip(made[of].contents, artifact.contents, strict=True)
        contents = tuple(replace(locked, content=content) for locked, content in pairs)
        made[of] = LockedArtifact(artifact, made[of].origin, contents)
        return tuple(made)

    def tell(bundle: Bundle) -> None:
        shutil.rmtree(bundle.folder)
        factory.build(bundle.trust.parent, artifacts, sequence=7)

    return tell


def also_cuda(artifact: Artifact) -> Artifact:
    contents = [replace(c, tags=("12.6",) if c.tags else ()) for c in artifact.contents]
    return replace(artifact, repository="ghcr.io/nvidia/cuda", contents=tuple(contents))


LOADED = (IMPORT, VERIFY_FIRST)
PLACED = (
    Lie(
        "two images want one tag",
        rebuilt(also_cuda, of=1),
        2,
        "would both be at",
        "send one of them elsewhere with a map: rule",
        ways=LOADED,
    ),
    Lie(
        "a model is in another model's folder",
        rebuilt(
            lambda a: replace(a, kind="model", version="1.0", repository="ngc/nvidia/riva"), of=0
        ),
        2,
        "would both be at",
        "map: rule",
        ways=LOADED,
    ),
)


@rows(PATHS, ARTIFACTS, PLACED)
def test_a_signed_lie_about_names_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)
