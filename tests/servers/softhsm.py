"""SoftHSM: where its PKCS#11 module lies, in the system or among the packages unpacked by us."""

from __future__ import annotations

from pathlib import Path

from tests.servers import programs

MODULE = "usr/lib/softhsm/libsofthsm2.so"


def module() -> Path:
    """Return the module's path, whether it is there or not."""
    unpacked = programs.TOOLS / "root" / MODULE
    return unpacked if unpacked.exists() else Path("/", MODULE)
