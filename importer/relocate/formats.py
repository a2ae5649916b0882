"""The formats by name: what each is for, and who makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from importer.relocate import (
    argocd,
    containerd,
    crio,
    flux,
    helm,
    imagemap,
    kserve,
    kyverno,
    nim,
    openshift,
    pullsecret,
    triton,
    verify,
)

if TYPE_CHECKING:
    from importer.relocate.world import Emitter, World

ALWAYS: dict[str, Emitter] = {
    "The image map": imagemap.emit,
    "Verify": verify.emit,
}
FORMATS: dict[str, Emitter] = {
    "containerd": containerd.emit,
    "crio": crio.emit,
    "openshift": openshift.emit,
    "kyverno": kyverno.emit,
    "helm": helm.emit,
    "argocd": argocd.emit,
    "flux": flux.emit,
    "kserve": kserve.emit,
    "triton": triton.emit,
    "nim": nim.emit,
    "pull-secret": pullsecret.emit,
}
TITLES = {
    "containerd": "containerd",
    "crio": "CRI-O, podman, skopeo",
    "openshift": "OpenShift",
    "kyverno": "Kyverno",
    "helm": "Helm",
    "argocd": "Argo CD",
    "flux": "Flux",
    "kserve": "KServe",
    "triton": "Triton",
    "nim": "NIM",
    "pull-secret": "Pull secrets",
}
README = "README.md"


@dataclass
class Output:
    """All files by path; which formats they are; what could not be expressed, for people."""

    files: dict[str, bytes] = field(default_factory=dict)
    formats: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def chosen(text: str) -> tuple[str, ...]:
    """Return the formats that ``--for`` names, in order; all for nothing.

    Raises :class:`UsageError` for one that is none.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--for: {name[:60]!r} is no format", hint=f"there are {listed()}")
    return tuple(name for name in FORMATS if not names or name in names)


def listed() -> str:
    """Return the names of all formats."""
    return ", ".join(FORMATS)


def emit(world: World, names: tuple[str, ...]) -> Output:
    """Return the files of these formats, with a README about all of them."""
    made = Output(notes=list(world.left))
    parts: list[str] = []
    rows = [(title, emitter, "") for title, emitter in ALWAYS.items()]
    rows += [(TITLES[name], FORMATS[name], name) for name in names]
    for title, emitter, name in rows:
        found = emitter(world)
        made.files |= found.files
        made.notes += [note for note in found.notes if note not in made.notes]
        made.refused += [reason for reason in found.refused if reason not in made.refused]
        if found.about:
            parts.append(f"## {title}\n\n{found.about}")
        if name and (found.files or found.about):
            made.formats.append(name)
    made.files[README] = _readme(world, parts, made.notes).encode()
    return made


def _readme(world: World, parts: list[str], notes: list[str]) -> str:
    names = ", ".join(dict.fromkeys(name for name, _digest in world.receipts))
    head = f"""\
# Where what was imported is to be found

Written by `dray relocate` for {names}: what signed receipts say was loaded, and was at its target
when this was written. `sha256sum -c sha256sums` finds what was changed since. Do not edit: the next
run writes all of it anew.
"""
    if notes:
        rows = "".join(f"- {note}\n" for note in notes)
        head += f"\n## What this cannot do\n\n{rows}"
    return "\n".join([head, *parts])
