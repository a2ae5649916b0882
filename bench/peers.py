"""The tools side by side: what each is told to do for an export and for an import."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import measure
from bench.measure import Task
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.measure import Step
    from bench.workload import Image, Workload

    Planner = Callable[["Job"], Task]

PREFIX = "in"
"""Where imports go at the target, for tools that can put images below a prefix."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is made once: dray's spec, lock and keys, a bundle, and an OCI layout."""

    folder: Path

    @property
    def spec(self) -> Path:
        """The spec, with its lock beside it."""
        return self.folder / "dray.yaml"

    @property
    def key(self) -> Path:
        """The private key that signs."""
        return self.folder / "dray.key"

    @property
    def public(self) -> Path:
        """The public key that the import trusts."""
        return self.folder / "dray.pub"

    @property
    def layout(self) -> Path:
        """One OCI layout with all images."""
        return self.folder / "layout"

    @property
    def bundle(self) -> Path:
        """The bundle: the one folder below ``bundle/``."""
        return next((self.folder / "bundle").iterdir())


@dataclass(frozen=True, slots=True)
class Job:
    """One task to plan: ``source`` and ``target`` are ``host:port``, ``folder`` is the tool's own.

    ``chunk`` is in MB.
    """

    inputs: Inputs
    workload: Workload
    folder: Path
    chunk: int
    source: str = ""
    target: str = ""

    @property
    def images(self) -> list[Image]:
        """The images to move."""
        return list(self.workload.images)

    def within(self, folder: Path, *, target: str = "") -> Job:
        """Return the same job for another folder, and for another target if one is given."""
        return replace(self, folder=folder, target=target or self.target)

    def prepare(self, planner: Planner) -> None:
        """Make, unmeasured, what an import reads."""
        measure.run(planner(self), self.folder)

    def write(self, name: str, document: object) -> Path:
        """Write a configuration file; JSON is YAML."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
        return path


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool.

    ``tags``: its import leaves the images under their own names, below ``prefix``; ``layout``: its
    export is one OCI layout with the images under :attr:`bench.workload.Image.name`.
    """

    name: str
    program: str
    export: Planner | None = None
    load: Planner | None = None
    notes: tuple[str, str] = ("", "")
    """What its export and its import do that others do not, or leave undone."""
    tags: bool = True
    prefix: str = ""
    layout: bool = False


def export_of(peer: Peer) -> Planner:
    """Return how a tool exports; raise :class:`measure.Failed` when it does not."""
    if not peer.export:
        raise measure.Failed(f"{peer.name} does not export")
    return peer.export


def command(name: str, *arguments: str | Path) -> Step:
    """Return a command line; raise :class:`measure.Failed` where the program cannot be had."""
    return [tool(name), *arguments]


def tool(name: str) -> Path:
    """Return a program's path; raise :class:`measure.Failed` where it cannot be had."""
    found = programs.find(name)
    if not found:
        raise measure.Failed(f"{name} is not here")
    return found


# -- dray ---------------------------------------------------------------------------------------


def _dray_export(job: Job) -> Task:
    out = job.folder / "bundle"
    size, inputs = f"{job.chunk}MB", job.inputs
    step = command("dray", "export", inputs.spec, "--to", out, "--chunk-size", size)
    return Task([[*step, "--key", inputs.key, "--json"]], out)


def _dray_import(job: Job) -> Task:
    to = f"registry://{job.target}/{PREFIX}"
    step = command("dray", "import", job.inputs.bundle, "--to", to)
    return Task([[*step, "--pub", job.inputs.public, "--json"]])


# -- tools that copy to and from an OCI layout, an image at a time --------------------------------


def _skopeo_export(job: Job) -> Task:
    out, options = job.folder / "layout", ("--all", "--preserve-digests")
    copy = command("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", *options)
    return Task(
        [[*copy, f"docker://{i.at(job.source)}", f"oci:{out}:{i.name}"] for i in job.images], out
    )


def _skopeo_import(job: Job) -> Task:
    options = ("--all", "--preserve-digests")
    copy = command("skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", *options)
    layout, target = job.inputs.layout, job.target
    return Task([[*copy, f"oci:{layout}:{i.name}", f"docker://{i.at(target)}"] for i in job.images])


def _oras_export(job: Job) -> Task:
    out, copy = job.folder / "layout", command("oras", "cp", "-r", "--no-tty")
    return Task(
        [
            [*copy, "--from-plain-http", i.at(job.source), "--to-oci-layout", f"{out}:{i.name}"]
            for i in job.images
        ],
        out,
    )


def _oras_import(job: Job) -> Task:
    copy = command("oras", "cp", "-r", "--no-tty", "--to-plain-http", "--from-oci-layout")
    layout = job.inputs.layout
    return Task([[*copy, f"{layout}:{i.name}", i.at(job.target)] for i in job.images])


def _crane_export(job: Job) -> Task:
    out = job.folder / "layout"
    pull = command("crane", "pull", "--insecure", "--format=oci", "--annotate-ref")
    return Task([[*pull, *(image.at(job.source) for image in job.images), out]], out)


def _regctl_export(job: Job) -> Task:
    out = job.folder / "layout"
    copy = command("regctl", "image", "copy", "--host", f"reg={job.source},tls=disabled")
    return Task([[*copy, i.at(job.source), f"ocidir://{out}:{i.name}"] for i in job.images], out)


def _regctl_import(job: Job) -> Task:
    copy = command("regctl", "image", "copy", "--host", f"reg={job.target},tls=disabled")
    layout = job.inputs.layout
    return Task([[*copy, f"ocidir://{layout}:{i.name}", i.at(job.target)] for i in job.images])


def _regsync(job: Job, host: str, pairs: list[tuple[str, str]]) -> Step:
    config = {
        "version": 1,
        "creds": [{"registry": host, "tls": "disabled"}],
        "defaults": {"parallel": 4},
        "sync": [{"source": a, "target": b, "type": "image"} for a, b in pairs],
    }
    return command("regsync", "once", "-c", job.write("regsync.yaml", config))


def _regsync_export(job: Job) -> Task:
    out = job.folder / "layout"
    pairs = [(i.at(job.source), f"ocidir://{out}:{i.name}") for i in job.images]
    return Task([_regsync(job, job.source, pairs)], out)


def _regsync_import(job: Job) -> Task:
    layout = job.inputs.layout
    pairs = [(f"ocidir://{layout}:{i.name}", i.at(job.target)) for i in job.images]
    return Task([_regsync(job, job.target, pairs)])


# -- tools that make an archive --------------------------------------------------------------------


def _hauler_export(job: Job) -> Task:
    kind = {"apiVersion": "content.hauler.cattle.io/v1", "kind": "Images"}
    names = [{"name": image.at(job.source)} for image in job.images]
    listed = {**kind, "metadata": {"name": "bench"}, "spec": {"images": names}}
    manifest = job.write("hauler.yaml", listed)
    store, out = job.folder / "store", job.folder / "haul"
    out.mkdir(exist_ok=True)
    sync = command("hauler", "store", "sync", "-s", store, "-f", manifest)
    save = command("hauler", "store", "save", "-s", store, "-f", out / "haul.tar.zst")
    return Task([sync, [*save, "--chunk-size", f"{job.chunk}M"]], out)


def _hauler_import(job: Job) -> Task:
    job.prepare(_hauler_export)
    shutil.rmtree(job.folder / "store")
    store, haul = job.folder / "store2", job.folder / "haul" / "haul.tar.zst"
    load = command("hauler", "store", "load", "-s", store, "-f", haul, "-t", job.folder / "tmp")
    copy = command("hauler", "store", "copy", "-s", store, f"registry://{job.target}")
    return Task([load, [*copy, "--plain-http"]])


def _zarf_export(job: Job) -> Task:
    images = [image.at(job.source) for image in job.images]
    package = {
        "kind": "ZarfPackageConfig",
        "metadata": {"name": "bench", "version": "0.1.0"},
        "components": [{"name": "images", "required": True, "images": images}],
    }
    folder = job.write("package/zarf.yaml", package).parent
    out = job.folder / "zarf"
    out.mkdir(exist_ok=True)
    create = command("zarf", "package", "create", folder, "-o", out, "-m", str(job.chunk))
    return Task([[*create, "--confirm", "--skip-sbom", "--plain-http", "-a", "amd64"]], out)


def _zarf_import(job: Job) -> Task:
    job.prepare(_zarf_export)
    shutil.rmtree(job.folder / "home")  # its cache
    package = min((job.folder / "zarf").iterdir())  # the package, or the first of its parts
    mirror = command("zarf", "package", "mirror-resources", package, "--registry-url", job.target)
    # An open registry, and still it wants both.
    mirror += ["--registry-push-username", "x", "--registry-push-password", "y"]
    mirror += ["--no-img-checksum", "--images", "--plain-http", "--confirm"]
    return Task([[*mirror, "--tmpdir", job.folder / "tmp"]])


def _imgpkg_export(job: Job) -> Task:
    kind = {"apiVersion": "imgpkg.carvel.dev/v1alpha1", "kind": "ImagesLock"}
    listed = [{"image": image.pinned(job.source)} for image in job.images]
    lock, out = job.write("images.lock.yml", {**kind, "images": listed}), job.folder / "b.tar"
    copy = command("imgpkg", "copy", "--lock", lock, "--to-tar", out, "--concurrency", "5")
    return Task([[*copy, "--registry-insecure"]], out)


def _imgpkg_import(job: Job) -> Task:
    job.prepare(_imgpkg_export)
    copy = command("imgpkg", "copy", "--tar", job.folder / "b.tar", "--registry-insecure")
    return Task([[*copy, "--to-repo", f"{job.target}/one/repository"]])


_BARE = ("no archive, no signature", "from a layout, no signature")
_CHUNKS = ("chunks, no signature", "no signature")
_ONE = ("no signature", "no signature, no tags, all in one repository")
_DONE = ("signed, chunks, read back", "signature and every digest verified")
DRAY = Peer("dray", "dray", _dray_export, _dray_import, _DONE, prefix=f"{PREFIX}/")
PEERS = (
    DRAY,
    Peer("oras", "oras", _oras_export, _oras_import, _BARE, layout=True),
    Peer("skopeo", "skopeo", _skopeo_export, _skopeo_import, _BARE, layout=True),
    Peer("crane", "crane", _crane_export, None, _BARE),
    Peer("regctl", "regctl", _regctl_export, _regctl_import, _BARE, layout=True),
    Peer("regsync", "regsync", _regsync_export, _regsync_import, _BARE),
    Peer("hauler", "hauler", _hauler_export, _hauler_import, _CHUNKS),
    Peer("zarf", "zarf", _zarf_export, _zarf_import, _CHUNKS, tags=False),
    Peer("imgpkg", "imgpkg", _imgpkg_export, _imgpkg_import, _ONE, tags=False),
)
