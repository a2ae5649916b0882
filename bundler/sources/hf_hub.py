"""What ``huggingface_hub`` says about a repository: the one file that imports the library."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bundle.digest import Digest
from bundle.errors import SourceError, UsageError
from bundler.entries import HF_REPO
from bundler.sources import fileset
from bundler.sources.huggingface import CODE, HOST, refusal

try:
    import httpx2
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError
except ImportError:
    raise UsageError(
        "hf: needs the package huggingface_hub, which is not installed",
        hint="pip install 'dray[hf]', or pip install 'huggingface_hub>=2'",
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT: Final = 60.0
"""Seconds; the library itself waits for ever."""
MOST_FILES: Final = 100_000
MOST_ANSWERS: Final = 1000
"""Answers about one commit: pages of files, redirects, and what the library asks again."""
ANSWER_LIMIT: Final = 16 << 20
"""Bytes of an answer; a page has a thousand files."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a commit: ``size`` in bytes, ``blob`` git's name of it, ``sha256`` if in LFS."""

    path: str
    size: int
    blob: str
    sha256: Digest | None


@dataclass(frozen=True, slots=True)
class Commit:
    """What the hub says of a commit: what the repository is called there now, and its files.

    ``gated``: a person has to accept terms first. The listing is shown to everybody all the same.
    """

    repo: str
    gated: bool
    files: list[Listed]


class Hub:
    """The hub at ``endpoint``, for several threads; ``ca_file`` is the PEM file of its CA."""

    def __init__(self, endpoint: str, ca_file: str = "") -> None:
        self._trusted = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self.token: str = huggingface_hub.get_token() or ""
        huggingface_hub.set_client_factory(self._client)
        self._api = huggingface_hub.HfApi(endpoint, token=self.token or False)
        self._asked = 0

    def commit(self, repo: str, commit: str) -> Commit:
        """Return a commit with its files.

        Raises :class:`bundle.errors.NotFound` and :class:`SourceError`: never with the library's
        own text, which repeats what the server wrote.
        """
        what = f"commit {commit[:12]} of {repo}"
        self._asked = 0
        try:
            about = self._api.model_info(repo, revision=commit)
            if about.sha != commit:
                raise SourceError(f"{HOST} answers about another commit than {what}")
            listed: list[Listed] = []
            for item in self._api.list_repo_tree(repo, revision=commit, recursive=True):
                if isinstance(item, huggingface_hub.RepoFile):
                    listed.append(_listed(item, what))
                if len(listed) > MOST_FILES:
                    raise SourceError(f"{what} has more than {MOST_FILES} files")
        except HfHubHTTPError as error:
            code = str(error.response.headers.get(CODE, ""))
            status = error.response.status_code
            raise refusal(status, what, token=bool(self.token), code=code) from None
        except (httpx2.HTTPError, OSError) as error:
            raise SourceError(
                f"{HOST} cannot be asked about {what}: {type(error).__name__}",
                hint="is the host reachable, and does a proxy or firewall let it through?",
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceError(
                f"{HOST} answers about {what} in a way that cannot be read: {type(error).__name__}"
            ) from None
        name = vars(about).get("id")  # the library believes its JSON: this can be anything
        name = name if isinstance(name, str) and re.fullmatch(HF_REPO, name) else repo
        return Commit(name, bool(getattr(about, "gated", False)), listed)

    def close(self) -> None:
        """Let the connections go."""
        huggingface_hub.close_session()

    def _client(self) -> httpx2.Client:
        made = httpx2.Client(follow_redirects=True, timeout=TIMEOUT, verify=self._trusted)
        made.event_hooks = {"request": [self._request], "response": [_bound]}
        return made

    def _request(self, request: httpx2.Request) -> None:
        # The library follows links from page to page, also where they lead nowhere new.
        self._asked += 1
        if self._asked > MOST_ANSWERS:
            raise SourceError(
                f"{HOST} answers in more than {MOST_ANSWERS} pages: a list without end"
            )
        request.headers["Accept-Encoding"] = "identity"  # what is packed has no bound


def _bound(response: httpx2.Response) -> None:
    """Let an answer be read no further than to the limit; the library reads to the end."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceError(f"{HOST} answers in an encoding that was not asked for")
    response.stream = _Bounded(response.stream)


class _Bounded(httpx2.SyncByteStream):
    """The bytes of an answer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for block in self._stream:
            seen += len(block)
            if seen > ANSWER_LIMIT:
                raise SourceError(f"{HOST} answers with more than {ANSWER_LIMIT} bytes")
            yield block

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def _listed(item: huggingface_hub.RepoFile, what: str) -> Listed:
    # The library believes its JSON: a size can be anything here.
    path, size, blob = (vars(item)[key] for key in ("path", "size", "blob_id"))
    if not isinstance(path, str) or type(size) is not int or not 0 <= size <= fileset.LARGEST:
        raise SourceError(f"{HOST} lists a file of {what} without a name and a size")
    if item.lfs is None:
        return Listed(path, size, str(blob), None)
    if item.lfs.size != size:
        raise SourceError(f"{HOST} gives {path[:200]!r} of {what} two sizes")
    return Listed(path, size, str(blob), Digest(f"sha256:{item.lfs.sha256}"))
