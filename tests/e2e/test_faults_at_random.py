"""All kinds of content, over a bad line that is drawn from a seed: nothing lost, nothing twice.

The seed is printed; ``DRAY_FAULT_SEED=17`` plays it again, ``DRAY_FAULT_SEED=1-50`` plays many. In
CI it is always the same one, at a desk another one each time.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import pytest

import bundle.http
from bundle.digest import BLOCK, Digest
from fixtures.hub import Repo, emulate_hub
from fixtures.ngc import Fault, emulate, sample_catalogue
from fixtures.ngc.nims import NIM
from tests.e2e import faultplan, way
from tests.e2e.arrived import (
    COMMIT,
    CUDA,
    HF,
    HF_FILES,
    MODELS,
    OCI_CHART,
    PRIVATE,
    RESOURCE,
    check_files,
    check_layout,
    check_registry,
    objects,
)
from tests.e2e.desk import copy, leftovers, tree
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixtures.hub import EmulatedHub
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk, Done
    from tests.servers.ca import Authority
    from tests.servers.proxy import Direction, FaultProxy
    from tests.servers.registry import Registry
    from tests.servers.s3 import ObjectStore

pytestmark = pytest.mark.server
FIRST = 20_261
SCALE = 0.08
HELM = "https://helm.ngc.nvidia.com/nvidia"


def seeds() -> list[int | None]:
    """Return the seeds asked for; nothing stands for a new one."""
    asked = programs.ENVIRONMENT.get("DRAY_FAULT_SEED", "")
    first, _, last = asked.partition("-")
    if asked:
        return list(range(int(first), int(last or first) + 1))
    return [FIRST if programs.ENVIRONMENT.get("CI") else None]


def spec(ngc: EmulatedNgc, hub: EmulatedHub, files: str, ca: Path) -> dict[str, Any]:
    digest = hashlib.sha256(b"".join(way.INSTALLER.blocks())).hexdigest()
    installer = {"url": f"https://{files}/tools/installer.run", "sha256": digest}
    more = {files: {"ca": str(ca)}, "huggingface.co": {"endpoint": hub.url}}
    chart = {"repo": HELM, "name": "gpu-operator", "version": "v25.3.0", "images": "discover"}
    return {
        "platforms": "all",
        "nodes": {"os": ["ubuntu22.04"]},
        "images": [f"nvcr.io/{CUDA}", f"nvcr.io/{PRIVATE}"],
        "charts": [chart, f"oci://nvcr.io/{OCI_CHART}"],
        "models": [{"ngc": name} for name in MODELS],
        "resources": [{"ngc": RESOURCE}],
        "nims": [{"image": f"nvcr.io/{NIM}:1.8.0", "profiles": ["auto"]}],
        "hf": [{"repo": HF, "commit": COMMIT}],
        "files": [{**installer, "path": "tools/installer.run"}],
        "registries": {**ngc.registries, **more},
    }


@dataclass
class Line:
    """The low side and its upstreams, on a line that gets worse with each command."""

    desk: Desk
    ngc: EmulatedNgc
    hub: EmulatedHub
    files: FaultProxy
    dice: random.Random
    plan: faultplan.Plan
    runs: Counter[str] = field(default_factory=Counter)
    resets: int = 0
    shared: bool = False
    """Whether several connections fetch one blob, and what is on its way to one may be left."""

    def hits(self) -> int:
        return self.plan.hits + self.files.fired

    def worse(self, count: int, *, locking: bool = False) -> None:
        """Switch faults on, at the emulated NGC and at the other two."""
        faultplan.draw(self.ngc, self.dice, count, self.plan, locking=locking)
        if self.shared:  # slow enough for a second connection to be of use
            self.ngc.faults.add("GET xfiles.*/model.riva", rate=2_000_000, times=None)
        self.hub.cut_after = self.dice.choice((0, 50_000, 200_000))
        for _ in range(self.dice.randrange(3)):
            reset = self.dice.random() < 0.3
            self.resets += reset
            self.files.cut(self.dice.randrange(2_000, 900_000), reset=reset)

    def better(self) -> None:
        """Switch all faults off."""
        self.ngc.faults.clear()
        self.files.clear()
        self.hub.cut_after = 0

    def until(self, *command: object) -> Done:
        """Run the same command again until it succeeds; each failure must be a fault's."""
        return until(self.desk, self.hits, self.plan, self.runs, *command)


def until(
    desk: Desk, hits: Callable[[], int], plan: object, runs: Counter[str], *command: object
) -> Done:
    while True:
        before = hits()
        done = desk.attempt(*command)
        runs[str(command[0])] += 1
        if done.code == 0:
            return done
        assert done.code in {6, 8}, f"{plan}\n{done}"
        assert "hint:" in done.err or '"hint"' in done.out, f"{plan}\n{done}"
        assert hits() > before, f"it failed, and nothing was wrong: {plan}\n{done}"


# -- what was sent --------------------------------------------------------------------------------


def sizes(ngc: EmulatedNgc) -> dict[str, int]:
    """Return the size of every object of content, by the end of its path."""
    found = {f"/{item.digest.hex}/data": item.size for item in ngc.catalogue.blobs.values()}
    for (kind, _), model in ngc.catalogue.filesets.items():
        for version in model.versions.values():
            head = f"/{kind}/{model.name}/versions/{version.name}/files/"
            found |= {head + path: item.size for path, item in version.files.items()}
    return found


def repeated(line: Line, since: int, times: int) -> list[str]:
    """Return which objects were sent in more bytes than ``times`` each, and than faults explain."""
    sent, excused = Counter[str](), Counter[str]()
    known = sizes(line.ngc)
    for entry in line.ngc.requests[since:]:
        if entry.site not in {"layers.nvcr.io", "xfiles.ngc.nvidia.com"} or not entry.sent:
            continue
        name = next((name for name in known if entry.path.endswith(name)), "")
        if not name or entry.status not in {200, 206}:
            continue
        sent[name] += entry.sent
        excused[name] += BLOCK if line.shared else 0
        for fault in entry.faults:
            excused[name] += line.plan.cost(fault, entry.sent, known[name])
    return [
        f"{name}: {count} bytes of {known[name]}, {excused[name]} excused"
        for name, count in sent.items()
        if count > times * known[name] + excused[name]
    ]


def repeated_elsewhere(line: Line, passed: int, connections: int) -> list[str]:
    """Return the same for the hub, and for the server of files behind its proxy."""
    files = {f"/cdn/{HF}/{COMMIT}/{path}": len(data) for path, data in HF_FILES.items()}
    found = [path for path, size in files.items() if line.hub.sent[path] > size]
    # Of TLS a record is lost with each cut, and each connection says hello. A reset takes along
    # what the program has not seen yet.
    spare = (line.files.connections - connections) * 8_000 + line.files.fired * 40_000
    spare += line.resets * BLOCK
    over = line.files.bytes["down"] - passed - way.INSTALLER.size - spare
    return [*found, *([f"the installer, by {over}"] if over > 0 else [])]


# -- the way --------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[EmulatedHub]:
    with emulate_hub() as running:
        running.repos[HF, COMMIT] = Repo(dict(HF_FILES), {"model.safetensors"})
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short: what is tried is how often, and from where."""
    pause = bundle.http.backoff
    monkeypatch.setattr(bundle.http, "TIMEOUTS", (5.0, faultplan.STALLED))
    for module in ("bundle.http", "bundle.transfer", "bundle.upload"):
        short = lambda failures, after=None: min(pause(failures, after), 0.02)  # noqa: E731
        monkeypatch.setattr(f"{module}.backoff", short, raising=False)


def share(patch: pytest.MonkeyPatch) -> None:
    """Let files of a few megabytes be shared by connections as those of gigabytes are."""
    for name, size in {"LEAST": 60_000, "MOST": 300_000, "SPLIT": 150_000}.items():
        patch.setattr(f"bundler.ranges.{name}", size)
    patch.setattr("bundler.ranges.SILENT", faultplan.STALLED / 2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", seeds())
def test_every_kind_of_content_crosses_a_bad_line_once(  # noqa: PLR0917  (fixtures)
    seed: int | None,
    desk: Desk,
    hub: EmulatedHub,
    registry: Registry,
    s3_rclone: ObjectStore,
    authority: Authority,
    fault_proxy: Callable[[int], FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    number = random.SystemRandom().randrange(1 << 30) if seed is None else seed
    sys.stdout.write(f"DRAY_FAULT_SEED={number}\n")
    dice, plan = random.Random(number), faultplan.Plan(number)
    with ExitStack() as stack:
        catalogue = sample_catalogue(SCALE, folder=tmp_path / "content")
        catalogue.page_cap = dice.choice((1, 2, 1000))
        monkeypatch.setenv("NGC_API_KEY", catalogue.keys[dice.choice(KEYS)].secret)
        ngc = stack.enter_context(emulate(catalogue, folder=tmp_path / "ngc"))
        served = stack.enter_context(way.https_files(tmp_path / "files", authority))
        files = fault_proxy(int(served.rpartition(":")[2]))
        line = Line(desk, ngc, hub, files, dice, plan, shared=dice.random() < 0.5)
        if line.shared:
            share(monkeypatch)
        desk.spec(**spec(ngc, hub, files.host, authority.ca))
        calm = copy(desk, tmp_path / "calm")
        calm.dray("lock", "dray.yaml")
        check_low_side(line, calm, tmp_path / "out")
        line.better()
        bundle_folder = next((tmp_path / "out").iterdir())
        check_high_side(line, bundle_folder, registry, s3_rclone, fault_proxy, monkeypatch)
    starts = {entry.range for entry in ngc.requests if entry.path.endswith("/model.riva")}
    line.runs["ranges of a model"] = len(starts)
    sys.stdout.write(f"{plan}\n{dict(line.runs)}\n")


KEYS = ("entitled", "service", "legacy")


def check_low_side(line: Line, calm: Desk, out: Path) -> None:
    desk = line.desk
    since = len(line.ngc.requests)
    line.worse(10, locking=True)
    line.until("lock", "dray.yaml")
    wanted = (calm.folder / "dray.lock.yaml").read_bytes()
    assert (desk.folder / "dray.lock.yaml").read_bytes() == wanted, f"{line.plan}"
    assert repeated(line, since, line.runs["lock"]) == [], f"{line.plan}"
    line.better()
    since = len(line.ngc.requests)
    passed, connections = line.files.bytes["down"], line.files.connections
    line.hub.sent.clear()
    line.worse(16)
    line.until("export", "dray.yaml", "--to", out, "--chunk-size", "1MiB")
    assert repeated(line, since, 1) == [], f"{line.plan}"
    assert repeated_elsewhere(line, passed, connections) == [], f"{line.plan}"
    assert leftovers(out) == []
    desk.verify(out)


def check_high_side(
    line: Line,
    folder: Path,
    registry: Registry,
    store: ObjectStore,
    fault_proxy: Callable[[int], FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    proxies = [fault_proxy(registry.port), fault_proxy(store.port)]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{proxies[1].host}")
    prefix, bucket = registry.repository("high"), store.bucket()
    for proxy in proxies:
        for _ in range(line.dice.randrange(4)):
            way_of: Direction = line.dice.choice(("up", "down"))
            after = line.dice.randrange(2_000_000 if way_of == "up" else 4_000)
            proxy.cut(after, way_of, reset=line.dice.random() < 0.5)
    registry_and_store = (f"registry://{proxies[0].host}/{prefix}", f"s3://{bucket}/ai")
    to = [part for target in registry_and_store for part in ("--to", target)]
    command = ("import", folder, *to, "--trust", "trust.json")
    until(line.desk, lambda: sum(p.fired for p in proxies), line.plan, line.runs, *command)
    line.runs["cuts at targets"] = sum(proxy.fired for proxy in proxies)
    check_registry(line.ngc, f"{registry.url}/v2/{prefix}")
    check_files(line.ngc, objects(store, bucket))
    warehouse = line.desk.folder / "warehouse"
    line.desk.load(folder, warehouse)
    check_layout(line.ngc, warehouse / "oci")
    found = tree(warehouse)
    check_files(line.ngc, {f"/{path}": Digest.of(data).hex for path, data in found.items()})


def test_every_kind_of_fault_is_drawn(ngc: EmulatedNgc) -> None:
    plan = faultplan.Plan(0)
    faultplan.draw(ngc, random.Random(0), 1500, plan, locking=False)
    drawn = {(what, mode) for what, mode, _ in plan.drawn}
    assert {what for what, _ in drawn} == {
        *faultplan.CONTENT,
        *faultplan.DOCUMENTS,
        *faultplan.REDIRECTS,
    }
    plain = Fault(where="")
    used = {
        field.name
        for _, _, fault in plan.drawn
        for field in fields(Fault)
        if getattr(fault, field.name) != getattr(plain, field.name)
    }
    # What a body says is edited, not given; how often is counted by the emulator.
    assert used == {field.name for field in fields(Fault)} - {"body", "hits"}
    again = faultplan.Plan(0)
    faultplan.draw(ngc, random.Random(0), 1500, again, locking=False)
    assert [(what, mode) for what, mode, _ in again.drawn] == [
        (what, mode) for what, mode, _ in plan.drawn
    ]
