"""A model or a resource without downloading it: the item, its version, its files, one byte."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bundle.errors import DrayError, NotFound, SourceError
from bundle.whole import Unranged
from bundler.doctor.findings import ACCESS, BYTES, SEEN, VERSION
from bundler.sources import ngc_urls
from bundler.sources.ngc_answers import status_of
from bundler.sources.ngc_api import Item as NgcItem
from bundler.sources.ngc_api import StatusError
from bundler.sources.ngc_listing import listing, status_fault, version_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.doctor.findings import Item
    from bundler.entries import NgcEntry
    from bundler.resolve import Upstreams
    from bundler.sources.ngc_api import NgcApi
    from bundler.sources.ngc_listing import Listed


def probe(
    item: Item,
    entry: NgcEntry,
    upstreams: Upstreams,
    explain: Callable[[DrayError], DrayError] = lambda error: error,
) -> None:
    """Ask for everything that a download asks for, but one byte of one file."""
    named = NgcItem.named(entry)
    step = SEEN
    try:
        _seen(item, named, upstreams)
        step = VERSION
        named = upstreams.ngc.exact(named)
        facts = upstreams.ngc.either(named, lambda api: version_facts(api, named))
        item.ok(VERSION)
        step = ACCESS
        found = upstreams.ngc.either(named, lambda api: listing(api, named, facts))
        _listed(item, found)
        step = BYTES
        _byte(item, named, found, upstreams)
        if facts.signed:
            upstreams.ngc.signature(named)  # it is part of what is carried
    except StatusError as refused:
        item.fail(step, explain(_told(refused, named, upstreams, step)))
    except DrayError as error:
        item.fail(step, explain(error))


def _seen(item: Item, named: NgcItem, upstreams: Upstreams) -> None:
    query = {"resolve-labels": "false"}

    def ask(api: NgcApi) -> tuple[NgcApi, dict[str, object]]:
        return api, api.get(named, named.path(guest=api.guest), query)

    api, body = upstreams.ngc.either(named, ask)
    if api.guest and upstreams.keys.known().key:
        note = "the key is refused, and everybody may have it: it is read without the key"
        item.warn(SEEN, note, case="key-in-the-way")
        return
    item.ok(SEEN, request=status_of(body)[2][:80])


def _told(refused: StatusError, named: NgcItem, upstreams: Upstreams, step: str) -> DrayError:
    """Return the refusal in words; for a version that is not there, with those that are."""
    if refused.status != 404 or step != VERSION:
        return refused.error
    api = upstreams.ngc.api
    try:
        near = status_fault(api, named)
    except (StatusError, SourceError):
        return refused.error
    number = f" [request {refused.refusal.request}]" if refused.refusal.request else ""
    return NotFound(f"{named} has no such version (404){number}", hint=near, case="gone")


def _listed(item: Item, found: list[Listed]) -> None:
    if not found:
        hint = "an empty answer is no success: is it still being uploaded?"
        raise SourceError(f"{item.name} lists no files", hint=hint, case="empty")
    item.size |= {str(file.digest or f"{item.name} {file.path}"): file.size for file in found}
    bare = sum(file.digest is None for file in found)
    if bare:
        note = f"{bare} of {len(found)} files have no digest upstream: they are hashed here"
        item.warn(ACCESS, note, "each is read twice: once to lock it, once to export it")
        return
    item.ok(ACCESS, f"{len(found)} files")


def _byte(item: Item, named: NgcItem, found: list[Listed], upstreams: Upstreams) -> None:
    """Read the first byte of the largest file, from wherever NGC has signed a URL for."""
    file = max(found, key=lambda listed: listed.size)
    if not file.size:
        item.ok(BYTES, "all files are empty")
        return

    def ask(api: NgcApi) -> bytes:
        opened = ngc_urls.opener(api, named, file.path, file.size, file.digest)
        with ExitStack() as stack:
            try:
                blocks = stack.enter_context(opened(0, 1))
            except Unranged:  # whoever has no ranges sends the whole: its beginning says enough
                blocks = stack.enter_context(opened(0))
            return next(blocks, b"")

    upstreams.http.persist(lambda: upstreams.ngc.either(named, ask))
    item.ok(BYTES)
