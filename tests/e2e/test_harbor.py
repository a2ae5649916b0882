"""A bundle crosses into a Harbor: killed and gone on with, and judged by the clients of others."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from fixtures.signatures import referrer, signature, signature_tag
from tests.servers.tokens import basic

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.credentials import Credentials
    from fixtures.content import Graph
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.harbor import HarborServer
    from tests.servers.proxy import FaultProxy

pytestmark = pytest.mark.server
CHART = "oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator:v26.7.0"


@dataclass
class Job:
    """A bundle with a signed image that has an SBOM, and a chart; and the robot that imports it."""

    desk: Desk
    bundle: Path
    image: Graph
    repository: str
    harbor: HarborServer
    robot: Credentials

    def log_in(self, *hosts: str) -> None:
        login = {"auth": basic(self.robot.username, self.robot.password)}
        folder = Path(os.environ["DOCKER_CONFIG"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"auths": dict.fromkeys(hosts, login)}))

    def arguments(self, host: str, project: str = "") -> tuple[object, ...]:
        target = f"harbor://{host}/{project}".rstrip("/")
        return ("import", self.bundle, "--to", target, "--trust", "trust.json")

    def get(self, path: str) -> Any:
        login = (self.robot.username, self.robot.password)
        with requests.get(f"{self.harbor.url}{path}", auth=login, timeout=30) as answer:
            return answer.json() if answer.status_code == 200 else None


@pytest.fixture
def job(
    desk: Desk, upstream: Upstream, ngc: EmulatedNgc, harbor_plain: HarborServer, tmp_path: Path
) -> Job:
    harbor_plain.emulated.world.project("ngc")
    app = upstream.multi("app", 1_200_000, 70_000)
    upstream.push("app", signature(app, upstream.name("app")), signature_tag(app))
    upstream.push("app", referrer(app, "application/spdx+json", b'{"spdxVersion": "SPDX-2.3"}'))
    desk.lock(upstream.name("app:1.0"), charts=[CHART], registries=ngc.registries)
    desk.export(tmp_path / "out")
    robot = harbor_plain.robot(["ngc"])
    job = Job(desk, tmp_path / "out", app, f"ngc/{upstream.prefix}/app", harbor_plain, robot)
    job.log_in(harbor_plain.host)
    return job


def test_an_import_that_is_killed_goes_on_and_tags_come_last(
    job: Job, fault_proxy: Callable[[int], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = job.harbor.emulated.world
    proxy = fault_proxy(int(job.harbor.host.rpartition(":")[2]))
    job.log_in(proxy.host, job.harbor.host)
    counts = (60_000, 900_000, 1_900_000, 2_560_000)
    names = [f"try{number}" for number, _ in enumerate(counts)]
    for name in names:
        world.project(name)
    job.robot = job.harbor.robot(names)
    job.log_in(proxy.host, job.harbor.host)
    killed = 0
    for name, count in zip(names, counts, strict=True):
        monkeypatch.setenv("DRAY_STATE_DIR", str(job.bundle.parent / name))
        proxied, repository = job.arguments(proxy.host, name), job.repository.replace("ngc", name)
        ended = job.desk.killed(proxy, count, *proxied, direction="up")
        if ended.code == -signal.SIGKILL:
            killed += 1
            found = world.repository(repository)
            held = world.projects[name].blobs
            whole = all(
                str(item.digest) in held for node in job.image.walk() for item in node.blobs
            )
            assert found is None or "1.0" not in found[1].tags or whole
        job.desk.dray(*proxied)
        found = world.repository(repository)
        assert found
        assert found[1].tags["1.0"] == job.image.digest
        closed = [
            entry.path.partition("digest=")[2]
            for entry in job.harbor.emulated.requests
            if entry.method == "PUT" and f"/{name}/" in entry.path and entry.status == 201
            if "digest=" in entry.path and "dray/ledger" not in entry.path
        ]
        assert len(closed) == len(set(closed))
    assert killed >= 2


def test_signatures_are_accessories_and_labels_name_the_bundle(job: Job) -> None:
    job.desk.load(job.bundle, f"harbor://{job.harbor.host}")
    name = job.repository.removeprefix("ngc/").replace("/", "%252F")
    query = "with_accessory=true&with_label=true"
    found = job.get(f"/api/v2.0/projects/ngc/repositories/{name}/artifacts/1.0?{query}")
    assert found["digest"] == job.image.digest
    types = {one["type"] for one in found["accessories"]}
    assert "signature.cosign" in types
    assert [one["name"] for one in found["labels"]] == ["prod-000001"]
    chart = "charts%252Fnvidia%252Fcloud-native-charts%252Fgpu-operator"
    found = job.get(f"/api/v2.0/projects/ngc/repositories/{chart}/artifacts/v26.7.0")
    assert found["type"] == "CHART"


def test_a_second_import_changes_nothing_and_plans_nothing(job: Job) -> None:
    target = f"harbor://{job.harbor.host}"
    job.desk.load(job.bundle, target)
    before = len(job.harbor.emulated.requests)
    again = job.desk.load(job.bundle, target).json
    assert again["uploaded"] == 0
    assert len(again["unchanged"]) == 2
    written = [
        entry
        for entry in job.harbor.emulated.requests[before:]
        if entry.method not in {"GET", "HEAD"} and "dray/ledger" not in entry.path
    ]
    assert written == []


def test_a_plan_says_what_would_fail_and_writes_nothing(job: Job) -> None:
    world = job.harbor.emulated.world
    world.read_only, world.projects["ngc"].limit = True, 1000
    before = len(job.harbor.emulated.requests)
    done = job.desk.dray(*job.arguments(job.harbor.host), "--plan", code=6)
    assert "is not ready, for 2 reasons; nothing was sent" in done.err
    assert "1. " in done.err
    assert "raise the quota by" in done.err
    sent = job.harbor.emulated.requests[before:]
    assert not [entry for entry in sent if entry.method not in {"GET", "HEAD"}]


def test_check_and_init_by_hand(job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target, secret = f"harbor://{job.harbor.host}/new", tmp_path / "robot.secret"
    said = job.desk.dray("harbor", "init", target, "--json").out
    (planned,) = json.loads(said)["targets"]
    assert planned["projects"][0]["project_name"] == "new"
    assert planned["robot"]["level"] == "project"
    script = job.desk.dray("harbor", "init", target).out
    assert script.count("curl --user admin") == 2
    wanted = ("harbor", "init", target, "--apply", "--secret-file", secret)
    assert "no administrator" in job.desk.dray(*wanted, code=2).err
    assert not secret.exists()
    monkeypatch.setenv("DRAY_HARBOR_ADMIN", job.harbor.admin.username)
    monkeypatch.setenv("DRAY_HARBOR_ADMIN_PASSWORD", job.harbor.admin.password)
    said = job.desk.dray(*wanted).out
    assert "made robot$new+importer" in said
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in said
    assert "file exists" in job.desk.dray(*wanted, code=2).err
    other = ("harbor", "init", target, "--apply", "--secret-file", tmp_path / "other")
    assert "already exists" in job.desk.dray(*other, code=6).err
    assert not (tmp_path / "other").exists()
    assert "belong together" in job.desk.dray("harbor", "init", target, "--apply", code=2).err
    login = {"auth": basic("robot$new+importer", secret.read_text())}
    config = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
    config.write_text(json.dumps({"auths": {job.harbor.host: login}}))
    assert "ready: an import can push there" in job.desk.dray("harbor", "check", target).out
    found = json.loads(job.desk.dray("harbor", "check", target, "--json").out)
    assert found["targets"][0]["projects"] == ["new"]
    elsewhere = job.desk.dray("harbor", "check", f"harbor://{job.harbor.host}/ngc", code=6)
    assert "may not read the project ngc" in elsewhere.err
    assert "names no Harbor" in job.desk.dray("harbor", "check", "registry://h/x", code=2).err
