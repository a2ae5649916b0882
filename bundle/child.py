"""What a program that dray starts is told: the caller's environment, without dray's own secrets.

The environment of a process can be read by its user, by what it starts in turn, and out of its
crash reports. A signer has no need of the passphrase of another key, nor a credential helper of
the key for NGC. What else a program needs (a PIN, the account of a cloud) is the caller's to give.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = ("DRAY_", "NGC_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""What the names of variables begin with that are for dray alone, and its upstreams."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child process, and ``more`` with it."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **(more or {})}
