"""Classic Helm repositories: an index, and archives beside it, carried as Helm OCI artifacts."""

from __future__ import annotations

import re
from threading import Lock
from typing import TYPE_CHECKING, Final

from bundle.artifact import Content
from bundle.decode import compact_json
from bundle.digest import Digest
from bundle.errors import SourceError
from bundle.whole import Unranged
from bundler.lock import LockedContent, Origin
from bundler.sources import chartfile, fileset, helmindex
from bundler.sources.fileset import Identity
from bundler.sources.helmlogin import Logins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from bundle.http import Http
    from bundler.entries import ChartEntry
    from bundler.lock import LockedArtifact
    from bundler.sources.base import OpenAt
    from bundler.sources.helmindex import Release

CONFIG: Final = "application/vnd.cncf.helm.config.v1+json"
CONTENT: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE: Final = "application/vnd.cncf.helm.chart.provenance.v1.prov"
INDEX_LIMIT: Final = 64 << 20
ARCHIVE_LIMIT: Final = 64 << 20
PROVENANCE_LIMIT: Final = 1 << 20


class HelmSource:
    """Charts of classic repositories (:class:`bundler.sources.base.Source`).

    What every answer passes through in memory is capped: the index and an archive at 64 MiB each.
    """

    def __init__(self, http: Http, logins: Logins | None = None) -> None:
        self._http = http
        self._logins = logins or Logins(http)
        self._indexes: dict[str, bytes] = {}
        self._mutex = Lock()

    def resolve(self, entry: ChartEntry) -> LockedArtifact:
        """Return the chart of exactly this version as the artifact that ``helm push`` makes.

        The archive is fetched once, checked against the index and read for its metadata. Raises
        :class:`bundle.errors.NotFound` for a chart or version that the index does not have, and
        :class:`SourceError` for an index or an archive that lies.
        """
        repo = helmindex.checked_repo(entry.repo, entry.where)
        release = helmindex.find(self._index(repo), repo, entry.name, entry.version)
        what = f"chart {entry.name} {entry.version} of {repo}"
        archive = self._archive(release, repo, what)
        config = _config(archive, release, what)
        layers = [_layer(CONTENT, archive, release.url, unvouched=not release.digest)]
        if provenance := self._provenance(release.url + ".prov", repo):
            layers.append(_layer(PROVENANCE, provenance, release.url + ".prov", unvouched=True))
        return fileset.assemble(
            _identity(repo, release),
            layers,
            {},
            config=(CONFIG, config),
            origin=Origin("helm", {"repo": repo, "chart": entry.name}),
            notes={},
        )

    def release(self, repo: str, name: str, version: str) -> Release:
        """Return what the index says of a version; raises as :meth:`resolve` does."""
        return helmindex.find(self._index(repo), repo, name, version)

    def probe(self, release: Release, repo: str) -> None:
        """Ask for the first byte of an archive; raise
        :class:`bundle.errors.NotFound` when it is gone."""

        def first() -> None:
            with self._logins.stream(release.url, near=repo, offset=0, end=1):
                pass

        self._http.persist(first)

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Return what opens an archive, or the provenance beside it, at an offset."""
        size, repo = content.content.size, artifact.origin.where.get("repo", "")

        def open_at(offset: int, end: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
            if end is not None:  # an archive of some kilobytes
                raise Unranged
            return self._logins.stream(content.url, near=repo, offset=offset, end=size)

        return open_at

    def close(self) -> None:
        """Forget the indexes; the connections belong to the run."""
        self._indexes.clear()

    def _index(self, repo: str) -> bytes:
        # Charts of one repository come one after another: its index is fetched once a run.
        with self._mutex:
            if repo not in self._indexes:
                answer = self._logins.get(f"{repo}/index.yaml", near=repo, limit=INDEX_LIMIT)
                self._indexes[repo] = answer.body
            return self._indexes[repo]

    def _archive(self, release: Release, repo: str, what: str) -> bytes:
        archive = self._logins.get(release.url, near=repo, limit=ARCHIVE_LIMIT).body
        digest = Digest.of(archive)
        if release.digest and digest != release.digest:
            raise SourceError(
                f"{what} is not what its index says: {digest}, not {release.digest}",
                hint="the repository is being changed, or is not to be trusted",
            )
        return archive

    def _provenance(self, url: str, repo: str) -> bytes:
        found = self._logins.optional(url, near=repo, limit=PROVENANCE_LIMIT)
        # Some servers answer 200 with a page for people when there is no such file.
        signed = found is not None and found.body.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----")
        return found.body if found and signed else b""


def _identity(repo: str, release: Release) -> Identity:
    host_and_path = re.sub(r"\Ahttps?://", "", repo)
    return Identity(
        kind="chart",
        name=f"{host_and_path}/{release.name}:{release.version}",
        repository=fileset.repository(host_and_path, release.name),
        version=release.version,
    )


def _layer(media_type: str, data: bytes, url: str, *, unvouched: bool) -> LockedContent:
    content = Content("layer", media_type, Digest.of(data), len(data))
    return LockedContent(content, url=url, unvouched=unvouched)


def _config(archive: bytes, release: Release, what: str) -> str:
    try:
        found = chartfile.metadata(archive)
    except ValueError as fault:
        raise SourceError(f"{what} is no chart: {fault}") from None
    inside = (found.get("name"), str(found.get("version", "")))
    if inside[0] != release.name or inside[1].removeprefix("v") != release.version.removeprefix(
        "v"
    ):
        raise SourceError(
            f"{what} says inside that it is {str(inside[0])[:80]!r} {inside[1][:80]!r}",
            hint="its index is wrong: ask whoever keeps the repository",
        )
    return compact_json(found).decode()
