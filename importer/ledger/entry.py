"""One entry of the ledger: a line of compact JSON that names the digest of the line before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.decode import Fields, compact_json, parse_json, spell
from bundle.digest import Digest

if TYPE_CHECKING:
    from datetime import datetime

    from bundle.decode import Path

MEDIA_TYPE = "application/vnd.dray.ledger.v1+json"
MAX_LINE = 64 << 10
"""The longest line that is read or written, in bytes."""
KIND = r"[a-z][a-z0-9-]{0,39}"
FIRST = Digest("sha256:" + "0" * 64)
"""What the first entry names as the one before it."""

OPENED = "opened"
RECOVERED = "recovered"
BEGUN = "import-begun"
DONE = "import-done"
FAILED = "import-failed"
REFUSED = "refused"
OVERRIDE = "override"
TRUST = "trust"
RECEIPT = "receipt"
POLICY = "policy"
PROMOTION_BEGUN = "promote-begun"
PROMOTION_DONE = "promote-done"
PROMOTION_FAILED = "promote-error"
MIRROR = "mirror"
_OWN = ("mediaType", "number", "previous", "when", "kind")


class BrokenEntry(ValueError):
    """A line is no entry; the text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its place in the chain, when and what, and the fields of its kind.

    ``line`` is its exact bytes without the line feed. Kinds that this dray does not know, and
    fields that it does not know, are kept as they are: a newer dray wrote them.
    """

    number: int
    previous: Digest
    when: datetime
    kind: str
    body: Mapping[str, Any]
    line: bytes = field(repr=False)

    @property
    def digest(self) -> Digest:
        """What the next entry names."""
        return Digest.of(self.line)

    def text(self, key: str) -> str:
        """Return a field as text, or nothing."""
        value = self.body.get(key, "")
        return value if isinstance(value, str) else ""


def compose(
    number: int, previous: Digest, when: datetime, kind: str, body: Mapping[str, Any]
) -> Entry:
    """Return the entry; raise ``ValueError`` for one that could not be read again."""
    own = {"mediaType": MEDIA_TYPE, "number": number, "previous": previous}
    document = {**body, **own, "when": instant.spell(when), "kind": kind}
    return read(compact_json(document))


def read(line: bytes) -> Entry:
    """Read one line; raise :class:`BrokenEntry` with the reason."""

    def fault(path: Path, message: str, _hint: str) -> Exception:
        return BrokenEntry(f"{spell(path)} {message}".strip())

    try:
        document = parse_json(line, limit=MAX_LINE)
    except ValueError as error:
        raise BrokenEntry(f"is not strict JSON: {error}") from None
    if b"\n" in line:
        raise BrokenEntry("has a line feed in it")
    fields = Fields(document, (), fault)  # type: ignore[arg-type]  # (its own kind of fault)
    fields.text("mediaType", choices=[MEDIA_TYPE])
    try:
        when = instant.parse(fields.text("when"))
    except BrokenEntry:
        raise
    except ValueError as error:
        raise BrokenEntry(f"when: {error}") from None
    number, previous = fields.integer("number", low=1), fields.digest("previous")
    kind = fields.text("kind", pattern=KIND)
    assert isinstance(document, Mapping)  # noqa: S101  (Fields took it)
    body = {key: value for key, value in document.items() if key not in _OWN}
    return Entry(number, previous, when, kind, body, line)
