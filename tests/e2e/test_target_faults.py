"""Targets that break while an import runs: what was sent is kept, and the others are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.content import Generated, blob
from tests.e2e.foreign import raw_manifest
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
LARGE = 9_000_000
"""More than the kernel buffers, so that a cut hits a request that is being sent."""


@pytest.fixture
def image(desk: Desk, upstream: Upstream, ngc: EmulatedNgc, tmp_path: Path) -> Graph:
    """An image and a model, in a bundle in ``tmp_path/out``."""
    made = upstream.image("app", LARGE, 40_000)
    weights = blob(Generated("weights", 10_000_000))
    ngc.catalogue.add_files("models", "nvidia/model", "1", {"weights.bin": weights})
    models = [{"ngc": "nvidia/model:1"}]
    desk.lock(upstream.name("app:1.0"), models=models, registries=ngc.registries)
    desk.export(tmp_path / "out", chunk="4MiB")
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr("bundle.http.backoff", lambda *_: 0)


def test_an_upload_that_is_cut_is_sent_again_and_committed_once(
    desk: Desk,
    upstream: Upstream,
    registry: Registry,
    image: Graph,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
) -> None:
    proxy, prefix = fault_proxy(registry.port), registry.repository("high")
    proxy.cut(1_000_000, "up", times=2)
    target = f"registry://{proxy.host}/{prefix}"
    desk.load(tmp_path / "out", target, options=("--only", "image"))
    assert proxy.fired == 2
    assert set(commits(registry, f"{prefix}/").values()) == {1}
    name = f"{registry.host}/{prefix}/{upstream.prefix}/app:1.0"
    assert raw_manifest(name) == image.manifest.read()


@pytest.mark.usefixtures("impatient")
def test_a_registry_that_goes_away_is_named_and_the_models_are_loaded_all_the_same(
    desk: Desk,
    upstream: Upstream,
    registry: Registry,
    image: Graph,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
) -> None:
    proxy, prefix = fault_proxy(registry.port), registry.repository("high")
    targets = (f"registry://{proxy.host}/{prefix}", tmp_path / "warehouse")
    proxy.call(1_000_000, proxy.vanish, "up")
    said = desk.load(tmp_path / "out", *targets, code=6)
    assert upstream.name("app:1.0") in said.err
    assert (tmp_path / "warehouse/models/nvidia/model/1/.dray-complete.json").exists()
    assert "1.0" not in writes(registry, f"{prefix}/")
    proxy.accept()
    again = desk.load(tmp_path / "out", *targets).json
    assert (len(again["published"]), len(again["unchanged"])) == (1, 1)
    name = f"{registry.host}/{prefix}/{upstream.prefix}/app:1.0"
    assert raw_manifest(name) == image.manifest.read()


@pytest.mark.usefixtures("image")
def test_a_store_whose_connections_are_cut_gets_every_object_whole(
    desk: Desk,
    s3_rclone_tls: ObjectStore,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy, bucket = fault_proxy(s3_rclone_tls.port), s3_rclone_tls.bucket()
    for name, value in s3_rclone_tls.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://{proxy.host}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(s3_rclone_tls.ca))
    proxy.cut(4_000_000, "up", times=2, reset=True)
    desk.load(tmp_path / "out", f"s3://{bucket}", options=("--only", "model"))
    assert proxy.fired == 2
    client = s3_rclone_tls.client()
    key = "models/nvidia/model/1/weights.bin"
    body = client.get_object(Bucket=bucket, Key=key)["Body"]
    assert body.read() == b"".join(Generated("weights", 10_000_000).blocks())
    body.close()
    client.close()
