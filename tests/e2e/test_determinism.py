"""The same lock gives the same chunks, whenever, wherever and in whatever order the bytes come."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from fixtures.content import Held, blob
from tests.e2e.desk import Desk, chunks, copy

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server
COMPRESS = pytest.mark.parametrize("options", [(), ("--compress",)], ids=["as it is", "compressed"])


@pytest.fixture
def locked(desk: Desk, upstream: Upstream, ngc: EmulatedNgc) -> Desk:
    """Lock images that share layers, a chart, and a model with files that gain."""
    shared = upstream.layer("shared", 1_400_000)
    upstream.image("one", 300_000, shared=[shared])
    upstream.image("two", 2_300_000, shared=[shared])
    upstream.text("text", 5_000_000)
    lines = b"".join(f"{number:08d} weight\n".encode() for number in range(80_000))
    files = {"a.txt": blob(Held(lines)), "b.txt": blob(Held(lines[::-1])), "empty": blob(b"")}
    ngc.catalogue.add_files("models", "nvidia/text", "1", files)
    charts = [{"repo": "https://helm.ngc.nvidia.com/nvidia", "name": "gpu-operator"}]
    charts[0]["version"] = "v25.3.0"
    images = [upstream.name(f"{name}:1.0") for name in ("one", "two", "text")]
    models = [{"ngc": "nvidia/text:1"}]
    desk.lock(*images, charts=charts, models=models, registries=ngc.registries)
    return desk


def shuffle(ngc: EmulatedNgc, seed: int) -> None:
    """Have every file and layer of NGC come late, each by another time."""
    chosen = random.Random(seed)
    for path in ("a.txt", "b.txt", "empty", "gpu-operator"):
        ngc.faults.add(f"GET .*{path}", delay=chosen.random() / 3, times=None)


@COMPRESS
def test_the_same_lock_gives_the_same_chunks_in_another_order_of_arrival(
    locked: Desk, ngc: EmulatedNgc, options: tuple[str, ...], tmp_path: Path
) -> None:
    locked.export(tmp_path / "first", *options)
    first = list(chunks(tmp_path / "first").values())
    for seed in (1, 2):
        shuffle(ngc, seed)
        locked.export(tmp_path / f"late-{seed}", *options)
        ngc.faults.clear()
        assert list(chunks(tmp_path / f"late-{seed}").values()) == first


@COMPRESS
def test_another_host_with_the_same_lock_gives_the_same_bundle_to_sign(
    locked: Desk,
    options: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locked.export(tmp_path / "first", *options)
    other = copy(locked, tmp_path / "other")
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "other-state"))
    other.export(tmp_path / "second", *options)
    assert chunks(tmp_path / "second") == chunks(tmp_path / "first")
    assert signed(tmp_path / "second") == signed(tmp_path / "first")


def signed(folder: Path) -> dict[str, Any]:
    """What two hosts have to agree on: all of the manifest but its times."""
    body: dict[str, Any] = json.loads(next(folder.rglob("*.manifest.json")).read_bytes())
    del body["account"]["checked"]
    return {key: value for key, value in body.items() if key not in {"created", "expires"}}


@COMPRESS
def test_the_number_of_media_does_not_change_the_chunks(
    locked: Desk, options: tuple[str, ...], tmp_path: Path
) -> None:
    locked.export(tmp_path / "one", *options)
    wanted = list(chunks(tmp_path / "one").values())
    sizes = ",".join(["4MB"] * 3 + ["20MB"])
    locked.export(tmp_path / "four", "--media", sizes, *options)
    assert list(chunks(tmp_path / "four").values()) == wanted
    locked.export(tmp_path / "left", "--to", tmp_path / "right", *options)
    assert list(chunks(tmp_path / "left", tmp_path / "right").values()) == wanted


def test_the_lock_is_the_same_every_time(locked: Desk) -> None:
    path = locked.folder / "dray.lock.yaml"
    before = Digest.of(path.read_bytes())
    locked.dray("lock", "dray.yaml", "--update")
    assert Digest.of(path.read_bytes()) == before


def test_nothing_new_is_exported_twice_unless_it_is_asked_for(locked: Desk, tmp_path: Path) -> None:
    locked.export(tmp_path)
    again = locked.export(tmp_path, "--json").json
    assert again["unchanged"] is True
    assert [path.name for path in sorted(tmp_path.glob("prod-*"))] == ["prod-000001"]
    locked.export(tmp_path, "--compress")
    locked.export(tmp_path, "--compress", "--new")
    numbers = [path.name for path in sorted(tmp_path.glob("prod-*"))]
    assert numbers == ["prod-000001", "prod-000002", "prod-000003"]


@COMPRESS
def test_a_chunk_that_was_lost_is_made_again_identically(
    locked: Desk, options: tuple[str, ...], tmp_path: Path
) -> None:
    locked.export(tmp_path / "first", *options)
    wanted = list(chunks(tmp_path / "first").values())
    next(iter(sorted((tmp_path / "first").rglob("*.tar")))).unlink()
    locked.export(tmp_path / "first", *options)
    remade = sorted(path for path in (tmp_path / "first").glob("prod-*") if path.is_dir())[-1]
    assert list(chunks(remade).values()) == wanted
    locked.verify(remade)
