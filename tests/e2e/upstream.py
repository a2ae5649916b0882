"""Content in a real registry, and what was fetched from it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundle.digest import Digest
from fixtures.content import Graph, Held, Store, blob, image, index, plausible
from fixtures.push import push

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fixtures.content import Blob
    from tests.servers.registry import Registry

_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
_COMMIT = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/[^?]+\?.*digest=sha256(?::|%3A)(?P<hex>\w+)")
_PUT = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>.+)")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Repositories of one test in a registry, below ``prefix``."""

    registry: Registry
    store: Store
    prefix: str

    def layer(self, seed: str, size: int) -> Blob:
        """Return a layer with ``size`` incompressible bytes."""
        return self.store.layer(plausible(seed, size))

    def image(self, name: str, *sizes: int, tag: str = "1.0", shared: Iterable[Blob] = ()) -> Graph:
        """Push an image with layers of these sizes, seeded by its name."""
        own = [self.layer(f"{name}-{number}", size) for number, size in enumerate(sizes)]
        made = image([*shared, *own])
        self.push(name, made, tag)
        return made

    def multi(self, name: str, *sizes: int, tag: str = "1.0", attested: bool = True) -> Graph:
        """Push an index of two platforms, the first one attested as BuildKit does."""
        images = [
            image(
                [self.layer(f"{name}-{arch}-{number}", size) for number, size in enumerate(sizes)],
                platform=f"linux/{arch}",
            )
            for arch in ("amd64", "arm64")
        ]
        made = index(images, attested=attested)
        self.push(name, made, tag)
        return made

    def text(self, name: str, size: int, *, tag: str = "1.0") -> Graph:
        """Push an image whose one layer is not compressed, and would gain from it."""
        lines = (f"{name} {number:09d}\n".encode() for number in range(size // 16))
        layer = blob(Held(b"".join(lines)), "application/vnd.oci.image.layer.v1.tar")
        made = image([replace(layer, diff_id=str(layer.digest))])
        self.push(name, made, tag)
        return made

    def push(self, name: str, graph: Graph, *tags: str) -> None:
        """Push anything."""
        push(self.registry.url, f"{self.prefix}/{name}", graph, tags=tags)

    def name(self, name: str, host: str = "") -> str:
        """Return a repository's full name, at the registry or at a proxy in front of it."""
        return f"{host or self.registry.host}/{self.prefix}/{name}"

    def fetched(self, since: int = 0) -> Counter[Digest]:
        """Count the GETs of each blob of this test, from the ``since``-th request on."""
        return blob_gets(self.registry, since, self.prefix)


def blob_gets(registry: Registry, since: int = 0, prefix: str = "") -> Counter[Digest]:
    """Count how often each blob below a prefix was asked for."""
    found: Counter[Digest] = Counter()
    for method, path, _status in registry.requests()[since:]:
        match = _BLOB.fullmatch(path)
        if method == "GET" and match and match["name"].startswith(prefix):
            found[Digest(match["digest"])] += 1
    return found


LEDGER = "/dray/ledger/"


def commits(registry: Registry, prefix: str) -> Counter[str]:
    """Count how often each blob was committed below a prefix, but for the copy of the ledger."""
    found: Counter[str] = Counter()
    for method, path, status in registry.requests():
        match = _COMMIT.match(path)
        ours = match and match["name"].startswith(prefix) and LEDGER not in path
        if method == "PUT" and status == 201 and match and ours:
            found[match["hex"]] += 1
    return found


def writes(registry: Registry, prefix: str) -> list[str]:
    """Return what was written below a prefix, in order: ``blob`` or a manifest's reference.

    But for the copy of the ledger, which comes after all that.
    """
    found = []
    for method, path, status in registry.requests():
        if method not in {"PUT", "POST", "PATCH", "DELETE"} or status >= 400 or LEDGER in path:
            continue
        if match := _PUT.fullmatch(path):
            if match["name"].startswith(prefix):
                found.append(match["reference"])
        elif path.startswith(f"/v2/{prefix}"):
            found.append("blob")
    return found
