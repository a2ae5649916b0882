"""The targets: whether everything is there still, and the charts, read back and verified."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bundle.credentials import find
from bundle.errors import TargetError, UsageError, VerificationError
from bundle.hosts import Host, locate
from bundle.http import Http
from bundle.registry import Registry
from importer.relocate.world import ENCODED, Bucket
from importer.targets import marker, triton
from importer.targets.held import Held
from importer.targets.s3client import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.destinations import Destination
    from importer.relocate.world import Stored, Tree

    Head = Callable[[str], tuple[int, str] | None]

ARCHIVE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
"""The layer that is a chart (Helm, "Use OCI-based registries")."""
ARCHIVE_LIMIT = 64 << 20
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_WORKERS = 8
_SHOWN = 20


@dataclass
class Reach:
    """Clients of the targets; close it. ``destinations`` say how each is reached."""

    destinations: Sequence[Destination] = ()
    _registries: dict[str, Registry] = field(default_factory=dict)
    _http: Http | None = None

    def close(self) -> None:
        """Let connections go."""
        if self._http:
            self._http.close()

    # -- how they are reached ---------------------------------------------------------------------

    def host(self, name: str) -> Host:
        """Return what is said about a registry."""
        kinds = {"registry", "harbor"}
        found = (
            one.host for one in self.destinations if (one.type in kinds, one.name) == (1, name)
        )
        return next(found, Host())

    def bucket(self, name: str) -> Bucket:
        """Return how a bucket is reached: as --to says, else as the AWS environment does."""
        said = next((d for d in self.destinations if (d.type, d.name) == ("s3", name)), None)
        endpoint = (said.host.endpoint if said else "") or _variable(_ENDPOINTS)
        region = (said.region if said else "") or _variable(_REGIONS) or REGION
        return Bucket(endpoint, region, authority(said.host.ca_file if said else ""))

    def is_plain(self, name: str) -> bool:
        """Whether a registry speaks plain HTTP by its name; an ``endpoint`` is this host's way."""
        return locate(name, replace(self.host(name), endpoint=""))[0].startswith("http://")

    def _client(self) -> Http:
        if self._http is None:
            known = {
                one.name: one.host
                for one in self.destinations
                if one.type in {"registry", "harbor"}
            }
            self._http = Http(known, error=TargetError)
        return self._http

    def _registry(self, host: str) -> Registry:
        if host not in self._registries:
            self._registries[host] = Registry(host, self._client(), find(host))
        return self._registries[host]

    # -- what is there ----------------------------------------------------------------------------

    def check(self, stored: Sequence[Stored], trees: Sequence[Tree]) -> list[Tree]:
        """Ask for everything; return the trees, those told that are in a repository of Triton.

        Raises :class:`TargetError` with all that is not there any more.
        """
        for host in sorted({one.host for one in stored}):
            self._registry(host).ping()
        with ThreadPoolExecutor(_WORKERS, "check") as pool:
            gone = [line for lines in pool.map(self._gone, stored) for line in lines]
        found: list[Tree] = []
        for bucket in sorted({one.bucket for one in trees}):
            own = [one for one in trees if one.bucket == bucket]
            gone += self._absent(bucket, own, found)
        if gone:
            more = [f"  and {len(gone) - _SHOWN} more"] if len(gone) > _SHOWN else []
            raise TargetError(
                "not everything is at its target as the receipt says:\n"
                + "\n".join([*(f"  {line}" for line in gone[:_SHOWN]), *more]),
                hint="import the bundle again; a policy that blocks pulls looks the same",
                case="gone",
            )
        return sorted(found, key=lambda one: one.artifact.name)

    def _gone(self, one: Stored) -> list[str]:
        registry, lines = self._registry(one.host), []
        for content in one.artifact.manifests:
            names = [content.digest, *content.tags]
            for name in names:
                there = registry.has_manifest(one.path, name)
                if there != content.digest:
                    joint = "@" if name == content.digest else ":"
                    what = f"is {there}, not {content.digest}" if there else "is not there"
                    lines.append(f"{one.target}{joint}{name} {what}")
        return lines

    def _absent(self, bucket: str, trees: Sequence[Tree], found: list[Tree]) -> list[str]:
        if not bucket:
            found += trees
            return [line for tree in trees for line in _absent_here(tree)]
        from importer.targets.bucket import Bucket as Connection  # noqa: PLC0415  (boto3 is heavy)
        from importer.targets.bucket import Store  # noqa: PLC0415

        said = next((d for d in self.destinations if (d.type, d.name) == ("s3", bucket)), None)
        store = Store(bucket, said.host.endpoint, said.region, said.host.ca_file) if said else None
        there = Connection(store or Store(bucket))
        try:
            there.check()
            return [line for tree in trees for line in _looked(there.head, tree, found)]
        finally:
            there.close()

    # -- what is in it ----------------------------------------------------------------------------

    def archive(self, chart: Stored) -> bytes:
        """Return the .tgz of a chart; its bytes are those that the receipt names.

        Raises :class:`TargetError` for other bytes, and for a chart that has none or two.
        """
        layers = [c for c in chart.artifact.contents if c.media_type == ARCHIVE]
        if len(layers) != 1 or layers[0].size > ARCHIVE_LIMIT:
            raise TargetError(
                f"{chart.target} has no chart in it that dray can read",
                hint=f"a chart is one layer of type {ARCHIVE}, of at most {ARCHIVE_LIMIT} bytes",
            )
        layer = layers[0]
        opener = self._registry(chart.host).opener(chart.path, layer.descriptor)
        return Held(layer.digest, layer.size, f"{chart.target}@{layer.digest}", opener).read()


def authority(ca_file: str) -> str:
    """Return the certificates in a PEM file; nothing for no file. Raises :class:`UsageError`."""
    if not ca_file:
        return ""
    try:
        text = Path(ca_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise UsageError(
            f"{ca_file} holds no certificate, or more than certificates",
            hint="give a PEM file with the CA's certificate, and nothing that is secret",
        )
    return text


def _variable(names: Sequence[str]) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")


def _absent_here(tree: Tree) -> Iterator[str]:
    from bundle.digest import Digest  # noqa: PLC0415

    folder = Path(tree.place)
    if not folder.is_dir():
        yield f"{folder.absolute()} is not on this host, or was named from another folder"
        return
    try:
        held = marker.read((folder / marker.NAME).read_bytes()[: marker.LIMIT], tree.place)
    except (OSError, VerificationError, TargetError):
        yield f"{tree.place} has no {marker.NAME}: its files are not complete"
        return
    if held.root != tree.artifact.root:
        yield f"{tree.place} is {Digest(held.root)}, not {tree.artifact.root}"
    for file in tree.artifact.files:
        path = folder / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            yield f"{path} is not there, or has another size"


def _looked(head: Head, tree: Tree, found: list[Tree]) -> list[str]:
    """Return what lacks of a tree, and put it among those found as it is laid out."""
    prefix = tree.place.removeprefix(f"s3://{tree.bucket}/")
    keys = {file.path: key_of(prefix, file.path) for file in tree.artifact.files}
    if arranged := _arranged(tree):
        top, models, keys = arranged
        tree = replace(tree, repository=f"s3://{tree.bucket}/{top}", models=models)
    found.append(tree)
    return _absent_in(head, tree, keys)


def _arranged(tree: Tree) -> tuple[str, tuple[str, ...], dict[str, str]] | None:
    """Return where a repository of Triton begins, the models of a tree in it, and its keys.

    In any other layout the last folder is the version.
    """
    place = tree.place.removeprefix(f"s3://{tree.bucket}/").rstrip("/")
    top, _slash, mark = place.rpartition("/")
    if tree.is_encoded or mark == tree.artifact.version:
        return None
    try:
        found = triton.arrange(mark, tree.artifact.version, [f.path for f in tree.artifact.files])
    except triton.Unloadable:
        return None
    keys = {path: f"{top}/{where}" for path, where in found.places.items()}
    return (f"{top}/", found.models, keys) if found.mark == mark else None


def _absent_in(head: Head, tree: Tree, keys: Mapping[str, str]) -> list[str]:
    files = list(tree.artifact.files)
    with ThreadPoolExecutor(_WORKERS, "head") as pool:
        found = list(pool.map(head, [keys[file.path] for file in files]))
    return [
        f"s3://{tree.bucket}/{keys[file.path]} is not there, or is another"
        for file, there in zip(files, found, strict=True)
        if there != (file.size, file.digest.hex)
    ]


def key_of(prefix: str, path: str) -> str:
    """Return the key of a file; a NIM's mirror has all of it percent-encoded behind ``?file=``."""
    return prefix + (quote(path, safe="") if prefix.endswith(ENCODED) else path)
