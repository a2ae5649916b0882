"""An import that is killed at any instant goes on, sends nothing twice, and shows nothing early."""

from __future__ import annotations

import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from fixtures.content import Generated, blob
from importer.targets.uploads import PART
from tests.e2e.desk import chunks, finish, tree
from tests.e2e.foreign import raw_manifest, run
from tests.e2e.points import outlived, spread
from tests.e2e.upstream import commits, writes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fixtures.content import Graph
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy
    from tests.servers.registry import Registry
    from tests.servers.s3 import ObjectStore

pytestmark = pytest.mark.server
LARGE = 2 * PART + 3_000_000
MODEL = "models/nvidia/big/1"


@dataclass
class Job:
    """A bundle to be imported, and what is in it."""

    desk: Desk
    bundle: Path
    image: Graph
    old: Graph
    upstream: Upstream
    monkeypatch: pytest.MonkeyPatch

    def arguments(self, target: object) -> tuple[object, ...]:
        return ("import", self.bundle, "--to", target, "--trust", "trust.json")

    def forget(self, state: Path) -> None:
        """Be a host that has imported nothing yet."""
        self.monkeypatch.setenv("DRAY_STATE_DIR", str(state))


@pytest.fixture
def job(desk: Desk, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A new version of an image whose tag is used already, and a chart-sized second image."""
    old = upstream.image("app", 30_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "old")
    new = upstream.multi("app", 1_200_000, 70_000)
    upstream.image("other", 400_000)
    desk.lock(upstream.name("app:1.0"), upstream.name("other:1.0"))
    desk.export(tmp_path / "new")
    return Job(desk, tmp_path / "new", new, old, upstream, monkeypatch)


def tags(registry: Registry, repository: str) -> set[str]:
    with requests.get(f"{registry.url}/v2/{repository}/tags/list", timeout=10) as answer:
        return set(answer.json().get("tags") or ()) if answer.status_code == 200 else set()


def test_a_registry_keeps_its_old_tag_until_all_is_there_and_gets_nothing_twice(
    job: Job, registry: Registry, fault_proxy: Callable[[int], FaultProxy], tmp_path: Path
) -> None:
    proxy = fault_proxy(registry.port)

    def attempt(number: int) -> str:
        """Import the old bundle for a new name at the registry, and return the name."""
        job.forget(tmp_path / f"state-{number}")
        prefix = registry.repository(f"high{number}")
        job.desk.load(tmp_path / "old", f"registry://{registry.host}/{prefix}")
        return prefix

    prefix = attempt(0)
    job.desk.load(job.bundle, f"registry://{proxy.host}/{prefix}")
    for number, count in enumerate(spread(proxy.bytes["up"], "registry"), start=1):
        prefix = attempt(number)
        target = f"registry://{proxy.host}/{prefix}"
        app = f"{prefix}/{job.upstream.prefix}/app"
        ended = job.desk.killed(proxy, count, *job.arguments(target), direction="up")
        if ended.code == -signal.SIGKILL:
            sent = writes(registry, f"{prefix}/")
            last = max((n for n, what in enumerate(sent) if what == "blob"), default=0)
            if "1.0" not in sent[last:]:
                shown = raw_manifest(f"{registry.host}/{app}:1.0")
                assert shown == job.old.manifest.read()
                assert tags(registry, f"{prefix}/{job.upstream.prefix}/other") == set()
        job.desk.dray(*job.arguments(target))
        assert raw_manifest(f"{registry.host}/{app}:1.0") == job.image.manifest.read()
        run(
            "crane",
            "validate",
            "--insecure",
            "--remote",
            f"{registry.host}/{prefix}/{job.upstream.prefix}/other:1.0",
        )
        assert set(commits(registry, f"{prefix}/").values()) == {1}


def test_a_folder_shows_nothing_early_and_is_whole_in_the_end(
    job: Job, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    weights = blob(Generated("folder", 1_700_000))
    ngc.catalogue.add_files("models", "nvidia/big", "1", {"weights.bin": weights})
    images = [job.upstream.name("app:1.0"), job.upstream.name("other:1.0")]
    job.desk.lock(*images, models=[{"ngc": "nvidia/big:1"}], registries=ngc.registries)
    job.bundle = tmp_path / "with-model"
    job.desk.export(job.bundle)

    def attempt(number: int) -> Path:
        folder = tmp_path / f"try-{number}"
        job.forget(folder / "state")
        job.desk.load(tmp_path / "old", folder / "warehouse")
        return folder

    expected = attempt(0)
    through = ("tests.e2e.reaper", expected, 0)
    done = finish(job.desk.start(*job.arguments(expected / "warehouse"), through=through))
    assert done.code == 0, done
    for step in spread(int(done.err.split()[-1]), "folder", 12):
        folder = attempt(step)
        before = tree(folder / "warehouse/oci")["index.json"]
        through = ("tests.e2e.reaper", folder, step)
        ended = finish(job.desk.start(*job.arguments(folder / "warehouse"), through=through))
        if outlived(ended, step):
            continue
        check_unfinished(folder / "warehouse", before, weights.read())
        finished = present(folder / "warehouse")
        job.desk.dray(*job.arguments(folder / "warehouse"))
        assert shown(folder / "warehouse") == shown(expected / "warehouse")
        kept = {
            path: when for path, when in present(folder / "warehouse").items() if path in finished
        }
        assert kept == finished, "what was finished is not written again"
        shutil.rmtree(folder)


def present(warehouse: Path) -> dict[str, int]:
    """Return the blobs that are finished, and when they were written."""
    blobs = (warehouse / "oci/blobs/sha256").glob("*")
    return {path.name: path.stat().st_mtime_ns for path in blobs}


def shown(warehouse: Path) -> dict[str, bytes]:
    """Return what readers of a warehouse see."""
    return tree(warehouse, lambda path: ".dray" not in path.relative_to(warehouse).parts)


def check_unfinished(warehouse: Path, before: bytes, weights: bytes) -> None:
    """Check that whatever shows of a killed import is whole, and else as it was before."""
    model = warehouse / MODEL
    if model.exists():
        assert (model / ".dray-complete.json").exists()
        assert (model / "weights.bin").read_bytes() == weights
    index = (warehouse / "oci/index.json").read_bytes()
    if index != before:
        layout = f"oci:{warehouse}/oci"
        run("oras", "repo", "tags", "--oci-layout", layout.removeprefix("oci:"))


def environment(store: ObjectStore, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://{host}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(store.ca))


def keys(store: ObjectStore, bucket: str) -> dict[str, int]:
    client = store.client()
    try:
        found: list[Any] = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {entry["Key"]: entry["Size"] for entry in found}
    finally:
        client.close()


@pytest.mark.parametrize("kind", ["s3_rclone_tls", "s3_versity"])
def test_a_store_shows_no_object_early_and_gets_no_part_twice(
    kind: str,
    request: pytest.FixtureRequest,
    desk: Desk,
    ngc: EmulatedNgc,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store: ObjectStore = request.getfixturevalue(kind)
    files = {"weights.bin": blob(Generated("s3", LARGE)), "config.json": blob(b"{}")}
    ngc.catalogue.add_files("models", "nvidia/big", "1", files)
    desk.lock(models=[{"ngc": "nvidia/big:1"}], registries=ngc.registries)
    desk.export(tmp_path / "out", chunk="4MiB")
    proxy = fault_proxy(store.port)
    environment(store, proxy.host, monkeypatch)
    for number, count in enumerate((2_000_000, PART + 4_000_000, LARGE - 500_000), start=1):
        monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / f"state-{number}"))
        bucket = store.bucket()
        target = ("import", tmp_path / "out", "--to", f"s3://{bucket}", "--trust", "trust.json")
        ended = desk.killed(proxy, count, *target, direction="up")
        assert ended.code == -signal.SIGKILL
        assert keys(store, bucket) == {}, "nothing shows before it is whole"
        before = proxy.bytes["up"]
        desk.dray(*target)
        whole_parts = (count - 200_000) // PART
        assert proxy.bytes["up"] - before < LARGE - whole_parts * PART + 300_000
        sizes = {f"{MODEL}/weights.bin": LARGE, f"{MODEL}/config.json": 2}
        assert sizes.items() <= keys(store, bucket).items()
        assert pending(store, bucket) == 0


def pending(store: ObjectStore, bucket: str) -> int:
    """Return how many multipart uploads were begun and neither completed nor aborted."""
    client = store.client()
    try:
        with suppress(client.exceptions.ClientError):
            return len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))
        return 0
    finally:
        client.close()


def test_terminated_it_publishes_nothing_and_goes_on(
    job: Job, registry: Registry, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = fault_proxy(registry.port)
    prefix = registry.repository("high")
    target = f"registry://{proxy.host}/{prefix}"
    stop = (600_000, signal.SIGTERM)
    done = job.desk.signalled(proxy, *stop, *job.arguments(target), direction="up")
    assert done.code == 8, done
    assert "nothing was published" in done.err
    assert not {"1.0"} & set(writes(registry, f"{prefix}/"))
    job.desk.dray(*job.arguments(target))
    assert set(commits(registry, f"{prefix}/").values()) == {1}
    assert len(chunks(job.bundle)) > 1
