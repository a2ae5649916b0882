"""The phases: what is run, in which order, over which content."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from bench import endless, measure, peers, workload
from bench.measure import Failed, Measurement, Task
from bench.peers import Inputs, Job, tool
from bench.table import Row
from tests.servers import registry

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from bench.peers import Peer
    from tests.servers.registry import Registry

    Act = Callable[[Path], Measurement]
    T = TypeVar("T")

PHASES = ("export", "import", "verify", "start", "memory")
CHUNK = 500  # MB
LEAST_CHUNK = 2  # MB; dray refuses chunks that their headers would fill
LARGE = (800_000_000, 8_000_000_000)  # bytes of the one blob of the memory phase
LARGE_CHUNK = 4000  # MB
STARTS = 10


@dataclass
class Bench:
    """One run below ``folder``, which holds nothing afterwards; ``peers`` are those here."""

    folder: Path
    scale: float
    rounds: int
    peers: Sequence[Peer]
    random: random.Random
    say: Callable[[str], None]
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def run(self, phases: Sequence[str]) -> list[Row]:
        """Run the phases and return a row for each tool in each; nothing is tried again."""
        if "start" in phases:
            self._start()
        if {"export", "import", "verify"} & set(phases):
            self._transfers(phases)
        if "memory" in phases:
            for size in LARGE:
                self._memory(max(4096, int(size * self.scale)))
        return sorted(self.rows.values(), key=self._place)

    def _place(self, row: Row) -> tuple[int, int]:
        """Phases in their order; in a phase, the tools as listed, and others as first run."""
        names = [peer.name for peer in peers.PEERS]
        known = names.index(row.tool) if row.tool in names else len(names)
        return PHASES.index(row.phase), known

    def _transfers(self, phases: Sequence[str]) -> None:
        with self._registry("source") as source:
            self.say("making the content")
            with self._folder("making") as making:
                content = workload.make(source, making, self.scale)
            self.say(f"{len(content.images)} images, {content.size / 1e6:,.0f} MB of layers")
            with self._inputs([image.at(source.host) for image in content.images]) as inputs:
                job = Job(inputs, content, self.folder, self._mb(CHUNK), source.host)
                if "export" in phases:
                    self._side_by_side("export", job, self._export)
                if {"import", "verify"} & set(phases):
                    self._make(job)
                if "import" in phases:
                    self._side_by_side("import", job, self._import)
                if "verify" in phases:
                    self._verify(job)

    # -- the phases ------------------------------------------------------------------------------

    def _side_by_side(
        self, phase: str, job: Job, one: Callable[[Peer, Job], Measurement | None]
    ) -> None:
        for number in range(self.rounds):
            for peer in self._shuffled(self.peers):

                def act(folder: Path, peer: Peer = peer) -> Measurement | None:
                    return one(peer, job.within(folder))

                note = peer.notes[phase == "import"]
                self._sample(phase, peer.name, number, act, job.workload.size, note)

    def _export(self, peer: Peer, job: Job) -> Measurement | None:
        if not peer.export:
            return None
        task = peer.export(job)
        found = measure.measure(task, job.folder)
        # What does less than the job is not faster at it.
        if not task.output or measure.usage(task.output) < job.workload.size:
            raise Failed("it left less than the content")
        return found

    def _import(self, peer: Peer, job: Job) -> Measurement | None:
        if not peer.load:
            return None
        with self._registry("target") as target:
            task = peer.load(job.within(job.folder, target=target.host))
            _warm(job.inputs.folder)
            found = measure.measure(task, job.folder)
            absent = workload.missing(target.host, job.images, peer.prefix) if peer.tags else []
        if absent:
            raise Failed(f"the target does not have {', '.join(absent)}")
        return found

    def _verify(self, job: Job) -> None:
        bundle, public = job.inputs.bundle, job.inputs.public
        files = sorted(path for path in bundle.iterdir() if path.is_file())
        sums, names = job.inputs.folder / "sums", job.inputs.folder / "names"
        names.write_text("".join(f"{path}\n" for path in files))
        sha, openssl, cores = tool("sha256sum"), tool("openssl"), len(os.sched_getaffinity(0))
        # All that varies is read from variables: a path may hold any character.
        env = {"NAMES": str(names), "SUMS": str(sums), "SHA": str(sha), "OPENSSL": str(openssl)}

        def shell(command: str) -> Task:
            each = f'tr "\\n" "\\0" <"$NAMES" | xargs -0 {command}'
            return Task([[tool("sh"), "-c", each]], env=env)

        measure.run(shell('"$SHA" >"$SUMS"'), job.inputs.folder)
        many = f"-n 1 -P {cores}"
        tasks = {
            "dray": Task([[tool("dray"), "verify", bundle, "--pub", public, "--json"]]),
            "sha256sum -c": Task([[sha, "-c", sums]]),
            f"sha256sum, {cores} at once": shell(f'{many} "$SHA"'),
            "openssl dgst -sha256": Task([[openssl, "dgst", "-sha256", *files]]),
            f"openssl dgst, {cores} at once": shell(f'{many} "$OPENSSL" dgst -sha256'),
        }
        notes = {"dray": "signature, chunks and every blob in them"}
        for number in range(self.rounds):
            for name in self._shuffled(tasks):
                _warm(bundle)
                note = notes.get(name, "files only")
                self._sample("verify", name, number, _act(tasks[name]), job.workload.size, note)

    def _start(self) -> None:
        tasks = {
            "dray": Task([[tool("dray"), "--help"]]),
            "python -c pass": Task([[sys.executable, "-c", "pass"]]),
        }
        notes = {"dray": "--help", "python -c pass": "the floor"}
        for number in range(STARTS):
            for name in self._shuffled(tasks):
                self._sample("start", name, number, _act(tasks[name]), 0, notes[name])

    def _memory(self, size: int) -> None:
        with endless.serve(size) as host, self._inputs([endless.reference(host)]) as inputs:
            content = workload.Workload((), size)
            job = Job(inputs, content, inputs.folder, self._mb(LARGE_CHUNK), host, host)
            note = f"one blob of {size / 1e6:,.0f} MB"
            for verb, plan in (("export", peers.DRAY.export), ("import", peers.DRAY.load)):
                assert plan
                act = _act_in(job, plan)
                self._sample("memory", f"dray {verb}, {note}", 0, act, size, "ends without disk")

    # -- what they need --------------------------------------------------------------------------

    def _mb(self, size: int) -> int:
        """Return a chunk size in MB, so that the number of chunks does not depend on the scale."""
        return max(LEAST_CHUNK, round(size * self.scale))

    @contextmanager
    def _folder(self, name: str) -> Iterator[Path]:
        folder = self.folder / name
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _registry(self, name: str) -> Iterator[Registry]:
        with self._folder(name) as folder, registry.serve(folder) as server:
            yield server

    @contextmanager
    def _inputs(self, references: Iterable[str]) -> Iterator[Inputs]:
        """Write dray's spec, keys and lock; what is made from them goes beside them."""
        with self._folder("inputs") as folder:
            inputs = Inputs(folder)
            lines = "".join(f"  - {reference}\n" for reference in references)
            inputs.spec.write_text(f"apiVersion: dray/v1\nstream: bench\nimages:\n{lines}")
            dray = tool("dray")
            steps: list[measure.Step] = [
                [dray, "keygen", folder, "--no-passphrase"],
                [dray, "lock", inputs.spec],
            ]
            measure.run(Task(steps), folder)
            yield inputs

    def _make(self, job: Job) -> None:
        """Make what imports read: a bundle, and a layout by whichever tool is here."""
        self.say("making what is imported")
        made = job.within(job.inputs.folder)
        measure.run(peers.export_of(peers.DRAY)(made), made.folder)
        for peer in peers.PEERS:
            if peer.layout and peer in self.peers:
                measure.run(peers.export_of(peer)(made), made.folder)
                return

    def _shuffled(self, items: Iterable[T]) -> list[T]:
        listed = list(items)
        self.random.shuffle(listed)
        return listed

    def _sample(
        self,
        phase: str,
        name: str,
        number: int,
        act: Callable[[Path], Measurement | None],
        content: int,
        note: str,
    ) -> None:
        """Measure once, in a folder of its own; a tool that has failed is not asked again."""
        row = self.rows.get((phase, name)) or Row(phase, name, content, note=note)
        if row.failed:
            return
        try:
            with self._folder("task") as folder:
                found = act(folder)
        except Failed as failed:
            row.failed = str(failed)
            self.say(f"{phase}: {name}: failed: {failed}")
        else:
            if found is None:
                return
            row.samples[number] = found
            if phase != "start":
                self.say(f"{phase}: {name}: {found.wall:.2f} s")
        self.rows[phase, name] = row


def _act(task: Task) -> Act:
    return lambda folder: measure.measure(task, folder)


def _act_in(job: Job, plan: Callable[[Job], Task]) -> Act:
    # The import reads what the export has left in the job's own folder.
    return lambda _folder: measure.measure(plan(job), job.folder)


def _warm(folder: Path) -> None:
    """Read all that is to be read, so that nobody finds it colder than the others."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
