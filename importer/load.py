"""Verify and load in one pass: blobs first, and names only when every one of them was verified."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.errors import (
    DrayError,
    GateRefused,
    MediaIncomplete,
    PartlyDone,
    TargetError,
    VerificationError,
)
from importer.required import Source
from importer.targets.base import WORKERS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from bundle.artifact import Artifact
    from bundle.digest import Digest
    from bundle.reader import Reader
    from importer.plan import Plan, Step
    from importer.scan.scanner import Scanner
    from importer.targets.base import Blob


@dataclass
class Outcome:
    """What an import did; sizes in bytes. ``failures`` maps artifacts to what went wrong.

    ``shared`` was mounted from, or found with, another artifact of this run; ``present`` was there
    before it.
    """

    uploaded: int = 0
    shared: int = 0
    present: int = 0
    published: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failures: dict[str, DrayError] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        failures = {name: error.to_dict() for name, error in self.failures.items()}
        sizes = {"uploaded": self.uploaded, "shared": self.shared, "present": self.present}
        return {
            **sizes,
            "published": self.published,
            "unchanged": self.unchanged,
            "withheld": list(self.withheld),
            "failures": failures,
        }

    def failure(self) -> DrayError | None:
        """Return the worst failure: bytes before media before gates before targets."""
        bytes_first = (VerificationError, MediaIncomplete, GateRefused)
        order: tuple[type[DrayError], ...] = (*bytes_first, DrayError)
        for kind in order:
            found = [(name, e) for name, e in self.failures.items() if isinstance(e, kind)]
            if found:
                name, error = found[0]
                others = len(self.failures) - 1
                more = f" (and {others} more artifacts)" if others else ""
                said = error.message
                said = said if name in said else f"{name}: {said}"
                return type(error)(said + more, hint=error.hint, case=error.case)
        return None


class Load:
    """One import run over a plan. Steps are independent; what a target took, a next run skips."""

    def __init__(
        self,
        plan: Plan,
        reader: Reader,
        *,
        stop: threading.Event,
        on_bytes: Callable[[int], object],
        workers: int = WORKERS,
        scanner: Scanner | None = None,
        confirm: Callable[[], Mapping[str, TargetError]] = dict,
    ) -> None:
        self.plan, self.reader, self.scanner, self.confirm = plan, reader, scanner, confirm
        self.stop, self.on_bytes, self.workers = stop, on_bytes, workers
        self.outcome = Outcome(present=plan.present)
        self._first: dict[tuple[int, Digest], Source] = {}

    def run(self) -> Outcome:
        """Send what is missing, then publish; raise :class:`PartlyDone` when told to stop.

        ``confirm`` is called when all was sent and nothing is visible; what it raises is raised,
        and at the shelves that it returns nothing is published.
        """
        first, again = _waves(self.plan.steps)
        self._first = {
            (id(s.target), s.content.digest): Source(s.artifact, s.content) for s in first
        }
        self._send_all(first, self._send)
        self._send_all(again, self._share)
        self._scan_rest()
        if self.stop.is_set():
            self.outcome.withheld = tuple(a.name for a in self.plan.artifacts)
            message = "interrupted: nothing was published"
            raise PartlyDone(message, hint="run the same command again: what was sent is kept")
        self._check_manifests()
        if any(not isinstance(e, TargetError) for e in self.outcome.failures.values()):
            # Not as signed, or not as a gate wants it: nothing of this bundle becomes visible.
            self.outcome.withheld = tuple(a.name for a in self.plan.artifacts)
            return self.outcome
        self._confirm()
        for artifact in self.plan.artifacts:
            if artifact.name not in self.outcome.failures:
                self._publish(artifact)
        return self.outcome

    def _confirm(self) -> None:
        try:
            silent = self.confirm()
        except DrayError:
            self.outcome.withheld = tuple(a.name for a in self.plan.artifacts)
            raise
        for name, target in self.plan.routes.items():
            if error := silent.get(target.shelf().label):
                self.outcome.failures.setdefault(name, error)

    def _send_all(self, steps: list[Step], send: Callable[[Step], str]) -> None:
        queue: Iterator[Step] = iter(steps)
        running: dict[Future[str], Step] = {}
        with ThreadPoolExecutor(self.workers, "load") as pool:
            try:
                while not self.stop.is_set():
                    while len(running) < self.workers and (step := next(queue, None)):
                        running[pool.submit(send, step)] = step
                    if not running:
                        break
                    done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._settle(future, running.pop(future))
            except BaseException:
                self.stop.set()
                raise

    def _send(self, step: Step) -> str:
        if source := step.source:
            # A scanner has to see the bytes, so that they pass through this host then.
            if not self.scanner and self._taken(step, source):
                return "mounted"
            held = step.target.held(source.artifact, source.content)
            blob = self._scanned(Stoppable(held, self.stop))
            return step.target.put(step.artifact, step.content, blob, lambda _count: None)
        blob = self._scanned(self._open(step.content.digest))
        return step.target.put(step.artifact, step.content, blob, self.on_bytes)

    def _taken(self, step: Step, source: Source) -> bool:
        return step.target.take(step.artifact, step.content, source.artifact, source.content)

    def _open(self, digest: Digest) -> Blob:
        return Stoppable(self.reader.blob(digest), self.stop)

    def _scanned(self, blob: Blob) -> Blob:
        return self.scanner.tee(blob) if self.scanner else blob

    def _scan_rest(self) -> None:
        """Have scanned what no target has read now: it is there already, or it is a manifest."""
        if self.scanner and not self.stop.is_set():
            whole = [a for a in self.plan.artifacts if a.name not in self.outcome.failures]
            self.outcome.failures |= self.scanner.settle(whole, self._open)

    def _share(self, step: Step) -> str:
        """Send what another artifact brought to this target a moment ago: mostly it is there."""
        if step.target.has(step.artifact, step.content):
            return "shared"
        first = self._first.get((id(step.target), step.content.digest))
        if first and not step.source and not self.scanner and self._taken(step, first):
            self.on_bytes(step.content.size)
            return "shared"
        return self._send(step)

    def _settle(self, future: Future[str], step: Step) -> None:
        error = future.exception()
        if isinstance(error, PartlyDone):
            return
        if error is None:
            if future.result() == "uploaded" and step.source is None:
                self.outcome.uploaded += step.content.size
            else:
                self.outcome.shared += step.content.size
            return
        if not isinstance(error, DrayError):
            raise error
        digest = step.content.digest
        for artifact in self.plan.artifacts:
            shared = isinstance(error, TargetError) and artifact is not step.artifact
            if not shared and any(content.digest == digest for content in artifact.contents):
                self.outcome.failures.setdefault(artifact.name, error)

    def _check_manifests(self) -> None:
        """Read every manifest once before the first is published: all of them or none."""
        for artifact in self.plan.artifacts:
            for content in artifact.manifests:
                try:
                    self.reader.blob(content.digest).read()
                except DrayError as error:
                    self.outcome.failures.setdefault(artifact.name, error)

    def _publish(self, artifact: Artifact) -> None:
        target = self.plan.routes[artifact.name]
        try:
            changed = target.publish(artifact, self.reader.blob)
        except DrayError as error:
            self.outcome.failures[artifact.name] = error
            return
        (self.outcome.published if changed else self.outcome.unchanged).append(artifact.name)


class Stoppable:
    """A blob whose reading ends when the run is told to stop."""

    def __init__(self, blob: Blob, stop: threading.Event) -> None:
        self._blob = blob
        self._stop = stop
        self.digest, self.size = self._blob.digest, self._blob.size

    def blocks(self, *, offset: int = 0, sha: Any = None) -> Iterator[bytes]:
        """Yield the bytes; raise :class:`PartlyDone` when told to stop."""
        for block in self._blob.blocks(offset=offset, sha=sha):
            if self._stop.is_set():
                raise PartlyDone("interrupted", hint="run the same command again")
            yield block

    def read(self) -> bytes:
        """Return all bytes."""
        return self._blob.read()


def _waves(steps: tuple[Step, ...]) -> tuple[list[Step], list[Step]]:
    """Split the steps: each blob's first at a target, then those that can mount what is there."""
    first: list[Step] = []
    again: list[Step] = []
    seen: set[tuple[int, Digest]] = set()
    for step in steps:
        key = (id(step.target), step.content.digest)
        (again if key in seen else first).append(step)
        seen.add(key)
    return first, again
