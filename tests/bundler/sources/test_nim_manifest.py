"""Model manifests of NIMs: both schemas, the older list, and what is refused."""

from __future__ import annotations

import pytest

from bundler.sources import nim_manifest
from bundler.sources.nim_manifest import Profile, Weight
from fixtures.ngc.nims import ANY_GPU, BUILT_THERE, ENGINE, FOREIGN, ON_L40S, SCHEMA_1, SCHEMA_2

MOLMIM = b"""\
model_profile: MolMIM
manifest:
  - id: MolMIM
    model: MolMIM
    tags: {backend: pytorch}
    workspace:
      components:
      - dst: 'models/'
        src:
          repo_id: nim/nvidia/molmim:1.3
"""


def test_both_schemas_say_the_same() -> None:
    first = {found.id: found for found in nim_manifest.parse(SCHEMA_1.encode())}
    second = {found.id: found for found in nim_manifest.parse(SCHEMA_2.encode())}
    for name in (ON_L40S, ANY_GPU):
        assert sorted(first[name].weights) == sorted(second[name].weights)
        assert first[name].tags["llm_engine"] == second[name].tags["llm_engine"]
    config = Weight("nim", "meta", "llama3-8b-instruct", ENGINE, "config.json")
    assert config in second[ON_L40S].weights
    assert second[FOREIGN].foreign == ("hf://meta/llama:main?file=config.json",)


def test_the_older_list_names_whole_models() -> None:
    (found,) = nim_manifest.parse(MOLMIM)
    assert found.weights == (Weight("nim", "nvidia", "molmim", "1.3", ""),)


@pytest.mark.parametrize(
    ("tags", "anywhere"),
    [
        ({"llm_engine": "vllm", "tp": "2"}, True),
        ({"backend": "onnx", "precision": "fp16"}, True),
        ({"llm_engine": "vllm", "gpu": "H100"}, False),
        ({"backend": "tensorrt", "product_name_regex": "^NVIDIA-A10"}, False),
        ({"llm_engine": "tensorrt_llm"}, False),
        ({"llm_engine": "tensorrt_llm", "trtllm_buildable": "true"}, True),
        ({"llm_engine": "tensorrt_llm", "trtllm_buildable": "true", "gpu_device": "26b9:10de"}, 0),
    ],
)
def test_a_profile_runs_anywhere_unless_it_is_tied_to_a_gpu(
    tags: dict[str, str], anywhere: bool
) -> None:
    assert Profile("x", tags, ()).runs_anywhere == anywhere


def test_a_choice_keeps_the_order_of_the_manifest_and_each_once() -> None:
    profiles = nim_manifest.parse(SCHEMA_2.encode())
    chosen = nim_manifest.select(profiles, [BUILT_THERE, "auto", (("precision", "BF16"),)])
    assert [profile.id for profile in chosen] == [ON_L40S, ANY_GPU, BUILT_THERE]


def test_auto_with_nothing_that_runs_anywhere_is_told() -> None:
    with pytest.raises(ValueError, match="no profile runs on any GPU"):
        nim_manifest.select([Profile("x", {"gpu": "H100"}, ())], ["auto"])


@pytest.mark.parametrize(
    ("uri", "weight"),
    [
        ("ngc://nim/meta/m:1?file=a/b.bin", Weight("nim", "meta", "m", "1", "a/b.bin")),
        ("ngc://nvidia/m:1.0+x?file=a%20b", Weight("nvidia", "", "m", "1.0+x", "a b")),
        ("ngc://nvidia/m:hf", Weight("nvidia", "", "m", "hf", "")),
        ("ngc://nvidia/m:hf?file=a+b", Weight("nvidia", "", "m", "hf", "a+b")),
    ],
)
def test_addresses_of_files_are_read(uri: str, weight: Weight) -> None:
    assert nim_manifest.weight(uri) == weight


@pytest.mark.parametrize(
    "uri",
    [
        "ngc://nim/meta/m",
        "ngc://m:1",
        "ngc://a/b/c/d:1",
        "ngc://nim/../m:1?file=x",
        "ngc://nim/m:1?file=../../etc/passwd",
        "ngc://nim/m:1?file=%2e%2e/x",
        "ngc://nim/m:1?file=/etc/passwd",
        "ngc://nim/m:1?path=x",
        "ngc://nim/m:1?file=",
    ],
)
def test_hostile_addresses_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="ngc://"):
        nim_manifest.weight(uri)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no mapping"),
        ("schema_version: 3.0.0\nprofiles: []", "dray does not know"),
        ("schema_version: 2.0.0\nprofiles: {}", "no list"),
        ("schema_version: 2.0.0\nprofiles: [{tags: {}}]", "'id'"),
        ("schema_version: 2.0.0\nprofiles: [{id: a}, {id: a}]", "one id"),
        ("schema_version: 2.0.0\nprofiles: [{id: a, tags: {x: [1]}}]", "list or a mapping"),
        ("a: {workspace: {components: [{src: {files: [x]}}]}}", "'repo_id'"),
        ("a: {workspace: {files: {x: {}}}}", "'uri'"),
        ("a: &x {}\nb: *x", "alias"),
        ("a: !!python/object:os.system {}", "a tag"),
        ("'a b': {}", "no id"),
        ("{", "line"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nim_manifest.parse(text.encode())
