"""Upstreams that break, refuse, expire and lie while an export runs."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests

import bundle.http
from bundle.digest import BLOCK
from fixtures.content import Generated, Held, blob, image, plausible
from fixtures.push import push
from tests.e2e.desk import chunks, leftovers
from tests.servers.tokens import SERVICE, basic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fixtures.content import Blob, Graph, Store
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy
    from tests.servers.registry import Registry

pytestmark = pytest.mark.server
SIZE = 3_000_000
CUDA, BASE = "nvidia/cuda", "12.6.0-base-ubuntu22.04"
FILES = "GET xfiles.*/files/"


@pytest.fixture
def weights(ngc: EmulatedNgc, desk: Desk) -> Blob:
    """Lock an image and three models, of which ``nvidia/victim`` is the one to suffer."""
    made = blob(Generated("victim", SIZE))
    ngc.catalogue.add_files("models", "nvidia/victim", "1", {"weights.bin": made})
    for name in ("before", "behind"):
        files = {f"{name}.bin": blob(Generated(name, 700_000))}
        ngc.catalogue.add_files("models", f"nvidia/{name}", "1", files)
    models = [{"ngc": f"nvidia/{name}:1"} for name in ("victim", "before", "behind")]
    desk.lock(f"nvcr.io/{CUDA}:{BASE}", models=models, registries=ngc.registries)
    return made


def sent(ngc: EmulatedNgc, name: str, since: int = 0) -> list[tuple[int, str, int]]:
    """Return status, range and bytes of the requests for a file or blob."""
    return [
        (entry.status, entry.range, entry.sent)
        for entry in ngc.requests[since:]
        if name in entry.path and entry.method == "GET" and entry.site.startswith(("xf", "lay"))
    ]


def check_unsealed(folder: Path) -> None:
    assert not list(folder.rglob("*.manifest.json*"))
    assert list(folder.rglob("*.journal"))


def digests(folder: Path) -> set[str]:
    """Return the blobs of the bundle in a folder."""
    manifest = json.loads(next(folder.rglob("*.manifest.json")).read_bytes())
    return {entry["digest"] for entry in manifest["blobs"]}


# -- what passes ----------------------------------------------------------------------------------


def test_a_cut_connection_is_gone_on_with_by_range(
    desk: Desk, ngc: EmulatedNgc, weights: Blob, tmp_path: Path
) -> None:
    ngc.faults.add(FILES + "weights", cut_after=1_234_567)
    desk.export(tmp_path)
    assert sent(ngc, "weights.bin") == [
        (206, f"bytes=0-{SIZE - 1}", 1_234_567),
        (206, f"bytes=1234567-{SIZE - 1}", SIZE - 1_234_567),
    ]
    assert weights.digest in digests(tmp_path)


def test_a_real_registry_behind_a_bad_line_gives_each_byte_once(
    desk: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
) -> None:
    proxy = fault_proxy(upstream.registry.port)
    upstream.image("app", 9_000_000)
    desk.lock(upstream.name("app:1.0", proxy.host))
    before = proxy.bytes["down"]
    proxy.cut(2_100_000, times=4)
    desk.export(tmp_path)
    assert proxy.fired == 4
    assert proxy.bytes["down"] - before < 9_100_000
    desk.verify(tmp_path)


@pytest.mark.usefixtures("weights")
def test_too_many_requests_are_waited_for_as_long_as_the_server_asks(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    fault = ngc.faults.add(FILES + "weights", status=429, retry_after="2")
    start = time.monotonic()
    desk.export(tmp_path)
    assert fault.hits == 1
    assert time.monotonic() - start >= 2
    desk.verify(tmp_path)


@pytest.mark.usefixtures("weights")
def test_a_signed_url_that_expires_inside_a_file_is_asked_for_again(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    desk.lock(models=[{"ngc": "nvidia/victim:1"}], registries=ngc.registries)
    ngc.faults.add(FILES + "weights", cut_after=1_000_000, after=ngc.passes.expire_urls)
    desk.export(tmp_path)
    found = sent(ngc, "weights.bin")
    assert sum(count for status, _, count in found if status == 206) == SIZE
    desk.verify(tmp_path)


def test_a_token_and_a_redirect_that_expire_inside_a_layer_are_asked_for_again(
    desk: Desk, ngc: EmulatedNgc, store: Store, tmp_path: Path
) -> None:
    def expire() -> None:
        ngc.passes.expire_tokens()
        ngc.passes.expire_urls()

    layer = store.layer(plausible("expiring", SIZE))
    ngc.catalogue.add_image("nvidia/expiring", image([layer]), ["1"])
    desk.lock("nvcr.io/nvidia/expiring:1", registries=ngc.registries)
    where = f"GET layers.nvcr.io.*{layer.digest.hex}"
    ngc.faults.add(where, cut_after=1_000_000, rate=4_000_000, after=expire)
    desk.export(tmp_path)
    found = sent(ngc, layer.digest.hex)
    assert [count for _, _, count in found] == [1_000_000, layer.size - 1_000_000]
    desk.verify(tmp_path)


def test_a_registrys_token_that_dies_inside_a_blob_is_renewed(
    desk: Desk,
    registry_token: Registry,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    isolated: Path,
    tmp_path: Path,
) -> None:
    tokens = registry_token.tokens
    assert tokens
    proxy = fault_proxy(registry_token.port)
    push_with_token(registry_token, upstream.image("app", 4_000_000))
    login = {"auth": basic(registry_token.username, registry_token.password)}
    (isolated / "docker").mkdir()
    config = json.dumps({"auths": {proxy.host: login}})
    (isolated / "docker/config.json").write_text(config)
    desk.lock(f"{proxy.host}/low/app:1.0")
    tokens.lifetime, before, pause = 2, len(tokens.issued), threading.Event()
    proxy.call(2_000_000, lambda: pause.wait(3.1))  # longer than a token lives
    proxy.cut(1000)
    down = proxy.bytes["down"]
    desk.export(tmp_path)
    assert proxy.fired == 2
    assert len(tokens.issued) - before >= 2
    assert proxy.bytes["down"] - down < 4_100_000
    desk.verify(tmp_path)


def push_with_token(registry: Registry, graph: Graph) -> None:
    """Push as ``low/app:1.0`` to a registry that wants bearer tokens."""
    assert registry.tokens
    wanted = {"service": SERVICE, "scope": "repository:low/app:pull,push"}
    login = (registry.username, registry.password)
    with requests.get(registry.tokens.realm, wanted, auth=login, timeout=10) as answer:
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    push(registry.url, "low/app", graph, tags=["1.0"], headers=bearer)


@pytest.mark.usefixtures("weights")
def test_a_connection_gone_silent_is_given_up_and_opened_again(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle.http, "TIMEOUTS", (5.0, 1.0))
    ngc.faults.add(FILES + "weights", stall_after=2_000_000)
    desk.export(tmp_path)
    [first, second] = [wanted for _, wanted, _ in sent(ngc, "weights.bin")]
    assert first == f"bytes=0-{SIZE - 1}"
    assert int(second.removeprefix("bytes=").partition("-")[0]) > 2_000_000 - BLOCK
    desk.verify(tmp_path)


@pytest.mark.usefixtures("weights")
def test_a_server_without_ranges_is_read_from_the_start_and_not_stored_twice(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    ngc.faults.add(FILES + "weights", cut_after=2_000_000)
    ngc.faults.add(FILES + "weights", ignore_range=True, skip=1)
    desk.export(tmp_path)
    assert [status for status, _, _ in sent(ngc, "weights.bin")] == [206, 200]
    desk.verify(tmp_path)


@pytest.mark.usefixtures("weights")
def test_a_tag_that_moved_since_the_lock_changes_nothing(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    repository = ngc.catalogue.repositories[CUDA]
    locked = repository.tags[BASE]
    ngc.catalogue.move_tag(CUDA, BASE, repository.tags["12.6.0-runtime-ubuntu22.04"])
    desk.export(tmp_path)
    manifest = json.loads(next(tmp_path.rglob("*.manifest.json")).read_bytes())
    [image] = [entry for entry in manifest["artifacts"] if entry["kind"] == "image"]
    assert image["root"] == locked


# -- what does not pass: one artifact fails, the others do not ------------------------------------


def flip(ngc: EmulatedNgc, _weights: Blob) -> None:
    ngc.faults.add(FILES + "weights", flip_at=1_500_000, times=None)


def shorter(ngc: EmulatedNgc, _weights: Blob) -> None:
    files = ngc.catalogue.filesets["models", "nvidia/victim"].versions["1"].files
    files["weights.bin"] = replace(files["weights.bin"], data=Generated("victim", SIZE - 5))


def refused(ngc: EmulatedNgc, _weights: Blob) -> None:
    ngc.faults.add("GET .*nvidia.*victim", status=403, times=None)


def gone(ngc: EmulatedNgc, _weights: Blob) -> None:
    ngc.faults.add("GET .*victim", status=404, times=None)


def heal(ngc: EmulatedNgc) -> None:
    ngc.faults.clear()
    files = ngc.catalogue.filesets["models", "nvidia/victim"].versions["1"].files
    files["weights.bin"] = replace(files["weights.bin"], data=Generated("victim", SIZE))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr("bundle.transfer.backoff", lambda *_: 0)
    monkeypatch.setattr("bundle.http.backoff", lambda *_: 0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("options", [(), ("--compress",)], ids=["as it is", "compressed"])
@pytest.mark.parametrize("lie", [flip, shorter, refused, gone])
def test_an_artifact_that_fails_is_named_and_the_rest_is_kept(
    desk: Desk,
    ngc: EmulatedNgc,
    weights: Blob,
    lie: Callable[[EmulatedNgc, Blob], None],
    options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    lie(ngc, weights)
    said = desk.export(tmp_path, *options, code=6)
    assert "nvidia/victim:1" in said.err
    assert "nvidia/behind" not in said.err
    assert "run again" in said.err
    check_unsealed(tmp_path)
    if not options:
        assert sent(ngc, "before.bin")
        assert sent(ngc, "behind.bin")
    heal(ngc)
    kept, asked = fetched(tmp_path), len(ngc.requests)
    desk.export(tmp_path, *options)
    assert not kept & asked_again(ngc, asked)
    desk.verify(tmp_path)
    assert leftovers(tmp_path) == []
    assert weights.digest in digests(tmp_path)


def fetched(folder: Path) -> set[str]:
    """Return the names of what the journal has as done, as requests spell them."""
    names = {
        str(blob(Generated(name, 700_000)).digest): f"{name}.bin" for name in ("before", "behind")
    }
    found = set()
    for line in next(folder.rglob("*.journal")).read_bytes().splitlines():
        record = json.loads(line)
        digest: str = record.get("done") or record.get("encoded") or ""
        found.add(names.get(digest, digest.removeprefix("sha256:")))
    return found - {""}


def asked_again(ngc: EmulatedNgc, since: int) -> set[str]:
    words = [entry.path.split("/") for entry in ngc.requests[since:] if entry.sent]
    return {word.removeprefix("sha256:") for path in words for word in path}


@pytest.mark.usefixtures("impatient", "weights")
def test_a_layer_that_has_grown_is_named_and_the_rest_is_kept(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    repository = ngc.catalogue.repositories[CUDA]
    layer = repository.graphs[repository.tags[BASE]].children[0].blobs[1]
    grown = replace(layer, data=Held(layer.read() + b"more"))
    ngc.catalogue.blobs[layer.digest] = grown
    said = desk.export(tmp_path, code=6)
    assert f"nvcr.io/{CUDA}:{BASE}" in said.err
    assert "victim" not in said.err
    check_unsealed(tmp_path)
    ngc.catalogue.blobs[layer.digest] = layer
    asked = len(ngc.requests)
    desk.export(tmp_path)
    assert not sent(ngc, ".bin", asked)
    desk.verify(tmp_path)


@pytest.mark.usefixtures("impatient", "weights")
def test_an_image_that_is_gone_since_the_lock_is_named_and_the_rest_is_kept(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    repository = ngc.catalogue.repositories[CUDA]
    graphs, tags = dict(repository.graphs), dict(repository.tags)
    for node in list(graphs[tags[BASE]].walk()):
        ngc.catalogue.delete_digest(CUDA, node.digest)
    said = desk.export(tmp_path, code=6)
    assert f"nvcr.io/{CUDA}:{BASE}" in said.err
    assert "victim" not in said.err
    check_unsealed(tmp_path)
    repository.graphs, repository.tags = graphs, tags
    asked = len(ngc.requests)
    desk.export(tmp_path)
    assert not sent(ngc, ".bin", asked)
    desk.verify(tmp_path)


@pytest.mark.usefixtures("impatient", "weights")
def test_a_manifest_with_other_bytes_is_named_and_the_rest_is_kept(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    ngc.faults.add(f"GET nvcr.io/v2/{CUDA}/manifests/sha256", flip_at=40, times=None)
    said = desk.export(tmp_path, code=6)
    assert f"nvcr.io/{CUDA}:{BASE}" in said.err
    assert "victim" not in said.err
    assert sent(ngc, "weights.bin")
    check_unsealed(tmp_path)
    ngc.faults.clear()
    asked = len(ngc.requests)
    desk.export(tmp_path)
    assert not sent(ngc, ".bin", asked)
    desk.verify(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_every_entry_that_cannot_be_locked_is_reported_and_no_lock_is_written(
    desk: Desk, ngc: EmulatedNgc
) -> None:
    images = [f"nvcr.io/{CUDA}:{BASE}", f"nvcr.io/{CUDA}:no-such-tag", "nvcr.io/nvidia/none:1.0"]
    models: list[Any] = [{"ngc": "nvidia/no_such_model:1"}]
    desk.spec(*images, models=models, registries=ngc.registries)
    said = desk.dray("lock", "dray.yaml", code=6)
    assert "3 of 4 entries" in said.err
    for name in ("no-such-tag", "nvidia/none", "no_such_model"):
        assert name in said.err
    assert not (desk.folder / "dray.lock.yaml").exists()


def test_an_upstream_that_is_down_is_named_and_the_run_goes_on_later(
    desk: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    impatient: None,
    tmp_path: Path,
) -> None:
    proxy = fault_proxy(upstream.registry.port)
    upstream.image("app", 3_000_000)
    desk.lock(upstream.name("app:1.0", proxy.host))
    proxy.call(1_500_000, lambda: None)
    proxy.cut(0, reset=True)
    proxy.refuse()
    said = desk.export(tmp_path, code=6)
    assert proxy.host in said.err
    check_unsealed(tmp_path)
    proxy.clear()
    proxy.accept()
    desk.export(tmp_path)
    desk.verify(tmp_path)
    assert chunks(tmp_path)
