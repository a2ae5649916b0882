"""Charts of classic repositories, files by URL, models of Hugging Face: asked for, not fetched."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bundle.errors import DrayError, SourceError
from bundler.doctor.findings import ACCESS, BYTES, SEEN, VERSION
from bundler.sources import helmindex
from bundler.sources.address import Anonymous, contact
from bundler.sources.helm import INDEX_LIMIT
from bundler.sources.huggingface import chosen

if TYPE_CHECKING:
    from bundler.doctor.findings import Item
    from bundler.entries import ChartEntry, FileEntry, HfEntry
    from bundler.resolve import Upstreams


def probe(item: Item, entry: ChartEntry, upstreams: Upstreams) -> None:
    """Read the index of the repository, and one byte of the archive."""
    item.skip(SEEN, "the index says it")
    step = ACCESS
    try:
        repo = helmindex.checked_repo(entry.repo, entry.where)
        index_url = f"{repo}/index.yaml"
        index = upstreams.logins.get(index_url, near=repo, limit=INDEX_LIMIT).body
        _accessed(item, upstreams.logins.passed_over.get(index_url))
        step = VERSION
        release = helmindex.find(index, repo, entry.name, entry.version)
        item.ok(VERSION, "" if release.digest else "the index has no digest for it")
        step = BYTES
        _byte(release.url, repo, upstreams)
        item.ok(BYTES)
    except DrayError as error:
        item.fail(step, error)


def _accessed(item: Item, passed_over: tuple[int, str] | None) -> None:
    if not passed_over:
        item.ok(ACCESS)
        return
    status, origin = passed_over
    note = (
        f"the index is read without a credential: that of {origin} is refused ({status}), since "
        "it has no right to all charts of the org"
    )
    item.ok(ACCESS, note, case="key-in-the-way")


def _byte(url: str, repo: str, upstreams: Upstreams) -> None:
    def first() -> int:
        with ExitStack() as stack:
            opened = upstreams.logins.stream(url, near=repo, offset=0, end=1)
            return sum(len(block) for block in stack.enter_context(opened))

    if upstreams.http.persist(first) != 1:
        raise SourceError(f"{url} is empty")


def file(item: Item, entry: FileEntry, upstreams: Upstreams) -> None:
    """Read one byte of a file by URL."""
    for check in (SEEN, VERSION):
        item.skip(check, "a URL has neither")

    def first() -> int:
        where = contact(upstreams.http, entry.url)
        with ExitStack() as stack:
            opened = upstreams.http.stream(where, offset=0, end=1, access=Anonymous())
            return sum(len(block) for block in stack.enter_context(opened))

    try:
        got = upstreams.http.persist(first)
        item.ok(ACCESS)
        item.ok(BYTES, "" if got else "it is empty")
    except DrayError as error:
        item.fail(ACCESS, error)


def huggingface(item: Item, entry: HfEntry, upstreams: Upstreams) -> None:
    """List the files of a commit, and read one byte: anybody may list what is gated."""
    item.skip(SEEN, "the listing says it")
    step = VERSION
    try:
        listed = upstreams.huggingface.files(entry.repo, entry.commit)
        found = chosen(entry, listed)
        item.ok(VERSION, f"{len(found)} files")
        step = ACCESS
        upstreams.huggingface.probe(entry.repo, entry.commit, found)
    except DrayError as error:
        item.fail(step, error)
        return
    item.ok(ACCESS)
    item.ok(BYTES)
