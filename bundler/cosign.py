"""A second host makes every chunk again in its memory, and signs when all are the same bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bundle
from bundle import instant
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, VerificationError
from bundle.rebuild import Rebuild
from bundle.required import REQUIRED
from bundle.state import StateFolder, default_folder
from bundler import paperwork
from bundler.fetch import Stop, check
from bundler.remake import WORKERS, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.chunks import StoredBlob
    from bundle.manifest import Manifest
    from bundle.rebuild import Offer
    from bundle.shelf import Shelf
    from bundler.lock import Lock
    from bundler.remake import Upstream

_ASK = "ask whoever made the bundle, and compare the locks, before anybody signs it"


@dataclass
class Second:
    """What the second host has: its own lock, and its own way to the upstreams."""

    lock: Lock
    upstream: Upstream
    shelf: Shelf | None
    on_bytes: Callable[[int], object] = lambda _count: None

    def check(self, manifest: Manifest, digest: Digest) -> list[str]:
        """Raise unless this host's lock gives this manifest's chunks; return what was not compared.

        Nothing is written. Raises :class:`VerificationError` naming the first difference.
        """
        self._check_moment(manifest, digest)
        self._check_pins(manifest)
        left = self._check_files(manifest)
        self._check_chunks(manifest)
        return left

    def _check_moment(self, manifest: Manifest, digest: Digest) -> None:
        if instant.parse(manifest.expires) <= instant.now():
            raise NotTrusted(f"{manifest.name} expired on {manifest.expires}", hint="export anew")
        known = StateFolder(default_folder(), "export").last(manifest.stream)
        if known and known.sequence == manifest.sequence and known.manifest != digest:
            raise NotTrusted(
                f"this host has exported another bundle as {manifest.name}: {known.manifest.short}",
                hint="two bundles of one number are an alarm on the high side: sign one only",
            )

    def _check_pins(self, manifest: Manifest) -> None:
        own = tuple(locked.artifact for locked in self.lock.artifacts)
        for what, mine, theirs in (
            ("lock", self.lock.digest, manifest.lock),
            ("spec", self.lock.spec, manifest.spec),
        ):
            if mine != theirs:
                message = f"{manifest.name} was made from another {what}: {theirs}, here {mine}"
                raise VerificationError(message, hint=_ASK)
        if own != manifest.artifacts:
            names = {a.name for a in own} ^ {a.name for a in manifest.artifacts}
            odd = sorted(names) or [
                a.name for a, b in zip(own, manifest.artifacts, strict=False) if a != b
            ]
            message = f"{manifest.name} has other artifacts than its lock: {', '.join(odd[:3])}"
            raise VerificationError(message, hint=_ASK)

    def _check_files(self, manifest: Manifest) -> list[str]:
        """Compare the small files that follow from the rest; return the names of the others."""
        known = {file.name: file.digest for file in manifest.files}
        sums = f"{manifest.name}.sha256sums"
        own = {
            f"{manifest.name}.lock.yaml": Digest.of(self.lock.text),
            f"{manifest.name}.trusted-root.json": Digest.of(paperwork.TRUSTED_ROOT),
            sums: Digest.of(_sums(manifest)),
        }
        if manifest.generator == ("dray", bundle.__version__):
            encoded = any(blob.encoding == "zstd" for blob in manifest.blobs)
            made = [Digest.of(_readme(manifest, encoded=flag)) for flag in (encoded, True)]
            own["README.txt"] = made[known.get("README.txt") == made[1]]
        for name, digest in own.items():
            if name in known and known[name] != digest:
                raise VerificationError(
                    f"{manifest.name} has another {name} than follows from its chunks", hint=_ASK
                )
        parities = [file.name for group in manifest.parity for file in group.files]
        return [*(name for name in known if name not in own), *parities]

    def _check_chunks(self, manifest: Manifest) -> None:
        failures: dict[int, DrayError] = {}
        with ThreadPoolExecutor(WORKERS, "cosign") as pool:
            running = {
                c.number: pool.submit(self._derive, manifest, c.number) for c in manifest.chunks
            }
            for number, future in running.items():
                try:
                    future.result()
                except Stop:
                    self.upstream.stop.set()
                except DrayError as error:
                    failures[number] = error
        check(self.upstream.stop)
        if different := {n: e for n, e in failures.items() if isinstance(e, VerificationError)}:
            first = min(different)
            name = manifest.chunks[first - 1].name
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            message = f"{name} is not what this host's upstream gives: {different[first].message}"
            raise VerificationError(message + more, hint=different[first].hint or _ASK)
        if failures:
            raise failed(failures, manifest)

    def _derive(self, manifest: Manifest, number: int) -> None:
        def offers(blob: StoredBlob, part: int) -> Iterator[Offer]:
            if self.shelf:
                yield from self.shelf.offers(blob, part)
            yield from self.upstream.offers(blob, part)

        def count(_offset: int, data: bytes) -> None:
            check(self.upstream.stop)
            self.on_bytes(len(data))

        Rebuild(manifest, number, offers, count).run()


def _readme(manifest: Manifest, *, encoded: bool) -> bytes:
    left = [blob for blob in manifest.blobs if blob.encoding == REQUIRED]
    name, bases = manifest.name, manifest.bases
    return paperwork.readme(name, encoded=encoded, encrypted=False, left=left, bases=bases)


def _sums(manifest: Manifest) -> bytes:
    """Return the list of digests as the manifest's own names and digests give it."""
    rows = [(chunk.name, chunk.digest) for chunk in manifest.chunks]
    rows += [(file.name, file.digest) for group in manifest.parity for file in group.files]
    own = [(f.name, f.digest) for f in manifest.files if not f.name.endswith(".sha256sums")]
    return paperwork.sha256sums([*rows, *own])
