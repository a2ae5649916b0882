"""What NGC says about a version: its state, and its files, counted against its own totals."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bundle.decode import Fields, spell
from bundle.digest import Digest
from bundle.errors import NotFound, SourceError
from bundler import ngcnames
from bundler.sources import fileset, ngc_products

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.decode import Path
    from bundle.errors import DrayError
    from bundler.sources.ngc_api import Item, NgcApi

PAGE: Final = "1000"
MOST_FILES: Final = 100_000
MOST_PAGES: Final = 1000
"""Requests that one listing may cost: a server that gives a file at a time gives no list."""
DONE: Final = "UPLOAD_COMPLETE"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as NGC lists it; ``digest`` is missing in old versions. ``size`` in bytes."""

    path: str
    size: int
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a version has: files and bytes, where NGC says how many, and whether it is signed.

    ``products`` are those that the item is listed under (:mod:`bundler.sources.ngc_products`).
    """

    files: int | None
    size: int | None
    signed: bool = False
    products: str = ""


def version_facts(api: NgcApi, item: Item) -> Facts:
    """Return the totals of a version that is complete, and is the one that was asked for."""
    body = api.get(item, item.path(item.version_tail, guest=api.guest))
    fields = _fields(body, item)
    version = fields.child(f"{item.word}Version")
    if version.text("versionId", item.version) != item.version:
        raise SourceError(f"NGC answers about another version than {item}")
    about = fields.child(item.word)
    _check_same(about, item)
    if (state := version.text("status")) != DONE:
        raise SourceError(
            f"{item} is not complete: {state[:40]!r}",
            hint="its publisher is still uploading it, or has given up",
        )
    return Facts(
        files=version.integer("totalFileCount", high=MOST_FILES)
        if "totalFileCount" in version
        else None,
        size=version.integer("totalSizeInBytes") if "totalSizeInBytes" in version else None,
        signed=_signed(version),
        products=ngc_products.spelt(about.raw("productNames", None)),
    )


def latest(api: NgcApi, item: Item) -> str:
    """Return the version that NGC calls the latest of a model or a resource."""
    body = api.get(item, item.path(guest=api.guest), {"resolve-labels": "false"})
    about = _fields(body, item).child(item.word)
    _check_same(about, item)
    found = about.raw("latestVersionIdStr", None)
    if not found or not isinstance(found, str):
        raise NotFound(f"NGC names no latest version of {item}", hint="name a version")
    if not re.fullmatch(ngcnames.VERSION, found) or found == ngcnames.LATEST:
        raise SourceError(
            f"NGC calls the latest version of {item} {found[:60]!r}, which is no name"
        )
    return found


def _check_same(about: Fields, item: Item) -> None:
    for key, wanted in (("name", item.name), ("orgName", item.org), ("teamName", item.team)):
        if (about.raw(key, None) or wanted) != wanted:
            raise SourceError(f"NGC answers about another {key} than that of {item}")


def _signed(version: Fields) -> bool:
    value = version.raw("isSigned", None)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise version.wrong("isSigned", "must be true or false")


def listing(api: NgcApi, item: Item, facts: Facts) -> list[Listed]:
    """Return the files of a version: all of them, by their number and their sizes.

    Raises :class:`SourceError` for a path that is not safe, a file that is listed twice, and for
    pages that do not add up to what NGC says they are.
    """
    found: list[Listed] = []
    path = item.path(f"{item.version_tail}/files", guest=api.guest)
    for number in range(MOST_PAGES):
        query = {"page-size": PAGE, "page-number": str(number)}
        fields = _fields(api.get(item, path, query), item)
        page = [_listed(file, item) for file in fields.objects(f"{item.word}Files")]
        found += page
        info = fields.child("paginationInfo")
        total = info.integer("totalResults", high=MOST_FILES) if "totalResults" in info else None
        last = number + 1 >= info.integer("totalPages", 1, high=MOST_PAGES)
        if last or not page or len(found) > MOST_FILES:
            break
    fileset.check_paths(str(item), [file.path for file in found])
    _check_totals(found, total, facts, item)
    return found


def _check_totals(found: list[Listed], total: int | None, facts: Facts, item: Item) -> None:
    # A page that is left out looks like a smaller model: the counts are all there is against it.
    said = {count for count in (total, facts.files) if count is not None}
    if not found:
        raise _empty(item, max(said, default=0))
    if said != {len(found)}:
        counts = " and ".join(str(count) for count in sorted(said)) or "not how many"
        raise SourceError(
            f"NGC lists {len(found)} files of {item}, and says there are {counts}",
            hint="run again; if it stays so, the version is damaged upstream",
        )
    size = sum(file.size for file in found)
    if facts.size is not None and size != facts.size:
        raise SourceError(
            f"the files of {item} have {size} bytes together, and NGC says {facts.size}",
            hint="run again; if it stays so, the version is damaged upstream",
        )


def _empty(item: Item, count: int) -> SourceError:
    though = f", and says that there are {count}" if count else ""
    return SourceError(
        f"NGC lists no files of {item}{though}",
        hint="an empty answer is no success: is the version complete, and may this key see it?"
        f" dray doctor says whose key it is; the page: {item.page}",
        case="empty",
    )


def status_fault(api: NgcApi, item: Item) -> str:
    """Return which versions there are, for a hint; raise what the API raises when it won't say."""
    query = {"page-size": PAGE, "page-number": "0"}
    body = api.get(item, item.path("/versions", guest=api.guest), query)
    names = list(_names(_fields(body, item), item))
    near = difflib.get_close_matches(item.version, names, n=5, cutoff=0.3) or names[:5]
    return "there are: " + ", ".join(repr(name[:60]) for name in near) if near else "it has none"


def _names(fields: Fields, item: Item) -> Iterator[str]:
    for version in fields.objects(f"{item.word}Versions"):
        if version.raw("status", "") == DONE:
            yield version.text("versionId")


def _fields(body: dict[str, object], item: Item) -> Fields:
    def wrong(path: Path, message: str, hint: str) -> DrayError:
        return SourceError(
            f"NGC's answer about {item}: {spell(path)} {message}".rstrip(), hint=hint
        )

    return Fields(body, (), wrong)


def _listed(fields: Fields, item: Item) -> Listed:
    path = fields.text("path")
    size = fields.integer("sizeInBytes", 0, high=fileset.LARGEST)
    return Listed(path, size, digest_of(fields.raw("sha256_base64", None), f"{path!r} of {item}"))


def digest_of(value: Any, what: str) -> Digest | None:
    """Return the digest in ``sha256_base64``, or nothing where NGC has none.

    Raises :class:`SourceError` for anything that is neither.
    """
    if value is None or value == "":
        return None
    try:
        raw = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, ValueError, AttributeError):
        raw = b""
    if len(raw) != 32:
        raise SourceError(f"NGC gives {what} a SHA-256 that is none")
    return Digest(f"sha256:{raw.hex()}")
