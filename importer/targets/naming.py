"""Names at a target: where an artifact goes, what cannot be named, and who wants the same place."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from bundle.artifact import path_fault
from bundle.errors import UsageError
from importer.targets import marker, triton

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundle.artifact import Artifact
    from bundle.digest import Digest
    from importer.targets.base import Claim, Target

KIND_FOLDERS = {
    "image": "",
    "chart": "charts",
    "model": "models",
    "resource": "resources",
    "file": "files",
}
NIM = "nim"
NIM_CACHE = "nim-cache"
HF = "hf"
TRITON = "triton"
LAYOUTS = {"s3": (NIM, NIM_CACHE, HF, TRITON), "folder": (NIM_CACHE, HF)}
"""Other layouts than folders by kind, name and version, for each type of target."""
_CACHES = {
    NIM_CACHE: {"ngc/": "ngc/hub", "huggingface.co/": "huggingface/hub"},
    HF: {"huggingface.co/": ""},
}
"""Where models lie in a cache, by how their names begin: in NIM_CACHE_PATH, in HF_HUB_CACHE."""
_CACHE_OF = {
    NIM_CACHE: "no model of NGC or Hugging Face: the cache of a NIM has no place for it",
    HF: "no model of Hugging Face: its libraries would not find it",
}
SIGNATURE_ENDING = ".sigstore"
SUMS_ENDING = ".sha256sums"
_NGC = "ngc/"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
"""A repository of a registry (OCI distribution-spec, "Pulling manifests")."""
_LONGEST_REPOSITORY = 255
"""Characters of host and repository together: what docker and containerd accept."""
_LONGEST_KEY = 1024
"""Bytes of an object's key (Amazon S3 User Guide, "Naming Amazon S3 objects")."""
_RENAME = "give it another name with a map: rule in a target file"


@dataclass(frozen=True, slots=True)
class Rule:
    """``source``, a source repository or the beginning of one up to a slash, becomes ``target``."""

    source: str
    target: str

    def apply(self, repository: str) -> str | None:
        """Return the new name, or ``None`` when the rule is about something else."""
        source = self.source.rstrip("/")
        if repository != source and not repository.startswith(source + "/"):
            return None
        return _join(self.target, repository[len(source) :])


@dataclass(frozen=True, slots=True)
class Naming:
    """How one target names what it gets: below ``prefix``, by the first rule that applies.

    Without a rule, the host (of a registry, of a URL) or the word ``ngc`` in front is dropped, and
    everything but images goes into a folder of its kind. A rule gives all that follows the prefix.

    ``layout`` ``nim`` names objects as a NIM looks for them in its mirror (NVIDIA NIM docs,
    "Repository Override"): each by its percent-encoded source, in no folder. ``nim-cache`` is the
    folder at a NIM's ``NIM_CACHE_PATH`` (docs/adr/0016-nim-cache.md), ``hf`` the one at
    ``HF_HUB_CACHE`` (Hugging Face, "Hub Local Cache"), ``triton`` a model repository, in which a
    rule gives the name of a model's folder: see :mod:`importer.targets.triton`.

    ``project`` is for a whole Harbor, which has no prefix: what no rule names goes there, while a
    rule names the project too.

    ``quarantine`` stands before every name: a project of a Harbor, elsewhere the top of a prefix.
    """

    prefix: str = ""
    rules: tuple[Rule, ...] = ()
    layout: str = ""
    project: str = ""
    quarantine: str = ""

    @property
    def top(self) -> str:
        """Where everything goes that no rule names."""
        return _join(self.quarantine, self.prefix or self.project)

    @property
    def released(self) -> Naming:
        """The names of what has left the quarantine."""
        return replace(self, quarantine="")

    @property
    def own(self) -> str:
        """Below what dray keeps what is its own: Triton takes any folder among models for one."""
        return self.top.rpartition("/")[0] if self.layout == TRITON else self.top

    def repository(self, artifact: Artifact, host: str) -> str:
        """Return the artifact's repository at the registry ``host``.

        Raises :class:`UsageError` when no registry takes such a name.
        """
        name = self._name(artifact)
        if not re.fullmatch(REPOSITORY, name):
            raise UsageError(f"{artifact.name} cannot be called {name!r} at {host}", hint=_RENAME)
        if len(host) + 1 + len(name) > _LONGEST_REPOSITORY:
            raise UsageError(
                f"the name of {artifact.name} at {host} is longer than {_LONGEST_REPOSITORY}",
                hint=_RENAME,
            )
        return name

    def folder(self, artifact: Artifact) -> str:
        """Return the folder of the artifact's files in a tree: name, then version.

        Raises :class:`UsageError` when a file cannot have its name there.
        """
        if "/" in artifact.version:
            raise UsageError(f"{artifact.name} has a version with a slash", hint=_RENAME)
        folder = self._folder(artifact)
        if fault := path_fault(folder):
            raise UsageError(f"{artifact.name} cannot be at {folder[:200]!r}: it {fault}")
        for file in artifact.files:
            if file.path.split("/", 1)[0] == marker.NAME:
                raise UsageError(f"{artifact.name} has a file with the reserved name {file.path}")
            if len(f"{folder}/{file.path}".encode()) > _LONGEST_KEY:
                raise UsageError(
                    f"{artifact.name}: the path of {file.path[:100]} is over {_LONGEST_KEY} bytes",
                    hint="use a shorter prefix, or a map: rule in a target file",
                )
        return folder

    def _folder(self, artifact: Artifact) -> str:
        if self.layout in _CACHES:
            return _join(self._cached(artifact), "snapshots", artifact.version)
        if self.layout == TRITON:
            return _join(self.top, self._arranged(artifact).mark)
        return _join(self._name(artifact), artifact.version)

    def pointer(self, artifact: Artifact) -> str:
        """Return where a cache keeps which snapshot is asked for; nothing elsewhere.

        NIMs ask for a version of NGC, and the libraries of Hugging Face, unless told otherwise, for
        ``main``: that is what was imported last.
        """
        if self.layout == HF:
            return _join(self._cached(artifact), "refs", "main")
        if self.layout != NIM_CACHE or not artifact.name.startswith(_NGC):
            return ""
        return _join(self._cached(artifact), "refs", artifact.version)

    def owned(self, artifact: Artifact) -> tuple[str, ...]:
        """Return the places that no other artifact may use, beside the folder of the files."""
        found = [self.sums(artifact), self.pointer(artifact)]
        if self.layout == TRITON:
            found += [_join(self.top, folder) for folder in self._arranged(artifact).owned]
        return tuple(place for place in found if place)

    def configs(self, artifact: Artifact) -> dict[str, str]:
        """Return the paths of Triton's configurations, and how each has to call its model."""
        return dict(self._arranged(artifact).configs) if self.layout == TRITON else {}

    def stale(self, old: marker.Marker, artifact: Artifact) -> dict[str, Digest]:
        """Return the keys of files that an earlier artifact had and this one has not."""
        if self.layout != TRITON:
            files = marker.stale(old.files, artifact).items()
            return {self.key(artifact, path): digest for path, digest in files}
        version = old.name.rpartition(":")[2]
        try:
            before = triton.arrange(self._model(artifact), version, old.files)
        except triton.Unloadable:
            return {}
        now = set(self._arranged(artifact).places.values())
        return {
            _join(self.top, place): old.files[path]
            for path, place in before.places.items()
            if place not in now
        }

    def _model(self, artifact: Artifact) -> str:
        """Return the folder of a model of Triton that does not bring its own."""
        for rule in self.rules:
            if (given := rule.apply(artifact.repository)) is not None:
                return given
        return artifact.repository.rpartition("/")[2]

    def _arranged(self, artifact: Artifact) -> triton.Arranged:
        files = _Files(self._model(artifact), artifact.version, artifact.root, artifact)
        try:
            return _arrange(files)
        except triton.Unloadable as error:
            raise UsageError(
                f"{artifact.name} cannot be in a repository of Triton: {error.message}",
                hint=error.hint,
            ) from None

    def _cached(self, artifact: Artifact) -> str:
        for beginning, folder in _CACHES[self.layout].items():
            if artifact.kind == "model" and artifact.name.startswith(beginning):
                address = artifact.name.removeprefix(beginning).partition(":")[0]
                return _join(
                    self.quarantine, self.prefix, folder, "models--" + address.replace("/", "--")
                )
        raise UsageError(
            f"{artifact.name} is {_CACHE_OF[self.layout]}", hint="send it to another target"
        )

    def signature(self, artifact: Artifact) -> str:
        """Return where the publisher's signature of the files goes: beside their folder.

        Not into it: the signature is over all that is in there.
        """
        return self._beside(artifact) + SIGNATURE_ENDING

    def mark(self, artifact: Artifact) -> str:
        """Return where the marker goes that says the artifact's files are complete."""
        return f"{self.folder(artifact)}/{marker.NAME}"

    def sums(self, artifact: Artifact) -> str:
        """Return where the digests of the files go, for ``sha256sum -c``: beside their folder."""
        return self._beside(artifact) + SUMS_ENDING

    def _beside(self, artifact: Artifact) -> str:
        # Above a cache's snapshots: its libraries expect nothing but folders among them.
        if self.layout in _CACHES:
            return _join(self._cached(artifact), artifact.version)
        return self.folder(artifact)

    def key(self, artifact: Artifact, path: str) -> str:
        """Return the key of one of the artifact's files in an object store.

        Raises :class:`UsageError` for what a layout has no name for, and for too long a key.
        """
        if self.layout == TRITON and path:
            return _join(self.top, self._arranged(artifact).places[path])
        if self.layout != NIM:
            return f"{self.folder(artifact)}/{path}"
        address = artifact.name.removeprefix(_NGC)
        if artifact.kind != "model" or address == artifact.name:
            raise UsageError(
                f"{artifact.name} is no model of NGC: layout: nim has no name for it",
                hint="send it to another target, and this one what its NIMs need",
            )
        key = _join(self.quarantine, self.prefix, quote(f"{address}?file={path}", safe=""))
        if len(key) > _LONGEST_KEY:
            raise UsageError(
                f"{artifact.name}: the key of {path[:100]} is over {_LONGEST_KEY} bytes"
            )
        return key

    def _name(self, artifact: Artifact) -> str:
        for rule in self.rules:
            if (name := rule.apply(artifact.repository)) is not None:
                return _join(self.quarantine, self.prefix, name)
        first, slash, rest = artifact.repository.partition("/")
        return _join(self.top, KIND_FOLDERS[artifact.kind], rest if slash else first)


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of an artifact, which its root names."""

    name: str
    version: str
    root: Digest
    artifact: Artifact = field(compare=False)


@functools.lru_cache(maxsize=1024)
def _arrange(files: _Files) -> triton.Arranged:
    paths = [file.path for file in files.artifact.files]
    return triton.arrange(files.name, files.version, paths)


def _join(*parts: str) -> str:
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def refuse_collisions(routed: Iterable[tuple[Target, Artifact]]) -> None:
    """Raise :class:`UsageError` when two artifacts want one place; nothing has been written yet."""
    wanted = [(claim, artifact) for target, artifact in routed for claim in target.claims(artifact)]
    wanted.sort(key=lambda item: (item[0].place, item[0].digest))
    outer: tuple[Claim, Artifact] | None = None
    for before, after in zip([None, *wanted], wanted, strict=False):
        claim, artifact = after
        if before and before[0].place == claim.place and before[0].digest != claim.digest:
            raise _collision(before[1], artifact, claim.place)
        if outer and claim.place != outer[0].place and claim.place.startswith(outer[0].place):
            raise _collision(outer[1], artifact, outer[0].place)
        if claim.place.endswith("/"):
            outer = after


def _collision(one: Artifact, other: Artifact, place: str) -> UsageError:
    return UsageError(
        f"{one.name} and {other.name} would both be at {place}",
        hint="send one of them elsewhere with a map: rule in a target file",
    )
