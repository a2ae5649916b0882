"""A model repository for Triton: what becomes one, and what is refused before a server sees it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundle.errors import TargetError, UsageError
from importer import destinations
from importer.targets import triton
from importer.targets.bucket import Store
from importer.targets.naming import TRITON, Naming, Rule
from importer.targets.s3 import S3
from importer.targets.triton import Unloadable, arrange, check_config, number
from tests.importer.targets.samples import Shelf, fill
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bundle.artifact import Artifact
    from tests.servers.s3 import ObjectStore

CONFIG = b'name: "asr"\nplatform: "onnxruntime_onnx"\ninput [{ name: "other" dims: [ 1 ] }]\n'


def places(name: str, version: str, paths: Iterable[str]) -> list[str]:
    return sorted(arrange(name, version, paths).places.values())


def test_a_model_that_has_its_numbered_folders_keeps_them() -> None:
    found = arrange("asr", "v9", ["config.pbtxt", "1/model.plan", "3/model.plan", "labels.txt"])
    assert found.places["3/model.plan"] == "asr/3/model.plan"
    assert found.places["labels.txt"] == "asr/labels.txt"
    assert (found.owned, found.mark) == (("asr",), "asr")
    assert found.configs == {"config.pbtxt": "asr"}


def test_files_without_folders_get_the_number_of_their_version() -> None:
    found = arrange("asr", "deployable_v2.1", ["model.onnx", "model.onnx.data"])
    assert sorted(found.places.values()) == ["asr/2/model.onnx", "asr/2/model.onnx.data"]
    assert (found.owned, found.mark) == (("asr/2",), "asr/2")
    found = arrange("asr", "4", ["config.pbtxt", "model.pt", "asr_labels.txt"])
    assert sorted(found.places.values()) == [
        "asr/4/model.pt",
        "asr/asr_labels.txt",
        "asr/config.pbtxt",
    ]
    assert found.owned == ("asr",), "a configuration is shared by all numbers"


def test_a_whole_repository_keeps_its_models_and_the_rest_goes_aside() -> None:
    paths = ["README.md", "asr/config.pbtxt", "asr/1/.keep", "dec/1/model.onnx", "docs/a/b.txt"]
    found = arrange("ignored", "1.0", paths)
    assert found.models == ("asr", "dec")
    assert found.places["README.md"] == "asr/.files/README.md"
    assert found.places["docs/a/b.txt"] == "asr/.files/docs/a/b.txt"
    assert found.places["dec/1/model.onnx"] == "dec/1/model.onnx"
    assert found.configs == {"asr/config.pbtxt": "asr"}


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["model.py"], "has no config.pbtxt, and 1/ no"),
        (["1/model.pt"], "has no config.pbtxt, and 1/ no"),
        (["1/model.onnx", "2/model.pt"], "and 2/ no model.onnx"),
        (["config.pbtxt"], "no numbered folder with the model"),
        (["config.pbtxt", "01/model.onnx"], "no numbered folder with the model"),
        (["weights.bin", "docs/README.md"], "neither a numbered folder"),
        (["asr/config.pbtxt", "asr/weights.bin"], "asr has no numbered folder"),
        (["asr/config.pbtxt", "asr/0/model.onnx"], "asr has no numbered folder"),
        (["a b/1/model.onnx"], "can be called 'a b'"),
    ],
)
def test_what_triton_would_not_load_is_refused(paths: list[str], words: str) -> None:
    with pytest.raises(Unloadable, match=words):
        arrange("m", "1", paths)


def test_a_name_that_no_folder_can_have_wants_a_rule() -> None:
    with pytest.raises(Unloadable) as error:
        arrange("a/b", "1", ["model.onnx"])
    assert "map: rule" in error.value.hint


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("1", 1),
        ("3", 3),
        ("1.0", 1),
        ("deployable_v2.0.0", 2),
        ("25.03", 25),
        ("0.9", 1),
        ("trainable", 1),
        ("v12", 12),
        ("1.0-rc", 1),
        ("007", 7),
    ],
)
def test_a_version_of_ngc_has_a_number(version: str, found: int) -> None:
    assert number(version) == found


_PATHS = some.lists(
    some.lists(
        some.sampled_from(["1", "2", "0", "asr", "model.onnx", "config.pbtxt", "a b", "x.txt"]),
        min_size=1,
        max_size=4,
    ).map("/".join),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(_PATHS, some.sampled_from(["1", "2.0", "x"]))
def test_every_file_has_a_place_of_its_own_inside_of_a_model(
    paths: list[str], version: str
) -> None:
    try:
        found = arrange("m", version, paths)
    except Unloadable as refused:
        assert refused.message
        return
    assert sorted(found.places) == sorted(paths)
    assert len(set(found.places.values())) == len(paths)
    assert {place.split("/")[0] for place in found.places.values()} <= set(found.models)
    for place in found.places.values():
        assert any(place.startswith(f"{one}/") for one in found.owned)


# -- configurations -------------------------------------------------------------------------------

GOOD = [
    b"",
    b'platform: "ensemble"',
    b'name: "asr"',
    b"name : 'asr' # a comment { \nbackend:\"x\"",
    CONFIG,
    b'input { name: "other" } output < name: "third" >',
    b'parameters: { key: "name" value: { string_value: "} name: \\"x\\"" } } name: "asr";',
]
BAD = [
    (b'name: "tts"', "calls the model 'tts', and its folder is 'asr'"),
    (b'name: "asr" name: "asr"', "more than once"),
    (b'input { name: "x"', "is missing"),
    (b"}", "closes nothing"),
    (b'name: "asr', "line 1"),
    (b'\n\nname: "as\nr"', "line 3"),
    (b"\xff", "is not UTF-8"),
    (b"x" * (triton.LIMIT + 1), "is longer than"),
]


@pytest.mark.parametrize("data", GOOD)
def test_a_configuration_that_fits_is_taken(data: bytes) -> None:
    check_config(data, "asr")


@pytest.mark.parametrize(("data", "words"), BAD)
def test_a_configuration_that_does_not_fit_is_told(data: bytes, words: str) -> None:
    with pytest.raises(Unloadable, match=words):
        check_config(data, "asr")


@given(some.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_are_refused(data: bytes) -> None:
    try:
        check_config(data, "asr")
    except Unloadable as refused:
        assert refused.message


_PROTOBUF = """
import importlib.util, json, sys
from google.protobuf import text_format
spec = importlib.util.find_spec("tritonclient")
path = spec.submodule_search_locations[0] + "/grpc/model_config_pb2.py"
found = importlib.util.spec_from_file_location("model_config_pb2", path)
module = importlib.util.module_from_spec(found)
found.loader.exec_module(module)
names = []
for text in json.load(sys.stdin):
    try:
        names.append(text_format.Parse(text, module.ModelConfig()).name)
    except text_format.ParseError:
        names.append(None)
json.dump(names, sys.stdout)
"""


@pytest.mark.server
def test_tritons_own_schema_reads_the_same_name() -> None:
    python = programs.require("triton-config")
    texts = [data.decode() for data in GOOD[:-1]]
    texts += ['name: "tts"', 'input { name: "x"', "}", 'name: "asr']
    said = subprocess.run(
        [python, "-c", _PROTOBUF],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    for text, name in zip(texts, json.loads(said.stdout), strict=True):
        if name is None:
            with pytest.raises(Unloadable):
                check_config(text.encode(), "asr")
        elif name in {"", "asr"}:
            check_config(text.encode(), "asr")
        else:
            check_config(text.encode(), name)


# -- in a bucket ----------------------------------------------------------------------------------


def naming(*rules: Rule) -> Naming:
    return Naming("serve/repo", rules, layout=TRITON)


@pytest.fixture
def store(s3_rclone_tls: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in s3_rclone_tls.environment().items():
        monkeypatch.setenv(name, value)
    bucket = s3_rclone_tls.bucket()
    return Store(bucket, endpoint=s3_rclone_tls.endpoint, ca_file=str(s3_rclone_tls.ca))


def load(store: Store, state: Path, artifact: Artifact, shelf: Shelf) -> bool:
    target = S3(store, state, naming=naming())
    try:
        fill(target, artifact, shelf)
        return target.publish(artifact, shelf.blob)
    finally:
        target.close()


def keys(server: ObjectStore, store: Store) -> list[str]:
    client: Any = server.client()
    listed = client.list_objects_v2(Bucket=store.bucket).get("Contents", ())
    client.close()
    return sorted(entry["Key"] for entry in listed)


def test_a_bucket_gets_a_repository_with_nothing_but_models_at_its_top(
    s3_rclone_tls: ObjectStore, store: Store, tmp_path: Path
) -> None:
    shelf = Shelf()
    files = {"config.pbtxt": CONFIG, "1/model.onnx": b"1", "labels.txt": b"a"}
    first = shelf.model("nvidia/riva/asr", "v1", files)
    assert load(store, tmp_path, first, shelf)
    assert not load(store, tmp_path, first, shelf)
    found = keys(s3_rclone_tls, store)
    assert found == [
        "serve/repo/asr.sha256sums",
        "serve/repo/asr/.dray-complete.json",
        "serve/repo/asr/1/model.onnx",
        "serve/repo/asr/config.pbtxt",
        "serve/repo/asr/labels.txt",
    ]
    second = shelf.model("nvidia/riva/asr", "v2", {"config.pbtxt": CONFIG, "model.onnx": b"2"})
    assert load(store, tmp_path, second, shelf)
    assert keys(s3_rclone_tls, store) == [
        "serve/repo/asr.sha256sums",
        "serve/repo/asr/.dray-complete.json",
        "serve/repo/asr/2/model.onnx",
        "serve/repo/asr/config.pbtxt",
    ]


def test_the_ledgers_copy_lies_beside_the_repository(store: Store, tmp_path: Path) -> None:
    target = S3(store, tmp_path, naming=naming())
    assert target.shelf().label == f"s3://{store.bucket}/serve/.dray/ledger"
    target.close()


def test_a_model_that_is_called_otherwise_inside_shows_nothing(
    s3_rclone_tls: ObjectStore, store: Store, tmp_path: Path
) -> None:
    shelf = Shelf()
    odd = shelf.model("nvidia/riva/tts", "1", {"config.pbtxt": CONFIG, "model.onnx": b"2"})
    with pytest.raises(TargetError, match=r"Triton would not load config\.pbtxt") as error:
        load(store, tmp_path, odd, shelf)
    assert "to: asr" in error.value.hint
    assert keys(s3_rclone_tls, store) == []
    given = naming(Rule("ngc/nvidia/riva/tts", "asr"))
    assert given.key(odd, "model.onnx") == "serve/repo/asr/1/model.onnx"


def test_what_makes_no_repository_is_refused_when_it_is_planned() -> None:
    artifact = Shelf().model("nvidia/riva/asr", "1", {"weights.riva": b"1"})
    with pytest.raises(UsageError, match="cannot be in a repository of Triton"):
        naming().folder(artifact)


def test_two_models_of_one_name_are_refused() -> None:
    shelf, made = Shelf(), []
    for team, data in (("one", b"1"), ("two", b"2")):
        made.append(shelf.model(f"nvidia/{team}/asr", "1", {"1/model.onnx": data}))
    target = S3(Store("bucket"), None, naming=naming())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="would both be at s3://bucket/serve/repo/asr"):
        destinations.route(made, [target])
    other = [shelf.model("nvidia/asr", version, {"model.onnx": b"1"}) for version in ("1", "2")]
    assert destinations.route(other, [target])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{to: 's3://bucket', layout: triton}", "names no prefix"),
        ("{to: ./x, layout: triton}", "layout: is 'triton'"),
        ("{to: 's3://bucket/x', layout: triton, kinds: [file]}", "triton targets take no file"),
    ],
)
def test_a_target_that_could_be_no_repository_is_refused(
    tmp_path: Path, entry: str, words: str
) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(f"apiVersion: dray/v1\ntargets: [{entry}]\n")
    with pytest.raises(UsageError, match=words):
        destinations.read([str(file)])
