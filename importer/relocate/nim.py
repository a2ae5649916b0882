"""NIM: the environment with which its containers find models without NGC.

Sources: NVIDIA NIM for LLMs, "Repository Override" and "Air-Gap Deployment"; what is inferred about
the cache is in docs/adr/0016-nim-cache.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from importer.relocate import shapes, text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.world import Site, Tree, World

IMAGES = "nvcr.io/nim/"
CACHE = "/opt/nim/.cache"
_MODELS = "ngc/nim/"
_SNAPSHOTS = "/snapshots/"
_CACHES = ("ngc/hub/models--", "huggingface/hub/models--")
_ABOUT = """\
Each file is an environment (`docker run --env-file`, or a ConfigMap). Set neither `NGC_API_KEY` nor
`HF_TOKEN`: with one, a NIM asks NVIDIA first. From a bucket, add `AWS_ACCESS_KEY_ID` and
`AWS_SECRET_ACCESS_KEY`; the store needs TLS that the NIM trusts, and its buckets as hosts.

"""


def emit(world: World) -> Emitted:
    """Return ``nim/``: a mirror, a cache, or one path for each model."""
    made = Emitted()
    nims = [one for one in world.images if one.source.startswith(IMAGES)]
    models = [tree for tree in world.trees if tree.artifact.kind == "model"]
    rows: list[str] = []
    for tree, own in zip(models, text.unique([t.artifact.name for t in models]), strict=True):
        if tree.is_encoded:
            bucket = _mirror(tree)
            lines = [f"NIM_REPOSITORY_OVERRIDE={bucket}", *_access(tree, world.site)]
            name = text.slug(f"mirror-{bucket.removeprefix('s3://')}")
        elif root := _cache(tree):
            lines = [f"NIM_CACHE_PATH={CACHE}"]
            name = "cache" if tree.is_s3 else text.slug(f"cache-{root}")
            what = "a volume filled from" if tree.is_s3 else "-v"
            rows.append(f"- cache: {what} `{root}{'' if tree.is_s3 else ':' + CACHE}`\n")
        elif nims and _is_for_nims(tree):
            lines = [f"NIM_MODEL_PATH={_path(tree)}", *_access(tree, world.site)]
            name = f"model-{own}"
        else:
            continue
        made.files[f"nim/{name}.env"] = ("\n".join(lines) + "\n").encode()
        rows.append(f"- `nim/{name}.env`: `{tree.artifact.name}`\n")
    if made.files:
        found = "".join(f"- `{one.reference}`\n" for one in nims)
        made.about = _ABOUT + "".join(dict.fromkeys(rows))
        made.about += f"\nThe NIMs that were loaded:\n\n{found}" if found else ""
    return made


def _is_for_nims(tree: Tree) -> bool:
    """Whether a NIM serves such a model: NVIDIA's for NIMs, or one of Hugging Face's form."""
    return tree.artifact.name.startswith(_MODELS) or shapes.of(tree) == shapes.HUGGING_FACE


def _mirror(tree: Tree) -> str:
    """Return where the keys begin that are percent-encoded sources."""
    address = tree.artifact.name.removeprefix("ngc/")
    return tree.place.removesuffix(quote(f"{address}?file=", safe=""))


def _cache(tree: Tree) -> str:
    """Return the folder at ``NIM_CACHE_PATH``, where the files lie in a cache."""
    head, snapshots, _version = tree.place.rpartition(_SNAPSHOTS)
    for beginning in _CACHES:
        root, found, _name = head.rpartition(f"/{beginning}")
        if snapshots and found:
            return root if tree.is_s3 else str(Path(root).absolute())
    return ""


def _path(tree: Tree) -> str:
    return tree.place.rstrip("/") if tree.is_s3 else str(Path(tree.place).absolute())


def _access(tree: Tree, site: Site) -> list[str]:
    if not tree.is_s3:
        return []
    bucket = site.buckets[tree.bucket]
    lines = [f"AWS_REGION={bucket.region}"]
    return [*lines, f"AWS_ENDPOINT_URL={bucket.endpoint}"] if bucket.endpoint else lines
