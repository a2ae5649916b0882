"""Names of things at upstreams, as people write them: image references and URLs, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from bundle.artifact import TAG
from bundle.digest import Digest, is_digest
from bundle.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Collection
    from urllib.parse import SplitResult

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
HOST = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?"
PATH = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*"
"""The name of a repository (OCI distribution-spec, "Pulling manifests")."""
FULL_NAME = "write the full name, such as nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04"
_SECRET = re.compile(
    r"sig|x-(?:amz|goog)-.*|.*(?:signature|token|secret|password|credential|ssec|api-?key).*",
    re.IGNORECASE,
)


class NamingError(ValueError):
    """A name that means nothing, or more than one thing; ``hint`` says how to write it.

    The message never holds what may be a credential.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Reference:
    """``host/path[:tag][@digest]``."""

    host: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def repository(self) -> str:
        """The repository with its host: ``nvcr.io/nvidia/cuda``."""
        return f"{self.host}/{self.path}"

    @property
    def moves(self) -> bool:
        """Whether the tag is one that its owner points at something else with every release."""
        moving = self.tag == "latest" or self.tag.startswith("latest-")
        return moving and self.digest is None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Return the image reference that ``text`` is; raise :class:`NamingError` for all others.

    A name without a registry host is refused: docker would read it as ``docker.io/library/…``, and
    whoever owns that name there.
    """
    if "://" in text:
        raise NamingError("an image is named without ://", FULL_NAME)
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        # What stands before the @ may be a password.
        raise NamingError(
            "what follows the @ is not sha256: and 64 lower-case hex digits", FULL_NAME
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,400}", name):
        raise NamingError("is empty, too long, or has characters that no name has", FULL_NAME)
    host, slash, rest = name.partition("/")
    if not slash or not (host == "localhost" or "." in host or ":" in host):
        raise NamingError(f"{name!r} has no registry host", f"{FULL_NAME}; dray never guesses one")
    path, colon, tag = rest.partition(":")
    _check_repository(host, path)
    if colon and not re.fullmatch(TAG, tag):
        raise NamingError(f"{tag[:140]!r} cannot be a tag", "letters, digits, '.', '_' and '-'")
    return Reference(host, path, tag, Digest(digest) if digest else None)


def _check_repository(host: str, path: str) -> None:
    name = f"{host}/{path}"
    if name != name.lower():
        raise NamingError(f"{name!r} has capital letters", "a registry and a repository have none")
    if not re.fullmatch(HOST, host) or int(host.partition(":")[2] or 0) > 65535:
        raise NamingError(f"{host!r} is not a registry host", FULL_NAME)
    if not re.fullmatch(PATH, path) or len(name) > 255:
        raise NamingError(f"{path!r} is not the name of a repository", FULL_NAME)
    if host == "docker.io" and "/" not in path:
        raise NamingError(f"{name!r} is short for another name", f"write docker.io/library/{path}")


def check_url(text: str, *, plain_http: Collection[str] = (), query: bool = False) -> SplitResult:
    """Return the parts of an HTTPS URL that may stand in a document; raise :class:`NamingError`.

    Plain HTTP is for loopback and for the hosts in ``plain_http``. Users, passwords, fragments and
    signed queries are refused, and so is every query unless ``query`` is set.
    """
    try:
        parts = urlsplit(text)
        _port = parts.port
    except ValueError:
        raise NamingError("is not a URL") from None
    if "@" in parts.netloc:
        raise NamingError(
            "has a user name or a password in it",
            "credentials come from docker's config.json or the environment, never from a document",
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,2000}", text) or "\\" in text:
        raise NamingError("has characters that no URL has", "percent-encode them")
    if not text.startswith(("https://", "http://")) or not re.fullmatch(HOST, parts.netloc):
        raise NamingError("is not https://host[:port]/path, the host in lower case")
    _check_tail(text, parts, query=query)
    allowed = is_loopback(parts.netloc) or parts.netloc in plain_http
    if parts.scheme == "http" and not allowed:
        hint = f"write https://, or set plain-http: true for {parts.netloc} under registries:"
        raise NamingError("is plain HTTP, which anyone on the way can change", hint)
    return parts


def _check_tail(text: str, parts: SplitResult, *, query: bool) -> None:
    if "#" in text:
        raise NamingError("has a fragment (#)", "leave it out")
    if "?" in text and not query:
        raise NamingError("has a query (?)", "leave it out")
    fields = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=None)
    if any(_SECRET.fullmatch(name) for name, _value in fields):
        raise NamingError("is signed or carries a token, so it is a secret", "give the plain URL")
