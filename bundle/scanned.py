"""What a receipt says about a malware scan: by whom, of what, and what nobody looked into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields

_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """Something about a file in a blob: a signature that was found, or why nobody looked.

    ``file`` is empty for the blob itself.
    """

    blob: Digest
    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scan. ``engine``, ``database`` and ``made`` are what the scanner says of itself.

    ``limits`` and ``encrypted``: whether it says so when it did not look. ``clean`` are blobs that
    were looked at as a whole now, ``earlier`` those that the receipt of that digest says so of;
    ``files`` and ``size`` (bytes) count what was scanned now. ``allowed`` is the reason that was
    given for ``unscanned``.
    """

    engine: str
    database: str = ""
    made: str = ""
    limits: bool = False
    encrypted: bool = False
    files: int = 0
    size: int = 0
    clean: tuple[Digest, ...] = ()
    earlier: Mapping[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    unscanned: tuple[Row, ...] = ()
    found: tuple[Row, ...] = ()
    allowed: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt."""
        body: dict[str, Any] = {"engine": self.engine}
        for key, text in (("database", self.database), ("made", self.made)):
            if text:
                body[key] = text
        body |= {"saysLimits": self.limits, "saysEncrypted": self.encrypted}
        body |= {"files": self.files, "bytes": self.size}
        body["clean"] = [str(digest) for digest in self.clean]
        body["earlier"] = [
            {"receipt": str(receipt), "clean": [str(digest) for digest in digests]}
            for receipt, digests in self.earlier.items()
        ]
        body["unscanned"] = [_row(row, "reason") for row in self.unscanned]
        body["found"] = [_row(row, "signature") for row in self.found]
        return body | ({"allowed": self.allowed} if self.allowed else {})

    @classmethod
    def read(cls, fields: Fields) -> Scanned:
        """Read what :meth:`to_dict` wrote; fields that are not known are passed over."""
        return cls(
            engine=fields.text("engine", limit=_TEXT),
            database=fields.text("database", "", limit=_TEXT),
            made=fields.text("made", "", limit=_TEXT),
            limits=fields.flag("saysLimits"),
            encrypted=fields.flag("saysEncrypted"),
            files=fields.integer("files"),
            size=fields.integer("bytes"),
            clean=_digests(fields),
            earlier={one.digest("receipt"): _digests(one) for one in fields.objects("earlier")},
            unscanned=_rows(fields, "unscanned", "reason"),
            found=_rows(fields, "found", "signature"),
            allowed=fields.text("allowed", "", limit=_TEXT),
        )


def _row(row: Row, key: str) -> dict[str, str]:
    file = {"file": row.file} if row.file else {}
    return {"blob": str(row.blob), **file, key: row.text}


def _rows(fields: Fields, key: str, what: str) -> tuple[Row, ...]:
    return tuple(
        Row(one.digest("blob"), one.text("file", "", limit=_TEXT), one.text(what, limit=_TEXT))
        for one in fields.objects(key)
    )


def _digests(fields: Fields) -> tuple[Digest, ...]:
    return tuple(Digest(text) for text in fields.texts("clean", pattern=r"sha256:[0-9a-f]{64}"))
