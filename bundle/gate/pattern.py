"""Patterns on artifacts' names, as policies write them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundle.artifact import Artifact

PATTERN = r"[!-~]{1,512}"


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is about a text; ``*`` stands for anything, slashes too."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")))


def takes(pattern: str, artifact: Artifact) -> bool:
    """Whether a pattern is about an artifact, by its name or its repository."""
    return any(matches(pattern, name) for name in (artifact.name, artifact.repository))
