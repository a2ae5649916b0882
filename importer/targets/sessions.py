"""Uploads to registries that were begun, in a folder of this host: one small file for each."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.decode import Fields, compact_json, parse_json
from bundle.errors import DrayError, TargetError
from bundle.hosts import is_url
from bundle.sessions import Session

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.decode import Path as FieldPath

_LIMIT = 64 << 10


class FileSessions:
    """Satisfies :class:`bundle.sessions.Sessions`; what can't be kept or read counts as unknown.

    A session's address may be as good as a right to write to it: only the user can read the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> Session | None:
        """Return the session, or nothing where there is none that can be read."""
        try:
            fields = Fields(parse_json(self._path(name).read_bytes(), limit=_LIMIT), (), _fault)
            session = Session(fields.text("location"), fields.integer("offset"))
        except (OSError, ValueError, TargetError):
            return None
        return session if is_url(session.location) else None

    def save(self, name: str, session: Session) -> None:
        """Write the session, whole or not at all."""
        path = self._path(name)
        new = path.with_suffix(".new")
        body = {"location": session.location, "offset": session.offset}
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):  # it is only work that is lost with it
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
                file.write(compact_json(body))
            new.replace(path)

    def drop(self, name: str) -> None:
        """Forget the session."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.json"


def _fault(_path: FieldPath, message: str, _hint: str) -> DrayError:
    return TargetError(message)
