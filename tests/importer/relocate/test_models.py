"""Models in buckets and folders: every address is asked for, every resource obeys its schema."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
import yaml
from botocore.config import Config

from tests.importer.relocate.test_schemas import check
from tests.servers import gomodules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.importer.relocate.site import High
    from tests.servers.ca import Authority
    from tests.servers.s3 import ObjectStore

RIVA = "ngc/nvidia/riva/asr:1.0"
LLAMA = "ngc/nim/meta/llama:hf-1"
FLAT = "ngc/nvidia/one:2"
NIM = "nvcr.io/nim/meta/llama:1.8"
MODELS: dict[str, dict[str, bytes]] = {
    RIVA: {
        "asr/config.pbtxt": b"",
        "asr/1/model.onnx": b"weights",
        "asr-online/1/model.plan": b"p",
    },
    LLAMA: {"config.json": b"{}", "model-00001.safetensors": b"weights"},
    FLAT: {"config.pbtxt": b"", "1/model.onnx": b"weights"},
}
KSERVE = "github.com/kserve/kserve@v0.15.0"


class Shop:
    """A high side with a bucket, reached over TLS with a CA of its own."""

    def __init__(self, high: High, store: ObjectStore, authority: Authority, layout: str) -> None:
        self.high, self.store, self.ca = high, store, authority.ca
        self.bucket = store.bucket()
        self.file = high.folder / "models.yaml"
        keys = {"endpoint": store.endpoint, "ca": str(authority.ca)}
        keys |= {"layout": layout} if layout else {}
        target = {"to": f"s3://{self.bucket}", "region": "eu-1", **keys}
        self.file.write_text(yaml.safe_dump({"apiVersion": "dray/v1", "targets": [target]}))

    def load(self, *models: str) -> None:
        self.high.load([NIM], models={name: MODELS[name] for name in models}, to=[self.file])

    def relocate(self, *more: object, code: int = 0) -> str:
        done = self.high.relocate("--to", self.file, *more)
        assert done.code == code, done
        return done.text

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a client of the store that is not dray's."""
        made = boto3.client(
            "s3",
            endpoint_url=self.store.endpoint,
            aws_access_key_id=self.store.access_key,
            aws_secret_access_key=self.store.secret_key,
            region_name="us-east-1",
            verify=str(self.ca),
            config=Config(s3={"addressing_style": "path"}),
        )
        yield made
        made.close()

    def keys(self, uri: str) -> list[str]:
        """Return the objects below an address, as KServe's storage initializer lists them."""
        parts = urlsplit(uri)
        prefix = parts.path.lstrip("/")
        with self.client() as client:
            found = client.list_objects_v2(Bucket=parts.netloc, Prefix=prefix)
        return [row["Key"].removeprefix(prefix) for row in found["Contents"]]

    def remove(self, key: str) -> None:
        """Remove an object behind dray's back."""
        with self.client() as client:
            client.delete_object(Bucket=self.bucket, Key=key)


@pytest.fixture
def shop(
    high: High,
    s3_rclone_tls: ObjectStore,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Shop:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_rclone_tls.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_rclone_tls.secret_key)
    return Shop(high, s3_rclone_tls, authority, getattr(request, "param", ""))


def test_kserve_has_an_address_an_account_and_no_key(shop: Shop) -> None:
    shop.load(RIVA, LLAMA, FLAT)
    said = shop.relocate()
    authority, secret, account = shop.high.documents("kserve/dray-s3.yaml")
    notes = {
        key.removeprefix("serving.kserve.io/s3-"): value
        for key, value in secret["metadata"]["annotations"].items()
    }
    assert notes == {
        "region": "eu-1",
        "endpoint": urlsplit(shop.store.endpoint).netloc,
        "usehttps": "1",
        "verifyssl": "1",
        "usevirtualbucket": "false",
        "cabundle-configmap": "dray-s3-ca",
    }
    assert authority["metadata"]["name"] == "dray-s3-ca"
    assert authority["data"] == {"cabundle.crt": shop.ca.read_text()}
    assert not {"data", "stringData"} & set(secret)
    assert account["secrets"] == [{"name": "dray-s3"}]
    everything = b"".join(shop.high.files().values())
    assert shop.store.secret_key.encode() not in everything
    for name, file, kind in ((RIVA, "asr-1-0", "triton"), (LLAMA, "llama-hf-1", "huggingface")):
        (service,) = shop.high.documents(f"kserve/{file}.yaml")
        model = service["spec"]["predictor"]["model"]
        assert model["modelFormat"] == {"name": kind}
        assert service["spec"]["predictor"]["serviceAccountName"] == "dray-s3"
        assert set(MODELS[name]) <= set(shop.keys(model["storageUri"]))
    assert f"kserve: {FLAT} has no layout that tells its runtime" in said


def test_an_address_reaches_one_version_alone(shop: Shop) -> None:
    """KServe fetches whatever begins with the path: 1.0 must not bring 1.0.1 along."""
    other = "ngc/nvidia/riva/asr:1.0.1"
    files = {"asr/config.pbtxt": b"", "asr/1/other.onnx": b"x"}
    shop.high.load(models={RIVA: MODELS[RIVA], other: files}, to=[shop.file])
    shop.relocate()
    (service,) = shop.high.documents("kserve/asr-1-0.yaml")
    found = shop.keys(service["spec"]["predictor"]["model"]["storageUri"])
    assert set(found) - {".dray-complete.json"} == set(MODELS[RIVA])


def test_the_inference_service_obeys_its_schema(shop: Shop) -> None:
    folder = gomodules.require(KSERVE)
    shop.load(RIVA)
    shop.relocate()
    (service,) = shop.high.documents("kserve/asr-1-0.yaml")
    crd = folder / "config/crd/full/serving.kserve.io_inferenceservices.yaml"
    check(yaml.load(crd.read_text(), yaml.CSafeLoader), service)


def test_triton_gets_the_url_of_each_model_repository(shop: Shop) -> None:
    shop.load(RIVA, FLAT)
    said = shop.relocate("--for", "triton")
    text = shop.high.files()["triton/asr-1-0.args"].decode()
    host = urlsplit(shop.store.endpoint).netloc
    address = f"s3://https://{host}/{shop.bucket}/models/nvidia/riva/asr/1.0"
    assert text == f"--model-repository={address}\n"
    assert shop.high.files()["triton/asr-1-0.env"] == b"AWS_DEFAULT_REGION=eu-1\n"
    assert "`asr`, `asr-online`" in shop.high.files()["README.md"].decode()
    assert f"triton: {FLAT} is one model without the folder that has its name" in said


@pytest.mark.parametrize("shop", ["nim"], indirect=True)
def test_a_nims_mirror_is_named_by_its_bucket(shop: Shop) -> None:
    shop.load(LLAMA)
    shop.relocate()
    found = shop.high.files()
    (file,) = [path for path in found if path.startswith("nim/")]
    assert found[file].decode().splitlines() == [
        f"NIM_REPOSITORY_OVERRIDE=s3://{shop.bucket}/",
        "AWS_REGION=eu-1",
        f"AWS_ENDPOINT_URL={shop.store.endpoint}",
    ]
    keys = {unquote(key) for key in shop.keys(f"s3://{shop.bucket}/nim%2F")}
    assert keys == {f"meta/llama:hf-1?file={path}" for path in MODELS[LLAMA]}
    assert not [path for path in found if path.startswith(("kserve/", "triton/"))]
    assert f"`{shop.high.target}/nim/meta/llama:1.8`" in found["README.md"].decode()


@pytest.mark.parametrize("shop", ["nim"], indirect=True)
def test_what_left_a_mirror_is_refused(shop: Shop) -> None:
    shop.load(LLAMA)
    shop.remove("nim%2Fmeta%2Fllama%3Ahf-1%3Ffile%3Dconfig.json")
    said = shop.relocate(code=6)
    assert "%3Ffile%3Dconfig.json is not there" in said


def test_what_left_a_bucket_is_refused(shop: Shop) -> None:
    shop.load(RIVA)
    shop.remove("models/nvidia/riva/asr/1.0/asr/1/model.onnx")
    said = shop.relocate(code=6)
    assert "models/nvidia/riva/asr/1.0/asr/1/model.onnx is not there" in said
    assert not (shop.high.folder / "out").exists()


def folder_file(high: High, layout: str) -> Path:
    file = high.folder / "folder.yaml"
    row: dict[str, Any] = {"to": "./cache", **({"layout": layout} if layout else {})}
    file.write_text(yaml.safe_dump({"apiVersion": "dray/v1", "targets": [row]}))
    return file


def test_a_nims_cache_is_the_folder_at_its_path(high: High) -> None:
    high.load([NIM], models={LLAMA: MODELS[LLAMA]}, to=[folder_file(high, "nim-cache")])
    assert high.relocate().code == 0
    found = high.files()
    (file,) = [path for path in found if path.startswith("nim/")]
    assert found[file] == b"NIM_CACHE_PATH=/opt/nim/.cache\n"
    cache = high.folder / "cache"
    assert f"-v `{cache}:/opt/nim/.cache`" in found["README.md"].decode()


def test_a_plain_folder_is_a_nims_model_path(high: High) -> None:
    high.load([NIM], models={LLAMA: MODELS[LLAMA], RIVA: MODELS[RIVA]}, to=[folder_file(high, "")])
    assert high.relocate().code == 0
    found = high.files()
    path = high.folder / "cache/models/nim/meta/llama/hf-1"
    assert found["nim/model-llama-hf-1.env"].decode() == f"NIM_MODEL_PATH={path}\n"
    assert (path / "config.json").is_file()
    repository = high.folder / "cache/models/nvidia/riva/asr/1.0"
    assert found["triton/asr-1-0.args"].decode() == f"--model-repository={repository}\n"
    assert not [name for name in found if name.startswith("kserve/")]
    assert "nim/model-asr-1-0.env" not in found, "no NIM serves a model of Triton"


def test_a_folder_that_is_not_complete_is_refused(high: High) -> None:
    high.load([NIM], models={RIVA: MODELS[RIVA]}, to=[folder_file(high, "")])
    (high.folder / "cache/models/nvidia/riva/asr/1.0/.dray-complete.json").unlink()
    done = high.relocate()
    assert (done.code, "has no .dray-complete.json" in done.err) == (6, True), done
    (high.folder / "cache").rename(high.folder / "elsewhere")
    done = high.relocate()
    assert (done.code, "is not on this host, or was named from another" in done.err) == (6, True)


def test_models_of_one_name_are_two_files(shop: Shop) -> None:
    other = "ngc/other/asr:1.0"
    shop.high.load(models={RIVA: MODELS[RIVA], other: MODELS[RIVA]}, to=[shop.file])
    shop.relocate("--for", "kserve,triton")
    found = shop.high.files()
    assert len([path for path in found if path.endswith(".args")]) == 2
    assert len([path for path in found if path.startswith("kserve/")]) == 3


@pytest.mark.parametrize("shop", ["triton"], indirect=True)
def test_a_bucket_that_is_a_model_repository_is_one_for_triton(shop: Shop) -> None:
    row = yaml.safe_load(shop.file.read_text())
    row["targets"][0]["to"] += "/repository"
    row["targets"][0]["map"] = [{"from": "ngc/nvidia/one", "to": "one"}]
    shop.file.write_text(yaml.safe_dump(row))
    shop.load(RIVA, FLAT)
    said = shop.relocate()
    host = urlsplit(shop.store.endpoint).netloc
    address = f"--model-repository=s3://https://{host}/{shop.bucket}/repository\n"
    found = shop.high.files()
    assert {found[path].decode() for path in found if path.endswith(".args")} == {address}
    assert "`one`" in found["README.md"].decode()
    assert "`asr`, `asr-online`" in found["README.md"].decode()
    assert "KServe wants its own" in said
    shop.remove("repository/one/1/model.onnx")
    assert "1/model.onnx is not there" in shop.relocate(code=6)
