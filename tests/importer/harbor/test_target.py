"""What a Harbor does with names and pushes: refusals in its words, and what is lived through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import TargetError, UsageError
from importer.targets.naming import Naming, Rule
from tests.importer.harbor.making import Make, wants
from tests.importer.harbor.test_client import push
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.artifact import Artifact
    from tests.servers.harbor import HarborServer


# -- names ----------------------------------------------------------------------------------------


def place(make: Make, artifact: Artifact, *rules: Rule) -> str:
    naming = Naming(project="ngc", rules=rules)
    return make(naming=naming).place(artifact).partition("/")[2]


def test_names_of_sources_become_projects(make: Make, shelf: Shelf, image: Artifact) -> None:
    assert place(make, image) == "ngc/nvidia/cuda:v1"
    assert place(make, image, Rule("nvcr.io/nvidia", "gpu/x")) == "gpu/x/cuda:v1"
    chart = shelf.image("nvidia/gpu-operator", "v25", {"l": b"chart"}, kind="chart")
    assert place(make, chart) == "ngc/charts/nvidia/gpu-operator:v25"


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("pytorch", "names a project and no repository in it"),
        ("a__b/pytorch", "single . _ - between them"),
        ("A/b", "cannot be called"),
    ],
)
def test_a_name_that_harbor_does_not_take(
    make: Make, image: Artifact, to: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        place(make, image, Rule("nvcr.io/nvidia/cuda", to))


def test_a_chart_keeps_its_name(make: Make, shelf: Shelf) -> None:
    chart = shelf.image("nvidia/gpu-operator", "v25", {"l": b"chart"}, kind="chart")
    with pytest.raises(UsageError, match="helm wants 'gpu-operator' at the end"):
        place(make, chart, Rule("nvcr.io/nvidia/gpu-operator", "ngc/operator"))


# -- what only a push meets -----------------------------------------------------------------------

Spoil = dict[str, Any]
MET: list[tuple[str, Spoil, str, str]] = [
    (
        "POST .*/blobs/uploads/",
        {"status": 403, "code": "DENIED", "message": "adding 12.0 GiB of storage resource, which"
         " when updated to current usage of 4.2 GiB will exceed the configured upper limit"},
        "403 DENIED: adding 12.0 GiB",
        "raise the quota of the project",
    ),
    (
        "POST .*/blobs/uploads/",
        {"status": 403, "code": "DENIED", "message": "The system is in read only mode. Any"
         " modification is prohibited."},
        "read only mode",
        "end the read-only mode",
    ),
    (
        "POST .*/blobs/uploads/",
        {"status": 403, "code": "DENIED",
         "message": "denied: can not push artifact to a proxy project: x"},
        "proxy project",
        "takes no pushes",
    ),
    (
        "POST .*/blobs/uploads/",
        {"status": 401, "code": "UNAUTHORIZED", "message": "unauthorized to access repository: x,"
         " action: push: unauthorized to access repository: x, action: push"},
        "401 UNAUTHORIZED: unauthorized to access repository: x, action: push;",
        "has to give",
    ),
    (
        "PUT .*/manifests/",
        {"status": 412, "code": "PRECONDITION",
         "message": "Failed to process request due to 'x:v1' configured as immutable."},
        "412 PRECONDITION",
        "the tag may not be moved",
    ),
    (
        "PUT .*/manifests/",
        {"status": 413, "code": "REQUEST_ENTITY_TOO_LARGE", "message": "manifest too large"},
        "413 REQUEST_ENTITY_TOO_LARGE",
        "up to 4 MiB",
    ),
    ("PUT .*digest=", {"status": 413}, "413", "client_max_body_size 0"),
    (
        "PUT .*/manifests/",
        {"status": 400, "code": "MANIFEST_INVALID", "message": "manifest invalid"},
        "400 MANIFEST_INVALID",
        "no artifact of that form",
    ),
    (
        "PUT .*digest=",
        {"status": 400, "code": "DIGEST_INVALID", "message": "provided digest did not match"},
        "400 DIGEST_INVALID",
        "changes bytes",
    ),
    (
        "PUT .*/manifests/",
        {"status": 404, "code": "NOT_FOUND", "message": "artifact x@sha256:1 not found"},
        "404 NOT_FOUND",
        "",
    ),
    (
        "PUT .*/manifests/",
        {"status": 500, "code": "UNKNOWN"},
        "answered 500 (request ",
        "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "how", "said"), [(m[0], m[1], m[2:]) for m in MET], ids=[m[2][:20] for m in MET]
)
def test_a_refusal_in_the_middle_is_said_in_harbors_words(
    harbor: HarborServer,
    make: Make,
    image: Artifact,
    shelf: Shelf,
    where: str,
    how: Spoil,
    said: tuple[str, str],
) -> None:
    project, (message, hint) = harbor.project(), said
    harbor.emulated.faults.add(where, times=None, **how)
    target = make(project, harbor.robot([project]))
    target.check()
    with pytest.raises(TargetError) as caught:
        fill(target, image, shelf)
        target.publish(image, shelf.blob)
    assert message in caught.value.message
    assert hint in caught.value.hint
    harbor.emulated.faults.clear()
    again = make(project)
    fill(again, image, shelf)
    assert again.publish(image, shelf.blob)


def test_a_project_that_vanishes_is_told_apart_from_a_right_that_is_lacking(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    target = make(project)
    target.check()
    target.preflight(wants(target, image))
    del harbor.emulated.world.projects[project]
    with pytest.raises(TargetError) as caught:
        fill(target, image, shelf)
    assert caught.value.hint == f"there is no project {project}: somebody has removed it"


# -- what passes by itself -------------------------------------------------------------------------


def lost(harbor: HarborServer) -> Callable[[], object]:
    return harbor.emulated.v2.blobs.lose_sessions


PASSING: list[tuple[str, str, Spoil]] = [
    ("504 though stored", "PUT .*digest=", {"status": 504, "behind": True}),
    ("cut in the middle", "(PUT|PATCH) .*/blobs/uploads/", {"cut_after": 100_000}),
    ("503 for a while", "POST .*/blobs/uploads/", {"status": 503, "times": 2}),
    ("413 for a whole layer", "PUT .*digest=", {"status": 413}),
    ("500 blanked", "PUT .*/manifests/", {"status": 500, "code": "UNKNOWN"}),
    ("session lost", "(PUT|PATCH) .*/blobs/uploads/", {"before": lost}),
]


@pytest.mark.parametrize(("where", "how"), [p[1:] for p in PASSING], ids=[p[0] for p in PASSING])
def test_what_passes_is_lived_through(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf, where: str, how: Spoil
) -> None:
    project = harbor.project()
    spoil = {**how, "before": how["before"](harbor)} if "before" in how else how
    fault = harbor.emulated.faults.add(where, **spoil)
    target = make(project)
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)
    assert fault.hits
    found = harbor.client().artifacts.get(f"{project}/nvidia/cuda", "v1")
    assert found
    assert found.digest == image.root


def test_a_closing_put_that_was_lost_sends_nothing_twice(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    harbor.emulated.faults.add("PUT .*digest=", status=504, behind=True, times=None)
    before = len(harbor.emulated.requests)
    fill(make(project), image, shelf)
    closed = [
        entry
        for entry in harbor.emulated.requests[before:]
        if entry.method == "PUT" and "digest=" in entry.path
    ]
    assert len(closed) == len({content.digest for content in image.contents}) - 1


def test_a_blob_in_garbage_collection_is_sent_again(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    push(harbor, project, image, shelf)
    layer = image.contents[0]
    harbor.emulated.world.in_gc.add(layer.digest)
    target = make(project)
    assert not target.has(image, layer)
    assert target.put(image, layer, shelf.blob(layer.digest), lambda _: None) == "uploaded"


def test_tokens_that_expire_do_not_matter_to_basic(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    before = len(harbor.emulated.requests)
    target = make(project)
    fill(target, image, shelf)
    harbor.emulated.tokens.expire()
    assert target.publish(image, shelf.blob)
    sent = harbor.emulated.requests[before:]
    assert not any(entry.path.startswith("/service/token") for entry in sent)
    assert {entry.authorization for entry in sent} == {"basic"}


def test_a_balancer_that_forgets_tls_is_put_right(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    harbor.emulated.world.loses_scheme = True
    target = make(harbor.project())
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)


def test_a_plain_registry_target_says_what_a_policy_hides(
    harbor: HarborServer, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project({"public": "false", "prevent_vul": "true", "severity": "low"})
    with pytest.raises(TargetError, match="was pushed, and the registry does not show it") as told:
        push(harbor, project, image, shelf)
    assert "write harbor://" in told.value.hint
