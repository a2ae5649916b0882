"""NIMs on the emulated NGC: image and weights together, and the two gates apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundle.errors import DrayError, SourceError
from bundler import spec
from bundler.resolve import Upstreams, resolve
from fixtures.ngc import emulate, sample_catalogue
from fixtures.ngc.catalogue import Access
from fixtures.ngc.nims import ANY_GPU, BUILT_THERE, ENGINE, FOREIGN, MODEL, NIM, ON_L40S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.lock import Lock, LockedArtifact
    from fixtures.ngc import EmulatedNgc

IMAGE = f"nvcr.io/{NIM}:1.8.0"
OLD = "nvcr.io/nim/meta/llama3-8b-instruct:1.0.0"
HF = f"ngc/{MODEL}:hf"


@pytest.fixture(scope="module")
def ngc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedNgc]:
    with emulate(sample_catalogue(0.001, folder=tmp_path_factory.mktemp("content"))) as running:
        yield running


@pytest.fixture(autouse=True)
def entitled(ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_API_KEY", ngc.catalogue.keys["entitled"].secret)


def lock(ngc: EmulatedNgc, folder: Path, nims: object, more: str = "") -> Lock:
    known = {h: {"endpoint": e["endpoint"], "ca": str(e["ca"])} for h, e in ngc.registries.items()}
    head = f"apiVersion: dray/v1\nstream: s\nregistries: {json.dumps(known)}\n"
    path = folder / "dray.yaml"
    path.write_text(f"{head}nims: {json.dumps(nims)}\n{more}")
    loaded = spec.load(path)
    upstreams = Upstreams(loaded, lambda _text: None)
    try:
        return resolve(loaded, upstreams)
    finally:
        upstreams.close()


def named(made: Lock) -> dict[str, LockedArtifact]:
    return {item.artifact.name: item for item in made.artifacts}


def files(item: LockedArtifact) -> list[str]:
    return [content.path for content in item.artifact.files]


@pytest.mark.parametrize("image", [IMAGE, OLD])
def test_a_profile_brings_only_the_files_that_it_needs(
    ngc: EmulatedNgc, tmp_path: Path, image: str
) -> None:
    found = named(lock(ngc, tmp_path, [{"image": image, "profiles": [ANY_GPU]}]))
    assert sorted(found) == sorted([HF, image])
    assert files(found[HF]) == ["config.json", "model.safetensors"]
    assert found[HF].artifact.notes["partial"] == "2 of the version's 3 files"
    assert found[HF].artifact.notes["nim"] == f"{image} profile {ANY_GPU}"
    assert found[image].artifact.notes["nim"] == f"profile {ANY_GPU}"


def test_auto_takes_every_profile_that_runs_on_any_gpu(ngc: EmulatedNgc, tmp_path: Path) -> None:
    found = named(lock(ngc, tmp_path, [{"image": IMAGE}]))
    assert sorted(found) == sorted([HF, IMAGE])
    assert found[IMAGE].artifact.notes["nim"] == f"profile {ANY_GPU}; profile {BUILT_THERE}"
    for item in found.values():  # the image by a question of its own, the model by its version
        assert item.artifact.notes["entitlement"] == "nv-ai-enterprise"


def test_tags_choose_profiles_whatever_their_case(ngc: EmulatedNgc, tmp_path: Path) -> None:
    found = named(lock(ngc, tmp_path, [{"image": IMAGE, "profiles": [{"gpu": "l40s", "tp": 1}]}]))
    assert sorted(found) == sorted([IMAGE, f"ngc/{MODEL}:{ENGINE}"])
    assert files(found[f"ngc/{MODEL}:{ENGINE}"]) == ["config.json", "rank0.engine"]
    assert ON_L40S in found[IMAGE].artifact.notes["nim"]


def test_what_two_nims_need_of_a_model_is_carried_once(ngc: EmulatedNgc, tmp_path: Path) -> None:
    both = [{"image": OLD}, {"image": IMAGE, "profiles": [BUILT_THERE]}]
    found = named(lock(ngc, tmp_path, both))
    assert files(found[HF]) == ["config.json", "model.safetensors"]
    assert found[HF].artifact.notes["nim"].split("; ") == [
        f"{IMAGE} profile {BUILT_THERE}",
        f"{OLD} profile {ANY_GPU}",
    ]


def test_a_model_that_the_spec_names_stays_whole(ngc: EmulatedNgc, tmp_path: Path) -> None:
    found = named(lock(ngc, tmp_path, [{"image": IMAGE}], f"models: [{{ngc: '{MODEL}:hf'}}]\n"))
    assert files(found[HF]) == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize("wanted", ["0" * 64, {"gpu": "b200", "precision": "fp4"}])
def test_a_choice_that_matches_nothing_lists_the_profiles(
    ngc: EmulatedNgc, tmp_path: Path, wanted: object
) -> None:
    with pytest.raises(SourceError, match="no profile has") as caught:
        lock(ngc, tmp_path, [{"image": IMAGE, "profiles": [wanted]}])
    for profile in (ANY_GPU, ON_L40S, "gpu: L40S", "precision: bf16"):
        assert profile in caught.value.hint


def test_files_of_hugging_face_are_named_and_refused(ngc: EmulatedNgc, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not of NGC: 'hf://meta/llama:main'") as caught:
        lock(ngc, tmp_path, [{"image": IMAGE, "profiles": [FOREIGN]}])
    assert "hf:" in caught.value.hint


def test_an_image_that_fetches_its_models_itself_is_told_apart(
    ngc: EmulatedNgc, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"downloads its models itself \(native-v1\)") as caught:
        lock(ngc, tmp_path, [{"image": "nvcr.io/nim/nvidia/native:2.0.0"}])
    assert "images:" in caught.value.hint


def test_an_image_without_a_manifest_is_no_nim(ngc: EmulatedNgc, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no /opt/nim/etc/default/model_manifest\.yaml"):
        lock(ngc, tmp_path, [{"image": "nvcr.io/nvidia/pytorch:25.03-py3"}])


def test_the_image_gate_has_its_own_sentence(
    ngc: EmulatedNgc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGC_API_KEY", ngc.catalogue.keys["personal"].secret)
    with pytest.raises(DrayError, match=f"^the image of the NIM {IMAGE} cannot be had: "):
        lock(ngc, tmp_path, [{"image": IMAGE}])


def test_the_weights_gate_has_its_own_sentence(
    ngc: EmulatedNgc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngc.catalogue.repositories[NIM], "access", Access.PUBLIC)
    monkeypatch.setenv("NGC_API_KEY", ngc.catalogue.keys["personal"].secret)
    sentence = f"^the image can be had, but not the model files that {IMAGE} needs: "
    with pytest.raises(DrayError, match=sentence):
        lock(ngc, tmp_path, [{"image": IMAGE}])
