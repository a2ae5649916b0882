"""From the quarantine to where things are used, within one target: blobs, manifests, then names.

A registry mounts blobs from one repository in another, so no bytes travel; manifests are put by
digest, and tags come last. Harbor's own copy is not used: it takes along every tag that the
artifact has in the quarantine, whoever put it there, and sets it at once
(src/controller/artifact/controller.go, copyDeeply).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.artifact import MANIFEST_ROLES
from bundle.errors import DrayError, PartlyDone, TargetError
from importer.load import Outcome, Stoppable
from importer.targets.base import Want
from importer.targets.registry import RegistryTarget

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from importer.promote.places import Places
    from importer.targets.base import Blob, Target

_PROBES = 8


@dataclass
class Copying:
    """Copies artifacts; ``missing`` is what their finals lack, once :meth:`look` was called."""

    places: Places
    artifacts: Sequence[Artifact]
    missing: dict[str, list[Content]] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def size(self) -> int:
        """Bytes that are missing, where two artifacts lack the same those of both."""
        return sum(content.size for lacking in self.missing.values() for content in lacking)

    def look(self) -> tuple[str, ...]:
        """Ask what is there already, and what would fail; return notes for people.

        Raises :class:`TargetError` for what would fail. Nothing is written.
        """
        with ThreadPoolExecutor(_PROBES) as pool:
            lost = list(pool.map(self.places.lost, self.artifacts))
            for artifact, names in zip(self.artifacts, lost, strict=True):
                if names:
                    raise _gone(artifact, names, self.places.origins[artifact.name])
            wanted = [(a, c) for a in self.artifacts for c in self._carried(a)]
            there = list(pool.map(lambda one: self._final(one[0]).has(*one), wanted))
        for artifact in self.artifacts:
            self.missing[artifact.name] = []
        for (artifact, content), has in zip(wanted, there, strict=True):
            if has:
                self.outcome.present += content.size
            else:
                self.missing[artifact.name].append(content)
        notes = [note for final, wants in self._wants() for note in final.preflight(wants)]
        return tuple(notes)

    def run(self, *, stop: threading.Event, on_bytes: Callable[[int], object]) -> Outcome:
        """Copy what is missing, then publish; what fails is in the outcome.

        Raises :class:`PartlyDone` when told to stop: no name was moved then.
        """
        work = [(a, c) for a in self.artifacts for c in self.missing[a.name]]
        workers = max(final.workers for final, _wants in self._wants())
        with ThreadPoolExecutor(workers, "promote") as pool:
            jobs = {pool.submit(self._send, a, c, stop, on_bytes): (a, c) for a, c in work}
            for job in as_completed(jobs):
                self._settle(*jobs[job], job.exception(), "" if job.exception() else job.result())
        if stop.is_set():
            hint = "run the same command again: what was copied is kept"
            raise PartlyDone("interrupted: nothing was published", hint=hint)
        for artifact in self.artifacts:
            if artifact.name not in self.outcome.failures:
                self._publish(artifact)
        return self.outcome

    def _send(
        self,
        artifact: Artifact,
        content: Content,
        stop: threading.Event,
        on_bytes: Callable[[int], object],
    ) -> str:
        if stop.is_set():
            raise PartlyDone("interrupted")
        origin, final = self.places.origins[artifact.name], self._final(artifact)
        if isinstance(final, RegistryTarget) and isinstance(origin, RegistryTarget):
            final.expect(content, origin, artifact)
        blob = Stoppable(origin.held(artifact, content), stop)
        return final.put(artifact, content, blob, on_bytes)

    def _settle(
        self, artifact: Artifact, content: Content, error: BaseException | None, how: str
    ) -> None:
        if isinstance(error, PartlyDone):
            return
        if error is None:
            if how == "mounted":
                self.outcome.shared += content.size
            else:
                self.outcome.uploaded += content.size
        elif isinstance(error, DrayError):
            self.outcome.failures.setdefault(artifact.name, error)
        else:
            raise error

    def _publish(self, artifact: Artifact) -> None:
        origin, final = self.places.origins[artifact.name], self._final(artifact)
        by_digest = {content.digest: content for content in artifact.contents}

        def blob(digest: Digest) -> Blob:
            return origin.held(artifact, by_digest[digest])

        try:
            changed = final.publish(artifact, blob)
            lost = [c.digest for c in self._kept(artifact) if not final.has(artifact, c)]
            if lost:
                raise TargetError(
                    f"{artifact.name} was copied to {final.place(artifact)}, and {lost[0]} is not"
                    " there",
                    hint="does a retention rule or garbage collection remove it? run this again",
                )
        except DrayError as error:
            self.outcome.failures[artifact.name] = error
            return
        (self.outcome.published if changed else self.outcome.unchanged).append(artifact.name)

    def _final(self, artifact: Artifact) -> Target:
        return self.places.finals[artifact.name]

    def _kept(self, artifact: Artifact) -> list[Content]:
        return [c for c in artifact.contents if self.places.stores(artifact, c)]

    def _carried(self, artifact: Artifact) -> list[Content]:
        """Return what is copied as a blob or a file, each once."""
        found = {
            (content.digest, content.path): content
            for content in self._kept(artifact)
            if content.role not in MANIFEST_ROLES
        }
        return list(found.values())

    def _wants(self) -> list[tuple[Target, list[Want]]]:
        found: dict[int, tuple[Target, list[Want]]] = {}
        for artifact in self.artifacts:
            final = self._final(artifact)
            want = Want(artifact, tuple(self.missing.get(artifact.name, ())))
            found.setdefault(id(final), (final, []))[1].append(want)
        return list(found.values())


def _gone(artifact: Artifact, names: Sequence[str], origin: Target) -> TargetError:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return TargetError(
        f"{origin.place(artifact)} is not whole any more: {names[0]}{more} is not there",
        hint="somebody or something (retention, garbage collection) removed it: import the bundle"
        " again into the quarantine",
        case="changed",
    )
