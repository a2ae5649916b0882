"""A short spec as text, and how the tests read one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler import spec

if TYPE_CHECKING:
    from bundler.spec import Spec

HEX = "0123456789abcdef" * 4
HEAD = "apiVersion: dray/v1\nstream: s\n"
CUDA = "nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04"
IMAGE = f"images: [{CUDA}]\n"


def read(text: str, folder: Path = Path()) -> Spec:
    return spec.parse(text.encode(), folder / "dray.yaml")
