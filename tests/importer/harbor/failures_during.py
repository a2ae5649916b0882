"""What a Harbor refuses in the middle of an import, and what is lived through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.importer.harbor.failures import (
    IMAGE,
    TAG,
    Row,
    Stage,
    as_admin,
    imported,
    proxied,
    renewed,
    setting,
    steps,
)
from tests.importer.harbor.test_client import push, rule
from tests.importer.targets.samples import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

UPLOAD = "POST .*/blobs/uploads/"
CLOSE = "PUT .*digest="
SEND = "(PUT|PATCH) .*/blobs/uploads/"
MANIFEST = "PUT .*/manifests/"
AGAIN = "run the same command again"


def at(where: str, then: Callable[[Stage], object], skip: int = 0) -> Callable[[Stage], object]:
    """Return what makes something happen at the first such request, before Harbor sees it."""
    return lambda stage: stage.fails(where, before=lambda: then(stage), skip=skip)


def fails(where: str, status: int, code: str = "", **how: object) -> Callable[[Stage], object]:
    """Return what spoils every such request, unless ``times`` says how many."""
    return lambda stage: stage.fails(where, status=status, code=code, **{"times": None, **how})


def gone(stage: Stage) -> None:
    del stage.world.projects[stage.project]


def disabled(stage: Stage) -> None:
    for account in stage.world.accounts.values():
        if account.level:
            account.disabled = True


def no_right(stage: Stage) -> None:
    for account in stage.world.accounts.values():
        account.permissions = [one for one in account.permissions if one[2] != "push"]


def full(stage: Stage) -> None:
    stage.there.limit = stage.there.used + 10


def child_gone(stage: Stage) -> None:
    """Remove what the index names, as a retention policy would."""
    for repository in stage.there.repositories.values():
        repository.artifacts.clear()


def kept(stage: Stage) -> None:
    """Have somebody else move the tag, and a rule keep it there."""
    made = stage.there.repositories[IMAGE]
    made.tags[TAG] = made.tags["other"]
    rule(stage.harbor, stage.project, "*")


def another(stage: Stage) -> None:
    """Have another image in the repository."""
    shelf = Shelf()
    push(stage.harbor, stage.project, shelf.image(IMAGE, "other", {"l": b"other"}), shelf)


def lost(stage: Stage) -> None:
    stage.emulated.v2.blobs.lose_sessions()


def raced(stage: Stage) -> None:
    stage.world.project(stage.project)


def in_gc(stage: Stage) -> None:
    """Have somebody delete everything, and garbage collection begin."""
    stage.there.repositories.clear()
    stage.world.in_gc.update(str(blob.digest) for blob in stage.bundle.manifest.blobs)


DURING = (
    # 1.2, and trap 4: a 401 means three things
    Row("the project is removed", "0.4", at(UPLOAD, gone), 6, "401 UNAUTHORIZED",
        "there is no project .*: somebody has removed it", early=False),
    Row("the robot is disabled", "0.4", at(UPLOAD, disabled), 6, "401 UNAUTHORIZED",
        "disabled or expired", early=False),
    Row("the right is taken away", "0.4", at(UPLOAD, no_right), 6,
        "401 UNAUTHORIZED: unauthorized to access repository: .*, action: push;",
        "the administrator of .* has to give", early=False),
    Row("read-only mode begins", "1.2",
        at(UPLOAD, setting("read_only", True), skip=1), 6,
        "403 DENIED: The system is in read only mode", "has to end the read-only mode",
        early=False),
    Row("somebody fills the project", "1.4", at(UPLOAD, full), 6,
        "403 DENIED: adding .* will exceed the configured upper limit",
        "a system administrator of Harbor has to raise the quota", early=False),
    Row("the project becomes a proxy cache", "1.4",
        at(UPLOAD, proxied), 6,
        "403 DENIED: denied: can not push artifact to a proxy project", "name another one",
        early=False),
    Row("a part of an index is removed", "0.1", at(MANIFEST, child_gone, skip=2), 6,
        "404 NOT_FOUND: artifact .* not found", "such as a retention policy", early=False,
        sample="index"),
    Row("a rule comes after the preflight", "1.8", steps(another, at(MANIFEST, kept, skip=1)), 6,
        "412 PRECONDITION: Failed to process request due to .* configured as immutable",
        "the tag may not be moved: the project's administrator", early=False),
    # 1.6 what may be pushed
    Row("a manifest of an unknown type", "1.6", lambda _stage: None, 6, "400 MANIFEST_INVALID",
        "Harbor knows no artifact of that form", early=False, sample="unknown type"),
    Row("a config that Harbor cannot read", "1.6", lambda _stage: None, 6,
        r"answered 500 \(request [0-9a-f-]+\)", "look for that request in core.log", early=False,
        sample="odd config"),
    Row("a manifest of more than 4 MiB", "1.6", fails(MANIFEST, 400, "MANIFEST_INVALID"), 6,
        "400 MANIFEST_INVALID", "over 4 MiB", early=False),
    Row("a manifest that is too large, since 2.16", "1.6",
        fails(MANIFEST, 413, "REQUEST_ENTITY_TOO_LARGE"), 6, "413 REQUEST_ENTITY_TOO_LARGE",
        "takes manifests of up to 4 MiB", early=False),
    Row("bytes that change on the way", "1.2", fails(CLOSE, 400, "DIGEST_INVALID"), 6,
        "400 DIGEST_INVALID", "something between here and Harbor changes bytes", early=False),
    # 1.9 large layers
    Row("a proxy that takes no request as small as can be", "1.9", setting("most", 1000), 6,
        r"\(413: Request Entity Too Large;",
        "nginx needs client_max_body_size 0", early=False),
    Row("a proxy that gives up", "1.9", fails(CLOSE, 504), 6, "answered 504",
        "a proxy before it waits too short a time: its operator", early=False),
    Row("a Harbor that stays down", "1.9", fails(UPLOAD, 503), 6, "answered 503",
        f"is down or restarting: wait for it, then {AGAIN}", early=False),
    Row("a limit of requests", "1.9", fails(UPLOAD, 429), 6, "answered 429",
        "limits requests", early=False),
    Row("sessions that are lost again and again", "1.9",
        lambda stage: stage.fails(SEND, before=lambda: lost(stage), times=None), 6,
        "lost the upload of", "replicas of its registry without shared storage", early=False),
    Row("connections that break again and again", "1.9",
        lambda stage: stage.fails(SEND, cut_after=10_000, times=None), 6, "tried",
        AGAIN, early=False),
)  # fmt: skip
LIVED_THROUGH = (
    Row("the same digest under a tag that stays", "0.2",
        steps(imported, lambda stage: rule(stage.harbor, stage.project, "*")), 0,
        "^there already "),
    Row("tokens that end", "0.5", at(SEND, lambda stage: stage.emulated.tokens.expire()), 0,
        "^loaded "),
    Row("a request that breaks", "0.6", lambda stage: stage.fails(SEND, cut_after=10_000), 0,
        "^loaded "),
    Row("a project that somebody makes meanwhile", "1.2",
        steps(as_admin, renewed, at(r"POST /api/v2.0/projects\?", raced)), 0, "^loaded "),
    Row("a label that somebody makes meanwhile", "1.8", lambda stage: stage.fails(
            "POST /api/v2.0/labels", status=409, code="CONFLICT", behind=True), 0, "^loaded "),
    Row("blobs in garbage collection", "1.2",
        steps(imported, in_gc), 0,
        "^loaded "),
    Row("blobs that are redirected to object storage", "1.9",
        steps(imported, setting("redirect", "https://storage.example.com")), 0,
        "^there already "),
    Row("a balancer that forgets TLS", "1.9",
        setting("loses_scheme", True), 0, "^loaded "),
    Row("a proxy that takes no whole layer", "1.9", setting("most", 1 << 20), 0, "^loaded ",
        sample="large layer"),
    Row("an answer that is lost, though the layer is stored", "1.9",
        fails(CLOSE, 504, behind=True, times=2), 0, "^loaded "),
    Row("a session that is lost", "1.9", at(SEND, lost), 0, "^loaded "),
    Row("a Harbor that restarts for a moment", "1.9", fails(UPLOAD, 503, times=3), 0, "^loaded "),
    Row("an index, its children first", "0.1", lambda _stage: None, 0, "^loaded ",
        sample="index"),
)  # fmt: skip
