"""The index of a classic Helm repository: one release found in it, and nothing believed."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from bundle.digest import Digest
from bundle.errors import NotFound, SourceError, UsageError
from bundle.hosts import is_url, leaves_tls, redact
from bundler.sources import plaintree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.sources.plaintree import Tree

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a chart; no ``digest`` where the index gives none.

    ``deprecated`` is the publisher's own mark (Helm documentation, "Charts").
    """

    name: str
    version: str
    url: str
    digest: Digest | None
    deprecated: bool = False


def checked_repo(repo: str, where: str) -> str:
    """Return the URL of a repository without a slash at its end; raise :class:`UsageError`."""
    if not is_url(repo) or urlsplit(repo).query or urlsplit(repo).fragment or not repo.isascii():
        raise UsageError(
            f"{where}: {redact(repo)} is no URL of a Helm repository",
            hint="https://host/path, where index.yaml is, with no user name or query in it",
        )
    return repo.rstrip("/")


def find(index: bytes, repo: str, name: str, version: str) -> Release:
    """Return the release of exactly this version.

    Raises :class:`NotFound` with the nearest versions, and :class:`SourceError` for an index that
    is not in order: twice the same key, aliases, wrong types.
    """
    try:
        entries = plaintree.read(index, ("entries", name))
        if entries is None:
            raise NotFound(f"{repo} has no chart called {name!r}", hint="is its name right?")
        releases = [_facts(item) for item in _a_list(entries, f"entries of {name!r}")]
        found = [facts for facts in releases if facts[0] == version]
        if len(found) > 1:
            raise ValueError(f"{name!r} {version!r} stands in it {len(found)} times")
        if not found:
            raise NotFound(
                f"{repo} has {name!r}, but not in version {version!r}",
                hint=_near(version, [facts[0] for facts in releases]),
            )
        return _release(found[0][1], repo, name, version)
    except ValueError as fault:
        raise SourceError(
            f"the index of {repo} is not in order: {fault}",
            hint="ask whoever keeps the repository",
        ) from None


def _facts(item: Tree) -> tuple[str, dict[str, Tree]]:
    if not isinstance(item, dict):
        raise ValueError("a release is no mapping")
    version = item.get("version")
    if not isinstance(version, str):
        raise ValueError("the version of a release is no text")
    return version, item


def _a_list(value: Tree, what: str) -> list[Tree]:
    if not isinstance(value, list):
        raise ValueError(f"the {what} are no list")
    return value


def _release(item: dict[str, Tree], repo: str, name: str, version: str) -> Release:
    if item.get("name", name) != name or not _NAME.fullmatch(name):
        raise ValueError(f"the entry of {name[:80]!r} is for another chart")
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", version):
        raise ValueError("a version is no plain text")
    urls = _a_list(item.get("urls"), f"URLs of {name!r} {version!r}")
    if not urls or not isinstance(urls[0], str):
        raise ValueError(f"{name!r} {version!r} has no URL")
    url = urljoin(repo + "/", urls[0])
    if not is_url(url) or not url.isascii() or len(url) > 4000:
        raise ValueError(f"{name!r} {version!r} has no URL that can be asked")
    if urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError(f"the URL of {name!r} {version!r} has a query, which may be a secret")
    if leaves_tls(repo, url):
        raise ValueError(f"the URL of {name!r} {version!r} leaves TLS")
    digest = _digest(item.get("digest"), f"{name!r} {version!r}")
    return Release(name, version, url, digest, item.get("deprecated") == "true")


def _digest(value: Tree, what: str) -> Digest | None:
    if value is None or value == "":
        return None
    text = value.removeprefix("sha256:") if isinstance(value, str) else ""
    try:
        return Digest(f"sha256:{text.lower()}")
    except ValueError:
        raise ValueError(f"the digest of {what} is none") from None


def _near(version: str, there: Sequence[str]) -> str:
    other = version[1:] if version.startswith("v") else f"v{version}"
    if other in there:
        return f"did you mean {other!r}? A version is taken as it is written"
    near = difflib.get_close_matches(version, there, n=_SHOWN, cutoff=0.4) or there[:_SHOWN]
    return "there are: " + ", ".join(text[:60] for text in near) if near else "it has no version"
