"""Small files that are replaced so that after a crash the old bytes are there, or the new ones."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from bundle.errors import UsageError


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there; raise :class:`UsageError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        message = f"the folder {folder} cannot be made: {reason}"
        raise UsageError(message, hint="name another one, or make it first") from None


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole and durable or not at all; raises ``OSError``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in ``folder`` outlive a crash, where the file system can.

    Some that drives and shares have (vfat by FUSE, SMB) sync no folder, and say so by ``EINVAL`` or
    ``ENOTSUP``. Raises ``OSError`` for anything else.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)
