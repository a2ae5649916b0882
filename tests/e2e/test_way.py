"""The whole way: lock, export, verify, import; and clients that nobody here wrote judge it."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from fixtures.content import Store
from fixtures.ngc import CITRINET, emulate, sample_catalogue
from fixtures.signatures import signature_tag
from tests.e2e import way
from tests.e2e.desk import CHUNK, Desk, chunks, copy, tree
from tests.e2e.foreign import copy_to_layout, raw_manifest, run
from tests.e2e.upstream import Upstream, commits, writes
from tests.e2e.way import BASE, CUDA, OLD, RUNTIME, World
from tests.servers import isolation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixtures.content import Graph
    from tests.servers.ca import Authority
    from tests.servers.registry import Registry
    from tests.servers.s3 import ObjectStore

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("way")]
ARTIFACTS = 13


@dataclass(frozen=True)
class Carried:
    """A bundle with one of everything, and where it came from."""

    world: World
    desk: Desk
    bundle: Path


@pytest.fixture(scope="module")
def carried(
    tmp_path_factory: pytest.TempPathFactory,
    registry: Registry,
    authority: Authority,
    identity: Path,
) -> Iterator[Carried]:
    work = tmp_path_factory.mktemp("way")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in isolation.own(work / "home").items():
            patch.setenv(name, value)
        catalogue = sample_catalogue(scale=0.02, folder=work / "ngc-content")
        patch.setenv("NGC_API_KEY", catalogue.keys["entitled"].secret)
        ngc = stack.enter_context(emulate(catalogue, folder=work / "ngc"))
        files = stack.enter_context(way.https_files(work / "files", authority))
        prefix = registry.repository("low").rpartition("/")[0]
        upstream = Upstream(registry, Store(work / "content"), prefix)
        world = way.build(ngc, upstream, files, authority)
        desk = copy(Desk(identity), work / "desk")
        desk.lock(**world.spec())
        desk.export(work / "out")
        yield Carried(world, desk, work / "out")


@dataclass(frozen=True)
class Loaded:
    """Where the bundle was imported to, and what the import said."""

    carried: Carried
    registry: Registry
    prefix: str
    store: ObjectStore
    bucket: str
    said: Any

    @property
    def targets(self) -> tuple[str, ...]:
        return (f"registry://{self.registry.host}/{self.prefix}", f"s3://{self.bucket}/ai")

    def name(self, rest: str) -> str:
        return f"{self.registry.host}/{self.prefix}/{rest}"

    def app(self) -> str:
        return self.name(f"{self.carried.world.upstream.prefix}/app")


def aws(store: ObjectStore, patch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment().items():
        patch.setenv(name, value)
    patch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    patch.setenv("AWS_CA_BUNDLE", str(store.ca))


@pytest.fixture(scope="module")
def loaded(carried: Carried, s3_rclone_tls: ObjectStore) -> Loaded:
    registry = carried.world.upstream.registry
    prefix, bucket = registry.repository("high"), s3_rclone_tls.bucket()
    made = Loaded(carried, registry, prefix, s3_rclone_tls, bucket, None)
    with pytest.MonkeyPatch.context() as patch:
        aws(s3_rclone_tls, patch)
        said = carried.desk.load(carried.bundle, *made.targets).json
    return Loaded(carried, registry, prefix, s3_rclone_tls, bucket, said)


def held(graph: Graph) -> set[str]:
    return {str(node.digest) for node in graph.walk()}


def artifact(carried: Carried, name: str) -> dict[str, Any]:
    shown = carried.desk.dray("inspect", carried.bundle, "--trust", "trust.json", "--json").json
    found: dict[str, Any] = next(a for a in shown["artifacts"] if a["name"].endswith(name))
    return found


# -- lock and export ------------------------------------------------------------------------------


def test_a_pattern_is_locked_as_the_tags_that_it_matches(carried: Carried) -> None:
    shown = carried.desk.dray("inspect", carried.bundle, "--trust", "trust.json", "--json").json
    found = [a["version"] for a in shown["artifacts"] if "pytorch" in a["name"]]
    assert sorted(found) == ["24.10-py3", "24.12-py3", "25.01-py3"]


def test_an_index_for_all_platforms_is_carried_complete_with_all_around_it(
    carried: Carried,
) -> None:
    world = carried.world
    found = artifact(carried, "/app:1.0")
    digests = {content["digest"] for content in found["contents"]}
    assert found["root"] == world.app.digest
    assert held(world.app) <= digests
    assert str(world.sbom.digest) in digests
    tags = {tag for content in found["contents"] for tag in content.get("tags", ())}
    assert tags >= {"1.0", signature_tag(world.app)}


def test_an_index_for_one_platform_leaves_the_bare_child(carried: Carried) -> None:
    index = carried.world.ngc_image(CUDA, RUNTIME)
    found = artifact(carried, f":{RUNTIME}")
    assert found["root"] == index.children[0].digest
    assert "left behind" in found["notes"]["index"]
    digests = {content["digest"] for content in found["contents"]}
    assert str(index.digest) not in digests
    assert str(index.children[1].digest) not in digests
    assert str(index.children[2].digest) in digests, "its attestation goes along"


def test_the_bundle_verifies_and_says_so(carried: Carried) -> None:
    said = carried.desk.dray("verify", carried.bundle, "--trust", "trust.json", "--json").json
    assert said["ok"]
    assert said["signers"] == ["dray"]


def test_media_and_folders_get_the_same_chunks(carried: Carried, tmp_path: Path) -> None:
    desk = copy(carried.desk, tmp_path / "desk")
    desk.export(tmp_path / "media", "--media", "2MB,3MB,40MB")
    drives = [tmp_path / "drive-1", tmp_path / "drive-2"]
    desk.export(drives[0], "--to", drives[1], "--media", "3MB,40MB", "--new")
    first = sorted(chunks(carried.bundle).values())
    assert sorted(chunks(tmp_path / "media").values()) == first
    assert sorted(chunks(*drives).values()) == first
    media = sorted(path.name for path in tmp_path.glob("media/*/*"))
    assert media == ["medium-1", "medium-2", "medium-3"]
    assert all(chunks(folder) for folder in [*tmp_path.glob("media/*/*"), *drives])
    desk.verify(tmp_path / "media")
    desk.verify(*drives)


def test_what_several_images_share_is_carried_once(carried: Carried) -> None:
    sizes = sum(path.stat().st_size for path in carried.bundle.rglob("*.tar"))
    shown = carried.desk.dray("inspect", carried.bundle, "--trust", "trust.json", "--json").json
    blobs = {blob["digest"]: blob["size"] for blob in shown["blobs"]}
    assert len(blobs) == len(shown["blobs"])
    assert sizes < sum(blobs.values()) + 2048 * (len(blobs) + 40 * len(shown["chunks"]))


def test_the_plan_writes_nothing(carried: Carried, tmp_path: Path) -> None:
    desk = copy(carried.desk, tmp_path / "desk")
    said = desk.export(tmp_path / "out", "--plan", "--json").json
    assert said["chunks"] == len(chunks(carried.bundle))
    assert tree(tmp_path / "out") == {}


# -- import into a registry, judged by its clients ------------------------------------------------


def test_everything_is_published(loaded: Loaded) -> None:
    assert len(loaded.said["published"]) == ARTIFACTS
    assert loaded.said["failures"] == {}


def test_skopeo_reads_the_same_bytes_by_tag_and_by_digest(loaded: Loaded) -> None:
    world = loaded.carried.world
    for tag, wanted in {
        BASE: world.ngc_image(CUDA, BASE),
        OLD: world.ngc_image(CUDA, OLD),
        RUNTIME: world.ngc_image(CUDA, RUNTIME).children[0],
    }.items():
        name = loaded.name(CUDA)
        assert raw_manifest(f"{name}:{tag}") == wanted.manifest.read()
        assert raw_manifest(f"{name}@{wanted.digest}") == wanted.manifest.read()
    pinned = loaded.name(f"{world.upstream.prefix}/pinned@{world.by_digest.digest}")
    assert raw_manifest(pinned) == world.by_digest.manifest.read()


def test_skopeo_copies_a_complete_index_and_checks_every_blob(
    loaded: Loaded, tmp_path: Path
) -> None:
    app = loaded.carried.world.app
    copy_to_layout(f"{loaded.app()}@{app.digest}", tmp_path / "layout")
    names = {path.name for path in (tmp_path / "layout/blobs/sha256").iterdir()}
    wanted = {item.digest.hex for node in app.walk() for item in (node.manifest, *node.blobs)}
    assert wanted <= names


def test_crane_finds_images_valid(loaded: Loaded) -> None:
    for name in (f"{CUDA}:{BASE}", f"{CUDA}:{OLD}", "nvidia/pytorch:24.10-py3"):
        run("crane", "validate", "--insecure", "--remote", loaded.name(name))
    found = run("crane", "digest", "--insecure", loaded.name(f"{CUDA}:{BASE}"))
    assert found.decode().strip() == loaded.carried.world.ngc_image(CUDA, BASE).digest


def test_oras_discovers_what_refers_to_an_image(loaded: Loaded) -> None:
    base = loaded.carried.world.ngc_image(CUDA, BASE)
    for reference in (f"{loaded.app()}:1.0", f"{loaded.name(CUDA)}@{base.digest}"):
        found = json.loads(run("oras", "discover", "--plain-http", "--format=json", reference))
        entries = found.get("referrers") or found.get("manifests")
        assert [entry["artifactType"] for entry in entries] == ["application/spdx+json"]


def test_oras_pulls_the_sbom(loaded: Loaded) -> None:
    digest = loaded.carried.world.sbom.blobs[1].digest
    reference = f"{loaded.app()}@{digest}"
    found = run("oras", "blob", "fetch", "--plain-http", "--output", "-", reference)
    assert found == way.SBOM


def test_the_cosign_signature_is_under_its_tag(loaded: Loaded) -> None:
    world = loaded.carried.world
    base = world.ngc_image(CUDA, BASE)
    tag = signature_tag(base)
    wanted = world.ngc_image(CUDA, tag).manifest.read()
    assert raw_manifest(f"{loaded.name(CUDA)}:{tag}") == wanted


def test_helm_pulls_the_chart_of_a_classic_repository_with_its_provenance(
    loaded: Loaded, tmp_path: Path
) -> None:
    chart = next(
        chart
        for chart in loaded.carried.world.ngc.catalogue.chart_repositories["nvidia"].charts
        if chart.name == "gpu-operator" and chart.version == "v25.3.0"
    )
    where = f"oci://{loaded.name('charts/nvidia/gpu-operator')}"
    run("helm", "pull", where, "--version", "v25.3.0", "--plain-http", "--prov", cwd=tmp_path)
    assert chart.provenance
    assert tree(tmp_path) == {
        "gpu-operator-v25.3.0.tgz": chart.archive.read(),
        "gpu-operator-v25.3.0.tgz.prov": chart.provenance.read(),
    }


def test_helm_pulls_and_reads_the_oci_chart(loaded: Loaded, tmp_path: Path) -> None:
    where = f"oci://{loaded.name('charts/nvidia/cloud-native-charts/gpu-operator')}"
    options = ("--version", "v26.7.0", "--plain-http")
    run("helm", "pull", where, *options, "--untar", cwd=tmp_path)
    assert (tmp_path / "gpu-operator/values.yaml").exists()
    assert b"name: gpu-operator" in run("helm", "show", "chart", where, *options)


# -- object stores --------------------------------------------------------------------------------


def objects(store: ObjectStore, bucket: str) -> dict[str, tuple[str, str]]:
    """Return the SHA-256 of every object's bytes, read with boto3, and when it was written.

    But for the copy of the ledger, which grows.
    """
    client, found = store.client(), {}
    try:
        for entry in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            if "/.dray/" in f"/{entry['Key']}":
                continue
            body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
            found[entry["Key"]] = (
                hashlib.sha256(body.read()).hexdigest(),
                str(entry["LastModified"]),
            )
            body.close()
    finally:
        client.close()
    return found


def wanted_objects(world: World) -> dict[str, str]:
    citrinet = CITRINET.removeprefix("nvidia/")
    folder = f"ai/models/nvidia/{citrinet}/deployable_v2.0.0"
    return {f"{folder}/{path}": blob.digest.hex for path, blob in world.model_files().items()}


def check_objects(world: World, found: dict[str, tuple[str, str]]) -> None:
    digests = {key: digest for key, (digest, _when) in found.items()}
    assert wanted_objects(world).items() <= digests.items()
    assert "ai/resources/nvidia/riva_quickstart/2.18.0/notebook.ipynb" in digests
    installer = hashlib.sha256(b"".join(way.INSTALLER.blocks())).hexdigest()
    assert installer in digests.values()
    assert sum(key.endswith("/.dray-complete.json") for key in digests) == 3


def test_models_resources_and_files_are_read_back_from_the_store(loaded: Loaded) -> None:
    check_objects(loaded.carried.world, objects(loaded.store, loaded.bucket))


@pytest.mark.xdist_group("ceph")
def test_ceph_over_tls_takes_models_too(
    carried: Carried, s3_rgw: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws(s3_rgw, monkeypatch)
    bucket = s3_rgw.bucket()
    only = ("--only", "model,resource,file")
    carried.desk.load(carried.bundle, f"s3://{bucket}/ai", options=only)
    check_objects(carried.world, objects(s3_rgw, bucket))
    again = carried.desk.load(carried.bundle, f"s3://{bucket}/ai", options=only).json
    assert again["uploaded"] == 0
    assert again["published"] == []


def test_the_plan_of_an_import_is_shown_and_nothing_is_written(carried: Carried) -> None:
    registry = carried.world.upstream.registry
    prefix = registry.repository("planned")
    options = ("--plan", "--only", "image,chart")
    target = f"registry://{registry.host}/{prefix}"
    said = carried.desk.load(carried.bundle, target, options=options).json
    rows = {row["name"]: row for row in said["artifacts"]}
    assert len(rows) == ARTIFACTS - 3
    assert all(row["send"] > 0 for row in rows.values())
    assert rows[f"nvcr.io/{CUDA}:{BASE}"]["place"] == f"{registry.host}/{prefix}/{CUDA}:{BASE}"
    assert writes(registry, f"{prefix}/") == []


# -- again, and the folder ------------------------------------------------------------------------


def test_a_second_import_changes_nothing(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    aws(loaded.store, monkeypatch)
    written = writes(loaded.registry, loaded.prefix)
    before = objects(loaded.store, loaded.bucket)
    said = loaded.carried.desk.load(loaded.carried.bundle, *loaded.targets).json
    assert (said["uploaded"], said["published"]) == (0, [])
    assert len(said["unchanged"]) == ARTIFACTS
    assert writes(loaded.registry, loaded.prefix) == written
    assert objects(loaded.store, loaded.bucket) == before


def test_every_blob_was_committed_once_and_tags_came_last(loaded: Loaded) -> None:
    counts = commits(loaded.registry, loaded.prefix)
    assert counts
    assert set(counts.values()) == {1}
    written = writes(loaded.registry, loaded.prefix)
    first = next(n for n, what in enumerate(written) if what != "blob")
    assert "blob" not in written[first:]


def times(warehouse: Path) -> dict[Path, int]:
    """Return when each file was written, but for the copy of the ledger, which grows."""
    files = (path for path in warehouse.rglob("*") if path.is_file() and ".dray" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


def test_the_folder_holds_a_layout_that_skopeo_reads_and_trees_of_files(
    carried: Carried, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse"
    carried.desk.load(carried.bundle, warehouse)
    world = carried.world
    inspected = run("skopeo", "inspect", "--raw", f"oci:{warehouse}/oci:{CUDA}:{BASE}")
    assert Digest.of(inspected) == world.ngc_image(CUDA, BASE).digest
    found = run("oras", "repo", "tags", "--oci-layout", warehouse / "oci").decode().split()
    assert f"{CUDA}:{BASE}" in found
    model = warehouse / "models" / CITRINET / "deployable_v2.0.0"
    wanted = {path: blob.read() for path, blob in world.model_files().items()}
    assert tree(model, lambda path: path.name != ".dray-complete.json") == wanted
    before = times(warehouse)
    assert carried.desk.load(carried.bundle, warehouse).json["published"] == []
    assert times(warehouse) == before


def test_the_smallest_chunks_are_of_the_size_asked_for(carried: Carried) -> None:
    assert CHUNK == "1MiB"
    sizes = [path.stat().st_size for path in carried.bundle.rglob("*.tar")]
    assert max(sizes) <= 1 << 20
    assert len(sizes) > 5
