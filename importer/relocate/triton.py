"""Triton: the option that names each model repository, and what the environment has to hold.

Source: triton-inference-server/server, docs/user_guide/model_repository.md: an endpoint stands in
the URL with its scheme, without which it is plain HTTP.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from importer.relocate import shapes, text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.world import Site, Tree, World

_ABOUT = """\
A file of options for each model repository: `tritonserver $(cat triton/NAME.args)`. From a bucket,
Triton takes `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` from its environment, and the region
that `triton/NAME.env` holds (`docker run --env-file`).

"""


def emit(world: World) -> Emitted:
    """Return ``triton/``, for models that are laid out as repositories."""
    made = Emitted()
    rows = []
    trees = [t for t in world.trees if t.artifact.kind == "model" and not t.is_encoded]
    for tree, name in zip(trees, text.unique([t.artifact.name for t in trees]), strict=True):
        shape = shapes.of(tree)
        if shape == shapes.FLAT:
            made.notes.append(
                f"triton: {tree.artifact.name} is one model without the folder that has its name:"
                " no model repository"
            )
        if shape != shapes.TRITON:
            continue
        address = address_of(tree, world.site)
        made.files[f"triton/{name}.args"] = f"--model-repository={address}\n".encode()
        if tree.is_s3:
            region = world.site.buckets[tree.bucket].region
            made.files[f"triton/{name}.env"] = f"AWS_DEFAULT_REGION={region}\n".encode()
        found = ", ".join(f"`{model}`" for model in shapes.models(tree))
        rows.append(f"- `{tree.artifact.name}`: {found}\n")
    made.about = _ABOUT + "".join(rows) if rows else ""
    return made


def address_of(tree: Tree, site: Site) -> str:
    """Return what ``--model-repository`` takes."""
    if not tree.is_s3:
        return quote(str(Path(tree.place).absolute()))
    endpoint, place = site.buckets[tree.bucket].endpoint, tree.repository or tree.place
    if not endpoint:
        return place.rstrip("/")
    parts = urlsplit(endpoint)
    port = "" if parts.port else ":443" if parts.scheme == "https" else ":80"
    return f"s3://{parts.scheme}://{parts.netloc}{port}/{place.removeprefix('s3://')}".rstrip("/")
