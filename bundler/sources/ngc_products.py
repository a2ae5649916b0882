"""The products that NGC lists something under: who uses it has to be entitled to one of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bundle.errors import SourceError
from bundler.sources.ngc_api import Item, StatusError
from bundler.sources.ngc_registry import NVCR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundler.sources.ngc_api import NgcApi

NOTE: Final = "entitlement"
"""The note of an artifact that names them, with a comma and a space between."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
_MOST: Final = 8


def spelt(found: object) -> str:
    """Return NGC's list of products as a note has it; what is no name is left out."""
    named = found if isinstance(found, list) else []
    kept = {one for one in named if isinstance(one, str) and _NAME.fullmatch(one)}
    return ", ".join(sorted(kept)[:_MOST])


def note(found: str) -> dict[str, str]:
    """Return the note, where there are products."""
    return {NOTE: found} if found else {}


class Products:
    """Asks NGC's catalogue about images; ``api`` is made when it is asked first.

    A note is worth no failed lock: a catalogue that does not answer has said nothing, and is not
    asked again in this run.
    """

    def __init__(self, api: Callable[[], NgcApi]) -> None:
        self._api = api
        self._known: dict[str, str] = {}
        self._silent = False

    def __call__(self, host: str, repository: str) -> Mapping[str, str]:
        """Return the note about what is in a repository of nvcr.io; nothing about any other."""
        words = repository.split("/")
        if host != NVCR or len(words) not in {2, 3}:
            return {}
        if repository not in self._known and not self._silent:
            team = words[1] if len(words) == 3 else ""
            self._known[repository] = self._ask(Item("repos", words[0], team, words[-1], ""))
        return note(self._known.get(repository, ""))

    def _ask(self, item: Item) -> str:
        api = self._api()
        try:
            found = api.get(item, item.path(guest=api.guest), {"resolve-labels": "false"})
        except StatusError:
            return ""
        except SourceError:
            self._silent = True
            return ""
        return spelt(found.get("productNames"))
