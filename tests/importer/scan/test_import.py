"""An import that is scanned: what is found, or cannot be looked into, never becomes visible."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import schemas
from bundle.digest import Digest
from importer.ledger import entry as kinds
from importer.ledger.book import Ledger
from importer.receipts import shelf
from importer.scan.engine import test_file as eicar
from tests import delta, factory
from tests.importer.scan.test_clamd import tar
from tests.refusals.table import dray
from tests.servers.clamd import STREAM, WORD, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.lock import LockedArtifact
    from tests.factory import Bundle, Contents
    from tests.importer.scan.fake import Fake
    from tests.refusals.table import Answer
    from tests.servers.registry import Registry
    from tests.servers.s3 import ObjectStore

    Make = Callable[..., Bundle]
IMAGE, MODEL = "nvcr.io/nvidia/cuda:12.6", "nvidia/riva:1.0"


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clamd_server: Server) -> Path:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DRAY_CLAMD", str(clamd_server.socket))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a bundle of an image with a layer, and a model with a file."""

    def build(layer: bytes = b"", weights: bytes = b"weights" * 5000, number: int = 1) -> Bundle:
        layer = layer or gzip.compress(tar({"etc/os-release": b"debian", "bin/sh": b"sh" * 999}))

        def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
            model = factory.model(kept, "nvidia/riva", "1.0", {"a/model.bin": weights})
            return (factory.image(kept, IMAGE, [layer, b"shared"]), model)

        return factory.build(tmp_path / f"medium{number}", artifacts, sequence=number)

    return build


def bring(bundle: Bundle, *more: object, to: str = "warehouse") -> Answer:
    arguments = ("--trust", bundle.trust, "--to", to, bundle.folder, *more)
    return dray("import", *arguments, folder=Path.cwd())


def receipt() -> dict[str, Any]:
    envelope = json.loads(shelf.listed()[-1].read_bytes())
    body: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    schemas.validate("receipt", body)
    predicate: dict[str, Any] = body["predicate"]
    return predicate


def everything(bundle: Bundle) -> list[str]:
    return sorted(str(blob.digest) for blob in bundle.manifest.blobs)


def visible(folder: Path) -> list[str]:
    """Return what a user of a warehouse sees."""
    index = folder / "oci/index.json"
    document = json.loads(index.read_bytes()) if index.exists() else {"manifests": []}
    return [row["digest"] for row in document["manifests"]] + [
        str(path) for path in folder.glob("models/**/*")
    ]


def test_everything_is_scanned_on_its_way_and_the_receipt_says_by_whom(make: Make) -> None:
    bundle = make()
    done = bring(bundle)
    assert done.code == 0, done
    scan = receipt()["scan"]
    assert scan["clean"] == everything(bundle)
    assert scan["engine"].startswith("ClamAV ")
    assert (scan["saysLimits"], scan["saysEncrypted"]) == (True, True)
    assert scan["found"] == scan["unscanned"] == scan["earlier"] == []
    # Manifests, configs and layers: the layer as its two files.
    assert scan["files"] == len(bundle.manifest.blobs) + 1
    assert "blobs clean" in done.out


def evil_layer() -> bytes:
    return gzip.compress(tar({"bin/sh": b"sh", "opt/virus.com": eicar()}))


def check_refused(done: Answer, *words: str) -> None:
    assert done.code == 7, done
    assert all(word in done.err for word in words), done.err
    assert "nothing of this bundle was published" in done.out


def test_a_finding_in_a_layer_is_named_and_nothing_is_published(make: Make) -> None:
    layer = evil_layer()
    bundle, digest = make(layer), Digest.of(layer)
    done = bring(bundle)
    check_refused(done, "Dray.Test.Eicar", "opt/virus.com", "layer", digest.short, IMAGE)
    assert not visible(Path("warehouse"))
    assert not list(Path("warehouse").rglob(digest.hex)), "the blob itself must not be there"
    told = receipt()
    assert [(row["blob"], row["file"]) for row in told["scan"]["found"]] == [
        (str(digest), "opt/virus.com")
    ]
    assert {row["result"] for row in told["artifacts"]} == {"failed", "withheld"}
    assert not told["complete"]


def test_a_finding_in_a_model_keeps_the_image_out_as_well(make: Make) -> None:
    done = bring(make(weights=b"weights " * 30_000 + WORD))
    check_refused(done, "Dray.Test.Word", "a/model.bin", "riva")
    assert not visible(Path("warehouse"))
    assert not list(Path("warehouse").rglob("*.partial")), "what was found must not stay"
    assert WORD not in b"".join(p.read_bytes() for p in Path("warehouse").rglob("*") if p.is_file())


def test_nothing_that_was_found_gets_into_a_registry(make: Make, registry: Registry) -> None:
    import requests

    prefix = registry.repository("in").rpartition("/")[0]
    done = bring(make(evil_layer()), "--only", "image", to=f"registry://{registry.host}/{prefix}")
    check_refused(done, "opt/virus.com")
    base = f"{registry.url}/v2/{prefix}/nvidia/cuda"
    assert requests.get(f"{base}/tags/list", timeout=5).status_code == 404
    blob = f"{base}/blobs/{Digest.of(evil_layer())}"
    assert requests.head(blob, timeout=5).status_code == 404


def test_nothing_that_was_found_gets_into_a_bucket(
    make: Make, s3_rclone: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in s3_rclone.environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_rclone.endpoint)
    bucket = s3_rclone.bucket()
    done = bring(make(weights=WORD * 9), "--only", "model", to=f"s3://{bucket}/models")
    check_refused(done, "a/model.bin")
    client = s3_rclone.client()
    keys = [row["Key"] for row in client.list_objects_v2(Bucket=bucket).get("Contents", ())]
    client.close()
    assert not [key for key in keys if "ledger" not in key]


def test_what_is_beyond_a_limit_needs_a_reason_that_goes_on_record(make: Make) -> None:
    bundle = make(weights=b"\0" * (STREAM + 1))
    done = bring(bundle)
    check_refused(done, "did not look into", "a/model.bin", "StreamMaxLength")
    assert not visible(Path("warehouse"))
    done = bring(bundle, "--allow-unscanned", "weights are numbers")
    assert done.code == 0, done
    assert "NOT SCANNED" in done.out
    told = receipt()
    assert told["policy"]["overrides"] == [{"rule": "unscanned", "reason": "weights are numbers"}]
    (row,) = told["scan"]["unscanned"]
    assert row["blob"] == str(Digest.of(b"\0" * (STREAM + 1)))
    assert row["blob"] not in told["scan"]["clean"]
    rows = [one.body for one in Ledger.open().chain.entries if one.kind == kinds.OVERRIDE]
    assert [row["reason"] for row in rows] == ["weights are numbers"]


def test_a_reason_that_nobody_needed_is_not_on_record(make: Make) -> None:
    assert bring(make(), "--allow-unscanned", "whatever").code == 0
    assert receipt()["policy"]["overrides"] == []
    assert "allowed" not in receipt()["scan"]


def test_a_reason_lets_no_malware_in(make: Make) -> None:
    check_refused(bring(make(evil_layer()), "--allow-unscanned", "whatever"), "Dray.Test.Eicar")


def test_what_an_earlier_import_has_scanned_is_named_by_its_receipt(make: Make) -> None:
    bundle = make()
    assert bring(bundle).code == 0
    first = str(Digest.of(shelf.listed()[-1].read_bytes()))
    done = bring(bundle)
    assert done.code == 0, done
    scan = receipt()["scan"]
    assert (scan["clean"], scan["files"]) == ([], 0)
    assert scan["earlier"] == [{"receipt": first, "clean": everything(bundle)}]
    assert "scanned by earlier imports: 7 blobs, and not again" in done.out
    assert bring(bundle, "--scan-again").code == 0
    assert receipt()["scan"]["clean"] == everything(bundle)


def test_what_was_there_unscanned_is_read_from_the_medium_and_scanned(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make(evil_layer())
    with monkeypatch.context() as without:
        without.delenv("DRAY_CLAMD")
        assert bring(bundle).code == 0
        assert "scan" not in receipt()
    check_refused(bring(bundle), "opt/virus.com")


def test_a_receipt_that_the_ledger_does_not_name_vouches_for_nothing(make: Make) -> None:
    bundle = make()
    assert bring(bundle).code == 0
    path = shelf.listed()[-1]
    envelope = json.loads(path.read_bytes())
    body = json.loads(base64.b64decode(envelope["payload"]))
    body["predicate"]["scan"]["engine"] = "nobody"
    envelope["payload"] = base64.b64encode(json.dumps(body).encode()).decode()
    path.write_text(json.dumps(envelope))
    assert bring(bundle).code == 0
    assert receipt()["scan"]["earlier"] == []


@pytest.fixture
def fake(faked: tuple[Server, Fake], monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("DRAY_CLAMD", str(faked[0].socket))
    return faked[1]


def test_a_scan_that_broke_off_once_is_made_again(make: Make, fake: Fake) -> None:
    broken: list[int] = []

    def spoil(number: int, data: bytes) -> bytes | None:
        if b"weights" in data and not broken:
            broken.append(number)
            return b""
        return None

    fake.spoil = spoil
    bundle = make()
    assert bring(bundle).code == 0
    assert broken
    assert receipt()["scan"]["clean"] == everything(bundle)


def test_a_clamd_that_dies_in_the_middle_ends_the_import_and_it_can_go_on(
    make: Make, fake: Fake
) -> None:
    fake.spoil = lambda number, _data: b"" if number > 4 else None
    bundle = make()
    done = bring(bundle)
    assert (done.code, "without a verdict" in done.err) == (6, True), done
    assert "run the same command again" in done.err
    assert not visible(Path("warehouse"))
    fake.spoil = lambda _number, _data: None
    assert bring(bundle).code == 0
    assert visible(Path("warehouse"))


def test_no_clamd_is_found_out_before_anything_is_sent(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = make()
    for more in ((), ("--plan",)):
        done = bring(bundle, "--clamd", tmp_path / "nowhere", *more)
        assert (done.code, "no such file" in done.err) == (6, True), done
    assert not Path("warehouse").exists()
    for text in ("nowhere", "host:0", "host:70000", "a b", "tcp://", "unix:", "http://x/y"):
        code = bring(bundle, "--clamd", text).code
        assert code == (6 if text == "nowhere" else 2), text


def test_verify_scans_where_it_lies(make: Make) -> None:
    def verify(bundle: Bundle, *more: object) -> Answer:
        return dray("verify", "--trust", bundle.trust, bundle.folder, *more, folder=Path.cwd())

    done = verify(make())
    assert (done.code, "scanned: 7 blobs clean" in done.out) == (0, True), done
    bundle = make(evil_layer(), number=2)
    done = verify(bundle)
    assert (done.code, "FOUND Dray.Test.Eicar.UNOFFICIAL in opt/virus.com" in done.out) == (7, True)
    assert json.loads(verify(bundle, "--json").out)["scan"]["found"]
    chunk = bundle.chunk(1)
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    assert verify(bundle).code == 3
    assert verify(bundle, "--quick").code == 2


def test_what_a_delta_leaves_out_is_vouched_for_by_the_import_that_brought_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = delta.whole(tmp_path / "base")
    with monkeypatch.context() as without:
        without.delenv("DRAY_CLAMD")
        assert bring(base, to="unscanned").code == 0
    update = delta.since(tmp_path / "update", shelf.listed()[-1])
    done = bring(update, to="unscanned")
    check_refused(done, "clamd did not look into", "not in this bundle")
    assert bring(base, "--allow-rollback", "again", to="scanned").code == 0
    assert bring(update, to="scanned").code == 0
    scan = receipt()["scan"]
    assert scan["unscanned"] == []
    # Scanned by the import that brought it; or now, where it was copied within the target.
    vouched = {*scan["clean"], *(digest for row in scan["earlier"] for digest in row["clean"])}
    assert vouched == {str(blob.digest) for blob in update.manifest.blobs}
