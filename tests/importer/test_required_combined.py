"""Deltas with all else: encrypted, with parity, served, in chains, into a Harbor that collects."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from bundle.digest import Digest
from bundle.progress import counted
from bundle.required import REQUIRED
from bundler import chunkkeys
from importer.receipts import shelf
from tests import delta, factory
from tests.importer.serve.conftest import served
from tests.refusals.table import dray
from tests.servers.tokens import basic

if TYPE_CHECKING:
    from tests.factory import Bundle
    from tests.refusals.table import Answer
    from tests.servers.harbor import HarborServer
    from tests.servers.registry import Registry

BASE = Digest.of(factory.noise("base", 400_000))


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def bring(bundle: Bundle, *more: object, to: str = "warehouse") -> Answer:
    arguments = ("--trust", bundle.trust, "--to", to, *bundle.folders, *more)
    return dray("import", *arguments, folder=Path.cwd())


def newest() -> Path:
    return max(shelf.listed(), key=lambda path: path.stat().st_mtime_ns)


def layout_bytes(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".dray" not in path.relative_to(root).parts
    }


def left(bundle: Bundle) -> set[Digest]:
    return {blob.digest for blob in bundle.manifest.blobs if blob.encoding == REQUIRED}


def test_a_chain_of_deltas_gives_what_whole_bundles_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bring(delta.whole(tmp_path / "one")).code == 0
    two = delta.since(tmp_path / "two", newest())
    assert bring(two).code == 0
    three = delta.since(tmp_path / "three", newest(), sequence=3, artifacts=delta.third)
    assert left(three) == left(two), "what was left out before can be left out again"
    assert {base.name for base in three.manifest.bases} == {"prod-000002"}
    assert bring(three).code == 0
    again = delta.since(tmp_path / "again", newest(), sequence=4, artifacts=delta.third)
    assert bring(again).code == 0

    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "other-state"))
    for number, make in enumerate((delta.first, delta.second, delta.third), start=1):
        whole = factory.build(
            tmp_path / f"whole-{number}", make, sequence=number, chunk_size=delta.CHUNK
        )
        assert bring(whole, to="elsewhere").code == 0
    assert layout_bytes(Path("warehouse")) == layout_bytes(Path("elsewhere"))


def test_the_second_of_a_chain_is_refused_where_only_the_first_was_imported(
    tmp_path: Path,
) -> None:
    one = delta.whole(tmp_path / "one")
    assert bring(one).code == 0
    assert bring(delta.since(tmp_path / "two", newest())).code == 0
    three = delta.since(tmp_path / "three", newest(), sequence=3, artifacts=delta.third)
    assert bring(one, "--allow-rollback", "a second warehouse", to="elsewhere").code == 0
    done = bring(three, to="elsewhere")
    assert (done.code, "prod-000003 builds on prod-000002" in done.err) == (4, True), done


def test_an_encrypted_delta_is_opened_and_its_base_found(tmp_path: Path) -> None:
    made = dray(
        "keygen", "--for", "encryption", "--name", "mine", "--no-passphrase", folder=tmp_path
    )
    assert made.code == 0, made
    recipients = chunkkeys.read_recipients((tmp_path / "mine.encrypt-to",))
    key = ("--decrypt-key", "mine.decrypt-key")
    assert bring(delta.whole(tmp_path / "one", recipients=recipients), *key).code == 0
    two = delta.since(tmp_path / "two", newest(), recipients=recipients)
    done = dray("verify", two.folder, "--trust", two.trust, *key, folder=tmp_path)
    assert (done.code, "left out, and were not checked" in done.out) == (0, True), done
    assert bring(two, *key).code == 0
    weights = Path("warehouse/models/nvidia/riva/1.1/sub/model.bin").read_bytes()
    assert weights == factory.noise("weights", 300_000)


def test_a_delta_with_parity_is_repaired_and_imported(tmp_path: Path) -> None:
    assert bring(delta.whole(tmp_path / "one")).code == 0
    two = delta.since(tmp_path / "two", newest(), parity="2", chunk_size=10_000)
    assert len(two.manifest.chunks) > 1
    good = two.chunk(2).read_bytes()
    two.chunk(2).unlink()
    assert bring(two).code == 4
    done = dray("repair", two.folder, "--trust", two.trust, folder=tmp_path)
    assert (done.code, two.chunk(2).read_bytes()) == (0, good), done
    assert bring(two).code == 0


@pytest.mark.server
def test_a_delta_serves_what_it_has_and_says_what_it_has_not(tmp_path: Path) -> None:
    assert bring(delta.whole(tmp_path / "one")).code == 0
    two = delta.since(tmp_path / "two", newest())
    with served(two) as server:
        url = f"{server.url}/v2/nvidia/cuda"
        found = requests.get(f"{url}/manifests/12.7", timeout=10)
        assert found.status_code == 200
        answers = {
            layer["digest"]: requests.get(f"{url}/blobs/{layer['digest']}", timeout=10)
            for layer in found.json()["layers"]
        }
        assert answers.pop(str(BASE)).status_code == 404
        assert "is left out of prod-000002, which builds on prod-000001" in server.fault()
        for digest, answer in answers.items():
            assert Digest.of(answer.content) == digest


def _forget(registry: Path, digest: Digest) -> None:
    """Be the garbage collector: no repository links the blob any more, and its bytes are gone."""
    found = [path for path in registry.rglob(digest.hex) if path.is_dir()]
    assert found, "the blob was there"
    for path in found:
        shutil.rmtree(path)


@pytest.mark.server
def test_a_harbor_mounts_the_base_and_a_base_that_it_has_collected_is_missed(
    tmp_path: Path, harbor_plain: HarborServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbor_plain.emulated.world.project("ngc")
    robot = harbor_plain.robot(["ngc"])
    login = {"auth": basic(robot.username, robot.password)}
    folder = Path(os.environ["DOCKER_CONFIG"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {harbor_plain.host: login}}))
    to = f"harbor://{harbor_plain.host}/ngc"
    only = ("--only", "image")
    one = delta.whole(tmp_path / "one")
    assert bring(one, *only, to=to).code == 0
    receipt = newest()
    two = delta.since(tmp_path / "two", receipt)
    done = bring(two, *only, "--json", to=to)
    assert done.code == 0, done
    told = json.loads(done.out)
    assert told["uploaded"] < 100_000
    assert told["shared"] == 400_000, "the base layer, mounted into the new repository"
    shown = f"{harbor_plain.url}/v2/ngc/nvidia/cuda/blobs/{BASE}"
    got = requests.get(shown, auth=(robot.username, robot.password), timeout=10)
    assert Digest.of(got.content) == BASE

    three = delta.since(tmp_path / "three", receipt, sequence=3, artifacts=_renamed)
    _forget(tmp_path / "harbor", BASE)
    done = bring(three, *only, to=to)
    assert done.code == 4, done
    assert f"for nvcr.io/nvidia/late:1 at {harbor_plain.host}/ngc, was in" in done.err


def _renamed(kept: Any) -> Any:
    layers = [factory.noise("base", 400_000), factory.noise("late", 3_000)]
    return (factory.image(kept, "nvcr.io/nvidia/late:1", layers),)


@pytest.mark.server
def test_a_base_that_goes_between_plan_and_mount_fails_and_is_missed_next_time(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importer.session import Session

    to = f"registry://{registry.host}/{registry.repository('gone')}"
    assert bring(delta.whole(tmp_path / "one"), "--only", "image", to=to).code == 0
    three = delta.since(tmp_path / "three", newest(), artifacts=_renamed)
    plan = Session.plan

    def and_collect(*arguments: Any, **named: Any) -> Any:
        made = plan(*arguments, **named)
        _forget(registry.folder, BASE)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Session, "plan", and_collect)
        done = bring(three, to=to)
    assert (done.code, "Traceback" in done.err) == (6, False), done
    where = to.removeprefix("registry://")
    tags = requests.get(
        f"{registry.url}/v2/{where.partition('/')[2]}/nvidia/late/tags/list", timeout=9
    )
    assert not tags.json().get("tags"), "no name without its bytes"
    done = bring(three, to=to)
    assert (done.code, "are not at the target" in done.err) == (4, True), done
    assert counted(1, "blob") in done.err
