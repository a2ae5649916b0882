"""What is remembered of an upload in chunks, so that another run can go on with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Session:
    """An upload of which a registry has the first ``offset`` bytes; ``location`` continues it."""

    location: str
    offset: int


class Sessions(Protocol):
    """Keeps sessions by name. What is lost with them is only work. For several threads."""

    def load(self, name: str) -> Session | None:
        """Return what is known under a name."""

    def save(self, name: str, session: Session) -> None:
        """Keep a session in place of what was known under the name."""

    def drop(self, name: str) -> None:
        """Forget a name."""


class NoSessions:
    """Remembers nothing."""

    def load(self, name: str) -> Session | None:
        """Return nothing."""

    def save(self, name: str, session: Session) -> None:
        """Do nothing."""

    def drop(self, name: str) -> None:
        """Do nothing."""
