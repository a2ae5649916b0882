"""The YAML parser that everything here reads with: libyaml, through PyYAML.

PyYAML's own parser, in Python, stands in where PyYAML was built without libyaml. It takes two
seconds for a megabyte, so it is given no more than that.
"""

from __future__ import annotations

from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SLOW_LIMIT = 1 << 20
"""Bytes that are read without libyaml."""
HINT = "install PyYAML from a wheel, which has libyaml in it"


def fault(length: int) -> str:
    """Return why a document of ``length`` bytes cannot be read on this host, or nothing."""
    if length <= SLOW_LIMIT or LOADER is not yaml.SafeLoader:
        return ""
    return f"without libyaml no more than {SLOW_LIMIT} bytes of YAML are read, and it has {length}"
