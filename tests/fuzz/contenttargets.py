"""The fuzz targets of what lies inside content, and of what this host's other programs wrote."""

from __future__ import annotations

import io
import tarfile
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import credentials
from bundle.digest import Descriptor, Digest
from bundle.errors import DrayError
from bundle.sessions import Session
from bundler.discover import discover
from bundler.journal import Journal
from bundler.sources import layers, nim_manifest
from bundler.spec import Nodes
from importer.targets.sessions import FileSessions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

KINDS = ("tar", "tar+gzip", "tar+zstd")
BETWEEN = b"\n====\n"


def docker_config(data: bytes) -> None:
    """A docker configuration, and the answer of a credential helper: one that can be sent."""
    found, name, file = [], "docker-credential-x", _folder() / "config.json"
    with suppress(DrayError):
        found.append(credentials._credential(credentials._whole([data], name), name, file))
    file.write_bytes(data)
    if config := credentials._load(file, required=False):
        harmless = {**config, "credsStore": None, "credHelpers": None}  # no program is started
        found.append(credentials._from_config("reg.example", harmless, file))
    for one in filter(None, found):
        assert one.basic.isprintable()


def nim(data: bytes) -> None:
    """A NIM's model manifest: no file of it can leave its folder."""
    with suppress(ValueError):
        for profile in nim_manifest.parse(data):
            assert str(profile).isprintable()
            assert isinstance(profile.runs_anywhere, bool)


def layer(data: bytes) -> None:
    """Two layers of an image in which a file is looked for; the first byte says what they are."""
    kind = KINDS[data[0] % len(KINDS)] if data else KINDS[0]
    blobs = dict(zip("ab", (*data[1:].split(BETWEEN, 1), b"")[:2], strict=True))
    described = [
        Descriptor(f"application/vnd.oci.image.layer.v1.{kind}", Digest.of(name.encode()), 1)
        for name in blobs
    ]
    by_digest = dict(zip((one.digest for one in described), blobs.values(), strict=True))

    def opened(descriptor: Descriptor) -> Generator[bytes, None, None]:
        yield by_digest[descriptor.digest]

    with suppress(ValueError):
        found = layers.find(described, "opt/nim/manifest.yaml", opened)
        assert found is None or len(found) <= layers.FILE_LIMIT


def charts(data: bytes) -> None:
    """The values and a template of a chart, whose images are looked for."""
    values, _, template = data.partition(BETWEEN)
    archive = _packed(values, template)
    for image in discover(archive, Nodes((), ()), helm="", what="chart x"):
        assert image.reference.isprintable()


def _packed(values: bytes, template: bytes) -> bytes:
    files = {
        "Chart.yaml": b"apiVersion: v2\nname: x\nversion: 1.0.0\nappVersion: 2.0.0\n",
        "values.yaml": values,
        "templates/_helpers.tpl": b'{{- define "x.name" -}}{{ .Chart.Name }}{{- end -}}',
        "templates/a.yaml": template,
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"x/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def journal(data: bytes) -> None:
    """The journal of an export that was cut off, which lies on the medium."""
    path = _folder() / "journal"
    path.write_bytes(data)
    Journal.open(path, plan="plan", created="2026-01-01T00:00:00Z").close()


def upload_session(data: bytes) -> None:
    """What is remembered of an upload."""
    kept = FileSessions(_folder())
    kept.save("it", Session("https://reg.example/", 0))
    kept._path("it").write_bytes(data)
    assert isinstance(kept.load("it"), Session | None)


@cache
def _folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="dray-fuzz-")
    _KEPT.append(made)
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []

TARGETS: dict[str, Callable[[bytes], object]] = {
    "docker-config": docker_config,
    "nim": nim,
    "layer": layer,
    "charts": charts,
    "journal": journal,
    "upload-session": upload_session,
}
