"""What the answers about one file have to agree on, when it is fetched in several requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Unranged(Exception):
    """A range was asked for, and the answer is not that range of the same file."""


class Whole:
    """One file of ``size`` bytes at a server, for several threads.

    ``tagged`` tells that the server's strong ETag, where it sends one, names the file's bytes (RFC
    9110, section 8.8.3): ranges under two tags are not put together. What a URL names by its digest
    needs none, and servers behind one name may differ in it.
    """

    def __init__(self, size: int, *, tagged: bool = True) -> None:
        self.size = size
        self._tagged = tagged
        self._tag = ""
        self._lock = threading.Lock()

    def same(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer is about the file that the first answer was about."""
        tag = headers.get("ETag", "")
        if not self._tagged or not tag.startswith('"'):
            return True
        with self._lock:
            self._tag = self._tag or tag
            return self._tag == tag
