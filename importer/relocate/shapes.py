"""What the files of a model are laid out for, told by their names alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.relocate.world import Tree

TRITON = "triton"
"""A model repository of Triton: ``<model>/config.pbtxt`` (Triton, model_repository.md)."""
FLAT = "triton model"
"""One model of Triton without the folder that has its name: no repository."""
HUGGING_FACE = "hugging face"
"""``config.json`` beside weights in safetensors."""
_CONFIG = "config.pbtxt"
_VERSION = re.compile(r"[^/]+/[1-9][0-9]*/.+")


def of(tree: Tree) -> str:
    """Return the layout of a model, or nothing."""
    if tree.repository:
        return TRITON
    paths = [file.path for file in tree.artifact.files]
    if any(path.count("/") == 1 and path.endswith(f"/{_CONFIG}") for path in paths):
        return TRITON
    if _CONFIG in paths:
        return FLAT
    if "config.json" in paths and any(re.fullmatch(r"[^/]+\.safetensors", p) for p in paths):
        return HUGGING_FACE
    return ""


def models(tree: Tree) -> list[str]:
    """Return the models in a repository of Triton."""
    if tree.repository:
        return sorted(tree.models)
    paths = [file.path for file in tree.artifact.files if file.path.count("/") >= 1]
    return sorted({path.partition("/")[0] for path in paths if _is_model(path)})


def _is_model(path: str) -> bool:
    return path.endswith(f"/{_CONFIG}") or _VERSION.fullmatch(path) is not None
