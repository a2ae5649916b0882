"""Whatever a Harbor answers, the client returns something typed or says what is odd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from bundle.credentials import Credentials
from bundle.digest import Digest
from bundle.errors import TargetError
from bundle.http import Http, Response
from importer.harbor import robots
from importer.harbor.client import Harbor
from importer.harbor.projects import ImmutableRule, Project
from importer.harbor.scans import REPORT

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = Digest.of(b"")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
WORDS = [
    "project_id",
    "name",
    "metadata",
    "registry_id",
    "quota",
    "hard",
    "used",
    "storage",
    "digest",
    "tags",
    "labels",
    "accessories",
    "type",
    "id",
    "scan_overview",
    "summary",
    "scan_status",
    "components",
    "status",
    "scope_selectors",
    "tag_selectors",
    "pattern",
    "resource",
    "action",
    "vulnerabilities",
    "secret",
    "decoration",
    "repository",
]
KEYS = st.sampled_from([*WORDS, REPORT])
DOCUMENTS = st.recursive(
    SCALARS | st.just(str(DIGEST)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
CALLS: list[Callable[[Harbor], Any]] = [
    lambda harbor: harbor.about(),
    lambda harbor: harbor.unhealthy(),
    lambda harbor: harbor.is_sysadmin(),
    lambda harbor: harbor.projects.get("p"),
    lambda harbor: harbor.projects.quota("p"),
    lambda harbor: harbor.projects.rights(Project(1, "p")),
    lambda harbor: harbor.projects.immutable_rules("p"),
    lambda harbor: harbor.artifacts.get("p/r", "t"),
    lambda harbor: harbor.artifacts.label(1, "x"),
    lambda harbor: harbor.scans.look("p/r", DIGEST),
    lambda harbor: harbor.scans.vulnerabilities("p/r", DIGEST),
    lambda harbor: robots.create(harbor.api, {"name": "x"}),
]


class Fixed(Http):
    """Answers every request with the same body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(error=TargetError, retries=0, sleep=lambda _: None)
        self.answer = Response(status, {"Content-Type": "application/json"}, body, "https://h/x")

    def base(self, host: str) -> str:
        return f"https://{host}"

    def request(self, *_arguments: Any, **_named: Any) -> Response:
        return self.answer


def tried(call: Callable[[Harbor], Any], status: int, body: bytes) -> None:
    http = Fixed(status, body)
    try:
        call(Harbor("h", http, Credentials("robot$x", "SECRET")))
    except TargetError as error:
        assert "SECRET" not in str(error.to_dict())
        assert error.message.isprintable()
    finally:
        http.close()


@given(st.sampled_from(CALLS), DOCUMENTS)
def test_any_document_is_read_or_refused(call: Callable[[Harbor], Any], document: Any) -> None:
    tried(call, 200, json.dumps(document).encode())


@given(st.sampled_from(CALLS), st.sampled_from([200, 201, 400, 401, 403, 404, 409, 412, 500, 503]))
def test_any_status_with_an_envelope_is_told(call: Callable[[Harbor], Any], status: int) -> None:
    errors = [{"code": "DENIED", "message": "x\x1b[2J: x\x1b[2J"}]
    tried(call, status, json.dumps({"errors": errors}).encode())


@given(st.sampled_from(CALLS), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(call: Callable[[Harbor], Any], body: bytes) -> None:
    tried(call, 200, body)


@given(st.text("ab*?{},[]/-!\\", max_size=12), st.text("ab/", max_size=8))
def test_any_pattern_is_one_or_is_refused(pattern: str, text: str) -> None:
    try:
        held = ImmutableRule(((pattern, True),), ()).holds(text, "t")
    except TargetError:
        return
    assert held is not ImmutableRule(((pattern, False),), ()).holds(text, "t")


@given(st.text("abc/-", max_size=10))
def test_a_pattern_without_signs_is_itself(text: str) -> None:
    assert ImmutableRule(((text, True),), ()).holds(text, "t")
    assert not ImmutableRule(((text, True),), ()).holds(text + "x", "t")
