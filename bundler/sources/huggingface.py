"""Models of Hugging Face at one commit, listed by ``huggingface_hub``, fetched by ranges."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from contextlib import ExitStack, contextmanager
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from bundle.digest import Digest
from bundle.errors import NotFound, SourceError, UsageError, VerificationError
from bundle.hosts import is_loopback, is_url
from bundle.transfer import resume
from bundle.whole import Unranged, Whole
from bundler.lock import Origin
from bundler.sources import fileset
from bundler.sources.fileset import File, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundle.http import Http, Response
    from bundler.entries import HfEntry
    from bundler.lock import LockedArtifact, LockedContent
    from bundler.sources.base import OpenAt
    from bundler.sources.hf_hub import Commit, Hub, Listed

HOST: Final = "huggingface.co"
CODE: Final = "X-Error-Code"
"""The header in which the hub says why it refuses (huggingface_hub, ``hf_raise_for_status``)."""
ENDPOINT: Final = "HF_ENDPOINT"
"""The variable that names a mirror of the hub, as in ``huggingface_hub``."""


class HuggingFaceSource:
    """Repositories of the hub (:class:`bundler.sources.base.Source`).

    The token is that of ``huggingface_hub``: ``HF_TOKEN``, or what ``hf auth login`` has kept.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._mutex = Lock()

    def resolve(self, entry: HfEntry) -> LockedArtifact:
        """Return the files of a commit as an artifact.

        What lies in LFS has a SHA-256 upstream; the other files are read once, checked against the
        SHA-1 that git has for them, and marked. Raises :class:`NotFound` for what the hub does not
        show to this token, :class:`SourceError` for a refusal, and :class:`UsageError` when
        ``huggingface_hub`` is not installed.
        """
        commit = self._ready.commit(entry.repo, entry.commit)
        fileset.check_paths(f"{entry.repo}", [item.path for item in commit.files])
        listed = chosen(entry, commit.files)
        files = [self._file(entry, item) for item in listed]
        own = sum(file.unvouched for file in files)
        if not own:  # else files were read already
            self.probe(entry.repo, entry.commit, listed)
        identity = Identity(
            kind="model",
            name=f"{HOST}/{entry.repo}:{entry.commit}",
            repository=fileset.repository(HOST, entry.repo),
            version=entry.commit,
        )
        return fileset.build(
            identity,
            files,
            origin=Origin("huggingface", {"repo": entry.repo, "commit": entry.commit}),
            notes=_notes(entry, commit, own, len(files)),
        )

    def files(self, repo: str, commit: str) -> list[Listed]:
        """Return what the hub lists of a commit; raises as :meth:`resolve` does."""
        return self._ready.commit(repo, commit).files

    def probe(self, repo: str, commit: str, listed: Sequence[Listed]) -> None:
        """Read one byte of the largest file: the hub lists what it does not give to everybody.

        Raises :class:`SourceError` where it is refused.
        """
        largest = max(listed, key=lambda item: item.size, default=None)
        if largest is not None and largest.size:
            open_at = self._opener(repo, commit, largest.path, largest.size)

            def first() -> None:
                with ExitStack() as stack:
                    try:
                        blocks = stack.enter_context(open_at(0, 1))
                    except Unranged:  # whoever has no ranges sends the whole
                        blocks = stack.enter_context(open_at(0))
                    next(blocks, b"")

            self._http.persist(first)

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Return what opens a file of the commit at an offset."""
        where = artifact.origin.where
        return self._opener(
            where["repo"], where["commit"], content.content.path, content.content.size
        )

    def close(self) -> None:
        """Let the library's connections go; the others belong to the run."""
        if "_hub" in self.__dict__:
            self._hub.close()

    @property
    def _ready(self) -> Hub:
        with self._mutex:
            return self._hub

    @cached_property
    def _hub(self) -> Hub:
        from bundler.sources.hf_hub import Hub  # noqa: PLC0415  (a second, and an optional extra)

        known = self._http.hosts.get(HOST)
        return Hub(self._endpoint, known.ca_file if known else "")

    @cached_property
    def _endpoint(self) -> str:
        chosen = os.environ.get(ENDPOINT, "").rstrip("/")
        if HOST in self._http.hosts or not chosen:
            return self._http.base(HOST)
        parts = urlsplit(chosen)
        if not is_url(chosen) or (parts.scheme == "http" and not is_loopback(parts.netloc)):
            raise UsageError(
                f"{ENDPOINT} is no https:// URL of a hub",
                hint=f"mend it, or name a mirror as endpoint: of {HOST} under registries:",
            )
        return chosen

    def _file(self, entry: HfEntry, item: Listed) -> File:
        if item.sha256:
            return File(item.path, item.size, item.sha256)
        what = f"{item.path} of {entry.repo}"
        # git names a blob by the SHA-1 of a short header and its bytes (gitformat-object(5)).
        sha, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % item.size, usedforsecurity=False)
        open_at = self._opener(entry.repo, entry.commit, item.path, item.size)
        for block in resume(open_at, size=item.size, what=what, sleep=self._http.sleep):
            sha.update(block)
            git.update(block)
        if git.hexdigest() != item.blob:
            raise VerificationError(
                f"{what} has other bytes than git's {item.blob}",
                hint="run again; if it stays so, something on the way changes what it carries",
            )
        return File(item.path, item.size, Digest(f"sha256:{sha.hexdigest()}"), unvouched=True)

    def _opener(self, repo: str, commit: str, path: str, size: int) -> OpenAt:
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise SourceError(f"the lock has no full commit of {repo}")
        url = f"{self._endpoint}/{quote(repo)}/resolve/{commit}/{quote(path)}"

        whole = Whole(size)

        @contextmanager
        def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
            with self._http.stream(
                url,
                offset=offset,
                end=size if end is None else end,
                access=_Access(self._ready.token, f"{path} of {repo}"),
                whole=whole,
                exact=end is not None,
            ) as blocks:
                yield blocks

        return open_at


def chosen(entry: HfEntry, listed: Sequence[Listed]) -> list[Listed]:
    """Return the files that the entry's patterns take.

    They mean what they mean to ``huggingface_hub``: ``*`` takes slashes too, and a pattern that
    ends in a slash is a folder. Raises :class:`SourceError` for a pattern that takes nothing.
    """

    def taken(pattern: str) -> set[str]:
        pattern += "*" * pattern.endswith("/")
        found = {item.path for item in listed if fnmatch.fnmatchcase(item.path, pattern)}
        if not found:
            names = ", ".join(sorted(item.path for item in listed)[:8])
            raise SourceError(
                f"{entry.where}: no file of {entry.repo} is called like {pattern!r}",
                hint=f"there are: {names}",
            )
        return found

    wanted = {item.path for item in listed}
    if entry.include:
        wanted = set().union(*map(taken, entry.include))
    wanted -= set().union(*map(taken, entry.exclude))
    if listed and not wanted:
        raise SourceError(
            f"{entry.where}: exclude leaves no file of {entry.repo}", hint="mend the patterns"
        )
    return [item for item in listed if item.path in wanted]


def _notes(entry: HfEntry, commit: Commit, own: int, count: int) -> dict[str, str]:
    notes = {}
    if own:
        said = f"{own} of {count} files have only a git SHA-1 upstream: checked, hashed here"
        notes["unvouched"] = said
    if count < len(commit.files):
        notes["partial"] = f"{count} of the commit's {len(commit.files)} files"
    if commit.repo != entry.repo:
        notes["renamed"] = f"the hub calls it {commit.repo} now"
    return notes


class _Access:
    """The hub's token, sent to the hub and to nobody it redirects to."""

    def __init__(self, token: str, what: str) -> None:
        self._token, self._what = token, what

    def header(self) -> str:
        """Return the header's value; nothing without a token."""
        return f"Bearer {self._token}" if self._token else ""

    def renew(self, sent: str, challenge: str) -> bool:
        """Return that there is nothing else to try."""
        return False

    def fault(self, response: Response) -> Exception:
        """Return the error for a final status."""
        code = response.headers.get(CODE, "")
        return refusal(response.status, self._what, token=bool(self._token), code=code)


def refusal(status: int, what: str, *, token: bool, code: str = "") -> SourceError:
    """Return what to say when the hub refuses ``what``; it hides what a token may not see.

    ``code`` is the hub's own word for the reason (:data:`CODE`).
    """
    sent = "with your token" if token else "without a token"
    if status == 404 or code == "RepoNotFound":
        return NotFound(
            f"{HOST} has no {what}, or does not show it {sent} ({status})",
            hint="are the names right? private repositories need HF_TOKEN",
        )
    if code == "DisabledRepo":
        return SourceError(
            f"{HOST} has switched off the repository of {what} ({status})",
            hint="its page says why; take the model from elsewhere",
        )
    if code == "GatedRepo" or status == 403:
        whose = "the account of HF_TOKEN" if token else "an account, and set HF_TOKEN to its token"
        return SourceError(
            f"{HOST} does not give {what} {sent} ({status})",
            hint=f"accept its terms on its page, in person, with {whose}",
        )
    if status == 401:
        return SourceError(
            f"{HOST} refuses {what} {sent} (401)",
            hint="set HF_TOKEN to a token that may read it; an expired one is refused everywhere",
        )
    return SourceError(f"{HOST} answered {status} about {what}")
