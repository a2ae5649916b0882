"""What people are told at two in the morning: each case by lock, by export and by doctor.

A message must say what happened to which thing, who has to do something, and where; and the same
in all three commands. ``docs/doctor.md`` has the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fixtures.charts import chart
from fixtures.ngc import CITRINET, Access, emulate, sample_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk, Done

DETECTOR = "nvcr.io/abc123xyz/vision/detector:1.0"
WEIGHTS = "abc123xyz/vision/detector_weights"
NIM = "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0"
NIM_MODEL = "nim/meta/llama3-8b-instruct"
CUDA, OLD = "nvidia/cuda", "11.8.0-base-ubuntu22.04"
HELM = "https://helm.ngc.nvidia.com"
NIM_CHART = {"repo": f"{HELM}/nim", "name": "nim-llm", "version": "1.3.0"}
SUBSCRIPTIONS = "https://org.ngc.nvidia.com/subscriptions"
KEYS = "https://org.ngc.nvidia.com/setup/api-keys"
CATALOG = "https://catalog.ngc.nvidia.com/orgs"


@pytest.fixture
def ngc(tmp_path: Path) -> Iterator[EmulatedNgc]:
    """The sample NGC with an entitled chart of a NIM in it, and no key in the environment."""
    catalogue = sample_catalogue(scale=0.005, folder=tmp_path / "ngc-content")
    catalogue.add_chart("nim", chart("nim-llm", "1.3.0")).access = Access.ENTITLED
    with emulate(catalogue, folder=tmp_path / "ngc") as running:
        yield running


def nothing(_ngc: EmulatedNgc) -> None:
    """Change nothing: what is wrong is there from the start."""


def empty_list(ngc: EmulatedNgc) -> None:
    info = {"totalResults": 0, "totalPages": 0, "index": 0, "size": 1000}

    def edit(body: Any) -> Any:
        return {**body, "modelFiles": [], "paginationInfo": info}

    ngc.faults.add("GET api.*/versions/1.0/files$", edit=edit, times=None)


def no_tag(ngc: EmulatedNgc) -> None:
    ngc.catalogue.delete_tag(CUDA, OLD)


def no_digest(ngc: EmulatedNgc) -> None:
    repository = ngc.catalogue.repositories[CUDA]
    for node in list(repository.graphs[repository.tags[OLD]].walk()):
        ngc.catalogue.delete_digest(CUDA, node.digest)


@dataclass(frozen=True)
class Case:
    """A case: the spec, the key, what happens between a good lock and the rest, and what is said.

    ``export`` is what an export says where that is something else: its lock is there already.
    """

    name: str
    spec: dict[str, Any]
    key: str
    words: tuple[str, ...]
    upset: Callable[[EmulatedNgc], None] = nothing
    export: tuple[str, ...] = field(default=())
    code: int = 6


ENTITLED = ("org 'abc123xyz'", "NVIDIA AI Enterprise", "an owner of the org adds it", SUBSCRIPTIONS)
CASES = [
    Case(
        "a personal key on an image of another org",
        {"images": [DETECTOR]},
        "stranger",
        (
            "the personal key of org 'other456org' from NGC_API_KEY",
            "nvcr.io/abc123xyz/vision/detector",
            "the key belongs to org 'other456org'; this is in org 'abc123xyz'",
            f"use a key made in org 'abc123xyz' ({KEYS}",
        ),
    ),
    Case(
        "a NIM without entitlement",
        {"nims": [{"image": NIM}]},
        "personal",
        (NIM.partition(":")[0], *ENTITLED, f"{CATALOG}/nim/teams/meta/containers/"),
    ),
    Case(
        "a stale key",
        {"images": [DETECTOR], "models": [{"ngc": f"{WEIGHTS}:1.0"}]},
        "revoked",
        ("nvapi- key of NGC_API_KEY", "expired, revoked or mistyped", f"make another at {KEYS}"),
    ),
    Case(
        "an empty list",
        {"models": [{"ngc": f"{WEIGHTS}:1.0"}]},
        "entitled",
        (
            f"NGC lists no files of model {WEIGHTS}:1.0",
            "may this key see it",
            "dray doctor",
            CATALOG,
        ),
        upset=empty_list,
        export=("sealed",),
    ),
    Case(
        "a model that answers: You do not have access to this resource.",
        {"models": [{"ngc": f"{NIM_MODEL}:hf"}]},
        "personal",
        (
            f"model {NIM_MODEL}:hf (403 with the key, 403 without)",
            "You do not have access to this resource.",
            "[request ",
            *ENTITLED,
        ),
    ),
    Case(
        "a tag that is gone",
        {"images": [f"nvcr.io/{CUDA}:{OLD}"]},
        "entitled",
        (
            f"nvcr.io/{CUDA} has no tag {OLD} (404 MANIFEST_UNKNOWN",
            "the nearest tags: ",
            "an older bundle that has it is the source now",
        ),
        upset=no_tag,
        export=("sealed",),  # the lock has the digest, which is still there
    ),
    Case(
        "a digest that is gone",
        {"images": [f"nvcr.io/{CUDA}:{OLD}"]},
        "entitled",
        (f"nvcr.io/{CUDA} has no tag {OLD}", "an older bundle that has it is the source now"),
        upset=no_digest,
        export=(f"nvcr.io/{CUDA} has no ", "an older bundle that has it is the source now"),
    ),
    Case(
        "an entitled chart",
        {"charts": [NIM_CHART]},
        "personal",
        ("helm.ngc.nvidia.com/nim/", "(403 with the key, 401 without)", *ENTITLED),
    ),
    Case(
        "an entitled chart, and no key",
        {"charts": [NIM_CHART]},
        "",
        (
            "no NGC key: asking as a guest",
            "is not given to guests (401)",
            f"NGC_API_KEY to a key of an org that has it: {KEYS}",
        ),
    ),
    Case(
        "terms that nobody has accepted",
        {"models": [{"ngc": "nvidia/needs_terms:1.0"}]},
        "personal",
        (
            "terms of model nvidia/needs_terms:1.0 are not accepted (412)",
            "accept them in a browser",
            f"{CATALOG}/nvidia/models/needs_terms?version=1.0",
        ),
        export=(),
    ),
    Case(
        "a version that is not there",
        {"models": [{"ngc": f"{CITRINET}:deployable_v9.0"}]},
        "entitled",
        ("has no such version", "there are: 'deployable_v1.0', 'deployable_v2.0.0'"),
    ),
]
LOCKABLE = [case for case in CASES if not case.name.startswith(("a version", "terms"))]
"""Those whose spec could be locked by somebody, or earlier: the others have nothing to export."""


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def take(ngc: EmulatedNgc, key: str, patch: pytest.MonkeyPatch) -> None:
    """Put a key into the environment, or none."""
    patch.delenv("NGC_API_KEY", raising=False)
    if key:
        patch.setenv("NGC_API_KEY", ngc.catalogue.keys[key].secret)


def text(done: Done, ngc: EmulatedNgc) -> str:
    """Return all that was said, which never holds a key or a signature of a URL."""
    said = done.out + done.err
    assert not [key.name for key in ngc.catalogue.keys.values() if key.secret in said]
    assert "Signature=" not in said
    return said


def check(words: tuple[str, ...], said: str) -> None:
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize("command", ["lock", "doctor"])
def test_the_case_is_told(
    desk: Desk, ngc: EmulatedNgc, case: Case, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.spec(**case.spec, registries=ngc.registries, platforms=["linux/amd64"])
    take(ngc, case.key, monkeypatch)
    case.upset(ngc)
    done = desk.dray(command, "dray.yaml", code=case.code)
    check(case.words, text(done, ngc))
    assert not (desk.folder / "dray.lock.yaml").exists()


@pytest.mark.parametrize("case", LOCKABLE, ids=lambda case: case.name)
def test_an_export_tells_it_too(
    desk: Desk, ngc: EmulatedNgc, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(ngc, "entitled", monkeypatch)
    desk.lock(**case.spec, registries=ngc.registries, platforms=["linux/amd64"])
    take(ngc, case.key, monkeypatch)
    case.upset(ngc)
    code = 0 if case.export == ("sealed",) else case.code
    done = desk.export(tmp_path / "out", code=code)
    check(case.export or case.words, text(done, ngc))
    assert bool(list(tmp_path.glob("out/*/*.manifest.json"))) == (code == 0)


def config(home: Path, kind: str) -> None:
    """Leave a configuration of the ngc tool that cannot be read."""
    folder = home / "ngc-home/.ngc"
    folder.mkdir(parents=True)
    if kind == "unreadable":
        (folder / "config").mkdir()  # root, as whom tests may run, reads every file
    elif kind == "damaged":
        (folder / "config").write_text("CURRENT\napikey = nvapi-secret\n")
    else:
        (folder / "config").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("kind", ["unreadable", "damaged", "no text"])
@pytest.mark.parametrize("command", ["lock", "export", "doctor"])
def test_a_configuration_that_cannot_be_read_is_no_guest_mode(
    desk: Desk,
    ngc: EmulatedNgc,
    isolated: Path,
    command: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [f"nvcr.io/{CUDA}:{OLD}", "nvcr.io/nvidia/pytorch:25.03-py3"]
    models = [{"ngc": f"{CITRINET}:deployable_v2.0.0"}]
    desk.spec(*images, models=models, registries=ngc.registries, platforms=["linux/amd64"])
    if command == "export":
        desk.dray("lock", "dray.yaml")
    config(isolated, kind)
    monkeypatch.setenv("NGC_CLI_HOME", str(isolated / "ngc-home"))
    since = len(ngc.requests)
    options = ("--to", tmp_path / "out") if command == "export" else ()
    said = text(desk.dray(command, "dray.yaml", *options, code=2), ngc)
    file = str(isolated / "ngc-home/.ngc/config")
    assert said.count(file) == 1, "one fault of this host's own is told once"
    assert "can't be understood" in said or "can't be read by uid" in said
    assert "guest" not in said or "dray does not go on as a guest" in said
    assert "nvapi-secret" not in said
    assert not (tmp_path / "out").exists()
    contents = [e for e in ngc.requests[since:] if "/blobs/" in e.path or "/files" in e.path]
    assert not contents, "nothing was fetched as a guest"


def test_all_is_well_without_a_lock_and_with_one(
    desk: Desk, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(ngc, "entitled", monkeypatch)
    desk.spec(
        DETECTOR,
        models=[{"ngc": f"{WEIGHTS}:1.0"}],
        charts=[NIM_CHART],
        nims=[{"image": NIM}],
        registries=ngc.registries,
        platforms=["linux/amd64"],
    )
    for _ in range(2):
        said = desk.dray("doctor", "dray.yaml")
        assert "FAIL" not in said.out
        assert "warn" not in said.out
        assert said.out.splitlines()[-1].endswith(" ok")
        assert desk.dray("doctor", "dray.yaml", "--json").json["ok"] is True
        desk.dray("lock", "dray.yaml")


def test_a_fault_of_many_artifacts_is_told_once(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(ngc, "entitled", monkeypatch)
    known = ngc.catalogue.repositories["nvidia/gpu-operator"]
    names = [f"many/{number}" for number in range(8)]
    for name in names:
        ngc.catalogue.add_image(f"nvidia/{name}", known.graphs[known.tags["v25.3.0"]], ["1"])
    images = [f"nvcr.io/nvidia/{name}:1" for name in names]
    desk.lock(*images, registries=ngc.registries)
    ngc.faults.add("GET nvcr.io/v2/.*/(blobs|manifests)/", status=451, times=None)
    said = desk.export(tmp_path / "out", code=6).err
    assert "8 artifacts failed" in said
    assert len(said.splitlines()) < 8 + 8 + 4
