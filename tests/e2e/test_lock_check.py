"""``dray lock --check``: what became upstream of what a lock pins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fixtures.content import blob, image, index
from fixtures.ngc import CITRINET
from tests.e2e import desk as desks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk

CUDA = "nvidia/cuda"
BASE, OLD = "12.6.0-base-ubuntu22.04", "11.8.0-base-ubuntu22.04"
PATTERN = ">=24.10-py3, <25.02"
CHART = "helm.ngc.nvidia.com/nvidia/gpu-operator:v25.3.0"
MODEL = f"ngc/{CITRINET}:deployable_v2.0.0"
Rows = dict[str, tuple[str, str]]


@pytest.fixture
def locked(desk: Desk, ngc: EmulatedNgc) -> Iterator[Desk]:
    """A desk with a lock of each kind of content of NGC."""
    desk.lock(
        platforms=["linux/amd64"],
        images=[
            f"nvcr.io/{CUDA}:{BASE}",
            f"nvcr.io/{CUDA}:{OLD}",
            {"name": "nvcr.io/nvidia/pytorch", "tags": PATTERN},
        ],
        charts=[
            {
                "repo": "https://helm.ngc.nvidia.com/nvidia",
                "name": "gpu-operator",
                "version": "v25.3.0",
            },
            "oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator:v26.7.0",
        ],
        models=[{"ngc": f"{CITRINET}:deployable_v2.0.0"}],
        resources=[{"ngc": "nvidia/riva_quickstart:2.18.0"}],
        registries=ngc.registries,
    )
    before = desks.tree(desk.folder)
    yield desk
    assert desks.tree(desk.folder) == before


def check(desk: Desk, *options: str, code: int = 0) -> Rows:
    done = desk.dray("lock", "dray.yaml", "--check", "--json", *options, code=code)
    assert ("error" in done.json) == (code != 0)
    return {row["artifact"]: (row["status"], row.get("why", "")) for row in done.json["rows"]}


def news(rows: Rows) -> Rows:
    return {name: row for name, row in rows.items() if row[0] != "ok"}


def test_an_upstream_that_is_as_it_was_is_all_ok(locked: Desk) -> None:
    rows = check(locked, "--strict")
    assert len(rows) >= 8
    assert news(rows) == {}
    said = locked.dray("lock", "dray.yaml", "--check").out
    assert f"ok         image    nvcr.io/{CUDA}:{BASE}\n" in said
    assert said.endswith(f"{len(rows)} rows, {len(rows)} ok\n")


def test_a_check_reads_no_content(locked: Desk, ngc: EmulatedNgc) -> None:
    before = len(ngc.requests)
    check(locked)
    asked = list(ngc.requests[before:])
    assert asked
    assert not [request for request in asked if "/blobs/" in request.path]


def move(ngc: EmulatedNgc) -> None:
    made = image([blob(b"another layer")])
    ngc.catalogue.add_image(CUDA, made, [OLD])


def delete_tag(ngc: EmulatedNgc) -> None:
    ngc.catalogue.delete_tag(CUDA, OLD)


def delete_digest(ngc: EmulatedNgc) -> None:
    found = ngc.catalogue.repositories[CUDA]
    for node in list(found.graphs[found.tags[OLD]].walk()):
        ngc.catalogue.delete_digest(CUDA, node.digest)


def newer(ngc: EmulatedNgc) -> None:
    ngc.catalogue.add_image("nvidia/pytorch", image([blob(b"newer")]), ["25.01.1-py3"])


def chart_gone(ngc: EmulatedNgc) -> None:
    found = ngc.catalogue.chart_repositories["nvidia"]
    found.charts = [item for item in found.charts if item.version != "v25.3.0"]


def chart_moved(ngc: EmulatedNgc) -> None:
    ngc.catalogue.chart_repositories["nvidia"].digests["gpu-operator-v25.3.0.tgz"] = "0" * 64


def model_gone(ngc: EmulatedNgc) -> None:
    del ngc.catalogue.filesets["models", CITRINET].versions["deployable_v2.0.0"]


def model_smaller(ngc: EmulatedNgc) -> None:
    files = ngc.catalogue.filesets["models", CITRINET].versions["deployable_v2.0.0"].files
    files.pop(sorted(files)[0])


def model_larger(ngc: EmulatedNgc) -> None:
    files = ngc.catalogue.filesets["models", CITRINET].versions["deployable_v2.0.0"].files
    files["one-more"] = next(iter(files.values()))


def model_moved(ngc: EmulatedNgc) -> None:
    files = ngc.catalogue.filesets["models", CITRINET].versions["deployable_v2.0.0"].files
    files[sorted(files)[0]] = files[sorted(files)[-1]]


def refused(ngc: EmulatedNgc) -> None:
    ngc.catalogue.filesets["models", CITRINET].refusal = 403


OLD_IMAGE = f"nvcr.io/{CUDA}:{OLD}"
CASES = [
    (move, OLD_IMAGE, "moved", "names other bytes now", 0),
    (delete_tag, OLD_IMAGE, "vanished", "the locked digest is still there", 6),
    (delete_digest, OLD_IMAGE, "vanished", "its digest is gone", 6),
    (newer, "nvcr.io/nvidia/pytorch:25.01.1-py3", "newer", "matches", 0),
    (chart_gone, CHART, "vanished", "not in version 'v25.3.0'", 6),
    (chart_moved, CHART, "moved", "other bytes", 0),
    (model_gone, MODEL, "vanished", "no such version", 6),
    (model_smaller, MODEL, "vanished", "any more", 6),
    (model_larger, MODEL, "moved", "one-more", 0),
    (model_moved, MODEL, "moved", "other bytes", 0),
    (refused, MODEL, "unknown", "403", 6),
]


@pytest.mark.parametrize(
    ("change", "name", "status", "why", "code"),
    CASES,
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_what_became_of_an_artifact_is_one_row(
    locked: Desk,
    ngc: EmulatedNgc,
    change: Callable[[Any], None],
    name: str,
    status: str,
    why: str,
    code: int,
) -> None:
    change(ngc)
    rows = news(check(locked, code=code))
    assert set(rows) == {name}
    assert rows[name][0] == status
    assert why in rows[name][1]
    assert check(locked, "--strict", code=6)


def test_everything_is_tried_and_reported(locked: Desk, ngc: EmulatedNgc) -> None:
    delete_digest(ngc)
    refused(ngc)
    newer(ngc)
    done = locked.dray("lock", "dray.yaml", "--check", code=6)
    assert "upstream is not as the lock says: 1 vanished, 1 unknown" in done.err
    assert "newer      image    nvcr.io/nvidia/pytorch:25.01.1-py3" in done.out


def test_a_tag_that_moved_away_from_a_digest_that_is_gone_has_vanished(
    locked: Desk, ngc: EmulatedNgc
) -> None:
    delete_digest(ngc)
    move(ngc)
    assert news(check(locked, code=6))[OLD_IMAGE][0] == "vanished"


def test_an_image_that_is_carried_bare_has_not_moved_with_its_index(
    locked: Desk, ngc: EmulatedNgc
) -> None:
    found = ngc.catalogue.repositories[CUDA]
    amd64 = next(node for node in found.graphs[found.tags[OLD]].walk() if not node.children)
    ngc.catalogue.add_image(CUDA, index([amd64, image([blob(b"another")], platform="a/b")]), [OLD])
    assert news(check(locked)) == {}


def test_a_check_needs_the_lock_of_this_spec(desk: Desk, locked: Desk) -> None:
    spec, lock = desk.folder / "dray.yaml", desk.folder / "dray.lock.yaml"
    text, kept = spec.read_text(), lock.read_bytes()
    spec.write_text(text + "\n# changed\n")
    assert "is not of this" in desk.dray("lock", spec, "--check", code=2).err
    spec.write_text(text)
    lock.unlink()
    assert "there is no" in desk.dray("lock", spec, "--check", code=2).err
    lock.write_bytes(kept)


@pytest.mark.parametrize("options", [["--check", "--update"], ["--check", "--why"], ["--strict"]])
def test_options_that_exclude_each_other_are_refused(desk: Desk, options: list[str]) -> None:
    assert "exclude each other" in desk.dray("lock", "dray.yaml", *options, code=2).err


def test_a_label_that_stands_for_another_version_now_is_news(desk: Desk, ngc: EmulatedNgc) -> None:
    quickstart = "nvidia/riva_quickstart"
    desk.lock(resources=[{"ngc": f"{quickstart}:latest"}], registries=ngc.registries)
    assert news(check(desk)) == {}
    kept = ngc.catalogue.filesets["resources", quickstart]
    ngc.catalogue.add_files("resources", quickstart, "2.19.0", kept.versions["2.18.0"].files)
    name = f"ngc/{quickstart}:2.19.0"
    assert news(check(desk)) == {name: ("newer", "is what 'latest' stands for now")}
