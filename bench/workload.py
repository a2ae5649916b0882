"""What is carried: nine images whose layers share a base, the same bytes in every run."""

from __future__ import annotations

import http.client
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fixtures import content
from fixtures.push import push

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundle.digest import Digest
    from fixtures.content import Blob
    from tests.servers.registry import Registry

BASE = 100 << 20  # bytes of the layer that all images begin with
LARGEST = 1200 << 20  # bytes of the one layer that no chunk holds whole
UNIQUE = 2_345_000_000  # bytes of all layers, each once
IMAGES = 9
_SHARES = (5, 25, 70)  # percent of an image's own bytes: frameworks have one layer that dominates
_LEAST = 4096
_ACCEPT = f"{content.OCI_MANIFEST}, {content.OCI_INDEX}, {content.DOCKER_MANIFEST}"


@dataclass(frozen=True, slots=True)
class Image:
    """One image at the source registry."""

    repository: str
    tag: str
    digest: Digest

    @property
    def name(self) -> str:
        """A name for it in an OCI layout."""
        return self.repository.rpartition("/")[2]

    def at(self, host: str) -> str:
        """Return the reference by tag."""
        return f"{host}/{self.repository}:{self.tag}"

    def pinned(self, host: str) -> str:
        """Return the reference by digest."""
        return f"{host}/{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Workload:
    """The images, and the bytes of their distinct layers."""

    images: Sequence[Image]
    size: int


def layer_sizes(scale: float) -> list[list[int]]:
    """Return the bytes of each image's own layers, the largest layer in the last image.

    With the base this makes 27 layers and 35 references to them.
    """
    rest = UNIQUE - BASE - LARGEST
    own = rest // (IMAGES - 1)
    sizes = [[own * share // 100 for share in _SHARES] for _ in range(IMAGES - 1)]
    # The last image has the largest layer, and a small one that the others give a little for.
    sizes.append([own // 20, LARGEST])
    sizes[0][-1] -= own // 20
    return [[_scaled(size, scale) for size in image] for image in sizes]


def _scaled(size: int, scale: float) -> int:
    return max(_LEAST, int(size * scale))


def make(registry: Registry, folder: Path, scale: float) -> Workload:
    """Push the images; ``folder`` holds at most one image's layers and the base meanwhile."""
    store = content.Store(folder)
    base = store.layer(content.plausible("base", _scaled(BASE, scale)))
    total, images = base.size, []
    for number, sizes in enumerate(layer_sizes(scale)):
        own = [
            store.layer(content.plausible(f"app{number}layer{position}", size))
            for position, size in enumerate(sizes)
        ]
        graph = content.image([base, *own])
        image = Image(f"bench/app{number}", "1.0", graph.digest)
        push(registry.url, image.repository, graph, tags=[image.tag])
        images.append(image)
        total += sum(layer.size for layer in own)
        _forget(store, own)
    _forget(store, [base])
    return Workload(images, total)


def _forget(store: content.Store, layers: Sequence[Blob]) -> None:
    for layer in layers:
        (store.folder / layer.digest.hex).unlink(missing_ok=True)


def missing(host: str, images: Sequence[Image], prefix: str = "") -> list[str]:
    """Return the images that a registry does not have under their tag, with their digest."""
    absent = []
    with closing(http.client.HTTPConnection(host, timeout=30)) as link:
        for image in images:
            path = f"/v2/{prefix}{image.repository}/manifests/{image.tag}"
            link.request("HEAD", path, headers={"Accept": _ACCEPT})
            answer = link.getresponse()
            answer.read()
            if answer.headers.get("Docker-Content-Digest") != str(image.digest):
                absent.append(f"{image.repository}:{image.tag} ({answer.status})")
    return absent
