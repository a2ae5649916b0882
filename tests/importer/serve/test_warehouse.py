"""What an import has put into a folder is served as a registry: by receipts, and by digest."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import requests
from click.testing import CliRunner

from bundle.cli import build
from bundle.digest import Digest
from bundle.errors import DrayError
from tests import factory
from tests.importer.serve.test_command import at, refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle


def dray(*arguments: object) -> tuple[DrayError | None, str]:
    done = CliRunner().invoke(build(), list(map(str, arguments)))
    if done.exception is None or isinstance(done.exception, DrayError):
        return done.exception, done.stdout
    raise done.exception


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bundle, Path]:
    """A bundle, and the folder into which a host with a state folder of its own imported it."""
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    bundle = factory.build(tmp_path / "usb")
    house = tmp_path / "warehouse"
    arguments = ("import", bundle.folder, "--trust", bundle.trust, "--to", house)
    assert dray(*arguments)[0] is None
    return bundle, house


def pulled(url: str, name: str, tag: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Pull a manifest by tag, and its blobs by digest."""
    answer = requests.get(f"{url}/v2/{name}/manifests/{tag}", timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Docker-Content-Digest"] == Digest.of(answer.content)
    document = answer.json()
    blobs = {}
    for row in [document["config"], *document["layers"]]:
        found = requests.get(f"{url}/v2/{name}/blobs/{row['digest']}", timeout=10)
        assert Digest.of(found.content) == row["digest"]
        blobs[row["digest"]] = found.content
    return document, blobs


def test_images_and_models_are_pulled_as_they_came(imported: tuple[Bundle, Path]) -> None:
    bundle, house = imported
    with at(house) as (process, url):
        names = requests.get(f"{url}/v2/_catalog", timeout=10).json()["repositories"]
        assert names == ["models/nvidia/riva", "nvidia/cuda", "nvidia/pytorch"]
        for name in ("nvidia/cuda", "nvcr.io/nvidia/cuda"):
            assert pulled(url, name, "12.6")
        document, blobs = pulled(url, "models/nvidia/riva", "1.0")
        model = next(one for one in bundle.manifest.artifacts if one.kind == "model")
        root = requests.head(f"{url}/v2/models/nvidia/riva/manifests/1.0", timeout=10)
        assert root.headers["Docker-Content-Digest"] == model.root
        assert {file.digest for file in model.files} < set(blobs)
        titles = {
            row["annotations"]["org.opencontainers.image.title"] for row in document["layers"]
        }
        assert titles == {file.path for file in model.files}
        big = max(model.files, key=lambda file: file.size)
        part = requests.get(
            f"{url}/v2/models/nvidia/riva/blobs/{big.digest}",
            headers={"Range": "bytes=10-19"},
            timeout=10,
        )
        assert (part.status_code, part.content) == (206, blobs[big.digest][10:20])
        process.terminate()
        assert process.communicate(timeout=20)[1] == ""


def layer_of(house: Path) -> Path:
    return max((house / "oci/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)


def test_what_rots_after_the_start_never_completes_and_is_named(
    imported: tuple[Bundle, Path],
) -> None:
    _bundle, house = imported
    with at(house) as (process, url):
        path = layer_of(house)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        repositories = ("nvidia/cuda", "nvidia/pytorch")
        answers = [
            requests.get(f"{url}/v2/{name}/blobs/sha256:{path.name}", timeout=10).status_code
            for name in repositories
        ]
        assert 500 in answers
        assert 200 not in answers
        path.unlink()
        answers = [
            requests.get(f"{url}/v2/{name}/blobs/sha256:{path.name}", timeout=10).status_code
            for name in repositories
        ]
        assert 503 in answers
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert f"{path} is not what was imported there" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("range_", [{}, {"Range": "bytes=0-199"}])
def test_what_becomes_shorter_after_it_was_served_is_named(
    imported: tuple[Bundle, Path], range_: dict[str, str]
) -> None:
    bundle, house = imported
    model = next(one for one in bundle.manifest.artifacts if one.kind == "model")
    file = max(model.files, key=lambda one: one.size)
    path = house / "models/nvidia/riva/1.0" / file.path
    with at(house) as (process, url):
        where = f"{url}/v2/models/nvidia/riva/blobs/{file.digest}"
        assert len(requests.get(where, timeout=10).content) == file.size
        with path.open("r+b") as open_file:
            open_file.truncate(100)
        assert requests.get(where, headers=range_, timeout=10).status_code == 500
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert f"{path} is not what was imported there" in err


def test_the_folder_s_own_index_vouches_for_nothing(imported: tuple[Bundle, Path]) -> None:
    _bundle, house = imported
    index = house / "oci/index.json"
    body = json.loads(index.read_text())
    (cuda,) = (one for one in body["manifests"] if "cuda" in json.dumps(one["annotations"]))
    (torch,) = (one for one in body["manifests"] if "torch" in json.dumps(one["annotations"]))
    cuda["digest"], cuda["size"] = torch["digest"], torch["size"]
    index.write_text(json.dumps(body))
    with at(house) as (process, url):
        gone = requests.get(f"{url}/v2/nvidia/cuda/manifests/12.6", timeout=10)
        assert gone.status_code == 404
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert "nvidia/cuda:12.6: no receipt names it" in err


def test_a_link_in_place_of_a_blob_is_not_followed(imported: tuple[Bundle, Path]) -> None:
    _bundle, house = imported
    path = layer_of(house)
    path.rename(house / "elsewhere")
    path.symlink_to(house / "elsewhere")
    with at(house) as (_process, url):
        for name in ("nvidia/cuda", "nvidia/pytorch"):
            answer = requests.get(f"{url}/v2/{name}/blobs/sha256:{path.name}", timeout=10)
            assert answer.status_code in {404, 500}


def test_a_model_without_its_marker_is_not_served(imported: tuple[Bundle, Path]) -> None:
    _bundle, house = imported
    (house / "models/nvidia/riva/1.0/.dray-complete.json").unlink()
    with at(house) as (_process, url):
        answer = requests.get(f"{url}/v2/models/nvidia/riva/manifests/1.0", timeout=10)
        assert answer.status_code == 404


def test_without_a_receipt_nothing_is_served(
    imported: tuple[Bundle, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bundle, house = imported
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "other"))
    done = refused(house)
    assert done.returncode == 5
    assert "there is no receipt" in done.stderr
    receipts = tmp_path / "other/receipts"
    (source,) = (tmp_path / "state").rglob("receipts")
    shutil.copytree(source, receipts)
    done = refused(house)
    assert done.returncode == 5
    assert "is not in the ledger of this host" in done.stderr


def test_a_receipt_that_was_brought_has_to_be_signed(
    imported: tuple[Bundle, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, house = imported
    (unsigned,) = (tmp_path / "state").rglob("*.receipt-0001.json")
    keys = tmp_path / "keys"
    assert dray("receipt", "keygen", keys, "--no-passphrase")[0] is None
    (private,), (public,) = (
        [one for one in keys.iterdir() if (one.suffix == ".pub") is wanted]
        for wanted in (False, True)
    )
    done = refused(house, "--by-receipt", unsigned, "--receipt-pub", public)
    assert done.returncode == 5
    assert "is not signed" in done.stderr
    done = refused(house, "--by-receipt", unsigned)
    assert done.returncode == 2
    copy = tmp_path / "signed.json"
    arguments = ("import", bundle.folder, "--trust", bundle.trust, "--to", house)
    assert dray(*arguments, "--receipt-key", private, "--receipt", copy)[0] is None
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "other"))
    moved = house.rename(tmp_path / "moved")
    with at(moved, "--by-receipt", copy, "--receipt-pub", public) as (_process, url):
        assert pulled(url, "nvidia/cuda", "12.6")


def test_two_folders_at_once_are_refused(imported: tuple[Bundle, Path]) -> None:
    bundle, house = imported
    done = refused(house, bundle.folder)
    assert done.returncode == 2
    assert "one folder at a time" in done.stderr
