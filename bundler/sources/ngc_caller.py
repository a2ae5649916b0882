"""Who NGC says is calling: the kind of a key, its org, its services and its user's roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from bundle.errors import SourceError
from bundle.refusals import printable
from bundler.sources.ngc_answers import read_object, status_of, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundle.http import Http, Response
    from bundler.sources.ngc_auth import Authorization

API: Final = "api.ngc.nvidia.com"
KINDS: Final = {"PERSONAL_KEY": "personal", "SERVICE_KEY": "service"}
REFUSED: Final = frozenset({400, 401, 403, 404})
_MOST = 500


class KeyRejectedError(SourceError):
    """The key itself is not taken; ``status`` is the answer to it."""

    def __init__(self, message: str, *, hint: str, status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of whoever asks; the empty one is somebody of whom nothing is known.

    ``kind`` is ``personal``, ``service``, ``legacy``, ``token``, ``guest``, or NGC's own word.
    ``org`` is the one that the key was made in; ``orgs`` are those that it may ask for, with the
    names that people see; ``teams`` are ``org/team``. ``products`` are the services of a key, or
    nothing where NGC does not say. ``rejected`` is the status with which the key itself is refused.
    """

    kind: str = ""
    org: str = ""
    orgs: Mapping[str, str] = field(default_factory=dict)
    teams: tuple[str, ...] = ()
    products: tuple[str, ...] | None = None
    roles: bool = True
    rejected: int = 0
    request: str = ""

    @property
    def has_catalog(self) -> bool:
        """Whether the key has the services that artifacts need, as far as NGC tells."""
        wanted = {"artifact-catalog", "private-registry"}
        return self.products is None or not self.products or bool(wanted & set(self.products))


def ask(http: Http, authorization: Authorization) -> Caller:
    """Ask NGC whose key this is (``get-caller-info``; the list of orgs for a legacy key).

    A key that is refused is an answer. Raises :class:`SourceError` when NGC can't be asked.
    """
    kind = authorization.login.kind
    if kind == "guest":
        return Caller("guest")
    if kind == "scoped":
        return _scoped(http, authorization)
    return _with_orgs(http, authorization)


def _scoped(http: Http, authorization: Authorization) -> Caller:
    answer = http.request(
        "POST",
        f"{http.base(API)}/v3/keys/get-caller-info",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode({"credentials": authorization.login.key}).encode(),
        ok={200, *REFUSED},
        limit=1 << 20,
    )
    if answer.status != 200:
        return Caller(rejected=answer.status, request=_request(answer, authorization))
    body = _object(answer)
    org, user = _text(body, "orgName"), body.get("user")
    roles = list(_roles(user.get("roles") if isinstance(user, dict) else None))
    kind = _text(body, "type")
    return Caller(
        kind=KINDS.get(kind, kind.lower()),
        org=org,
        orgs={name: "" for name in (org, *(role[0] for role in roles)) if name},
        teams=tuple(f"{name}/{team}" for name, team in roles if team),
        products=_texts(body.get("products")),
        roles=bool(roles) or kind != "PERSONAL_KEY",
        request=_request(answer, authorization),
    )


def _with_orgs(http: Http, authorization: Authorization) -> Caller:
    try:
        value = authorization.value(scoped=False)
    except KeyRejectedError as refused:
        return Caller(authorization.login.kind, rejected=refused.status)
    answer = http.request(
        "GET",
        f"{http.base(API)}/v2/orgs?page-size={_MOST}",
        headers={"Accept": "application/json", "Authorization": value, **authorization.headers},
        ok={200, *REFUSED},
        limit=4 << 20,
    )
    request = _request(answer, authorization)
    if answer.status == 401:
        return Caller(authorization.login.kind, rejected=401, request=request)
    if answer.status != 200:
        return Caller(authorization.login.kind, request=request)
    listed = _object(answer).get("organizations")
    orgs = {
        _text(org, "name"): _text(org, "displayName")
        for org in (listed if isinstance(listed, list) else [])[:_MOST]
        if isinstance(org, dict)
    }
    orgs.pop("", None)
    return Caller(authorization.login.kind, orgs=orgs, request=request)


def _object(answer: Response) -> dict[str, object]:
    try:
        return read_object(answer.body)
    except ValueError as reason:
        raise SourceError(f"NGC's answer about the key is no JSON object: {reason}") from None


def _request(answer: Response, authorization: Authorization) -> str:
    try:
        number = status_of(read_object(answer.body))[2]
    except ValueError:
        number = told(answer)[1]
    return authorization.scrub(number)[:80]


def _roles(value: object) -> Iterator[tuple[str, str]]:
    for role in value if isinstance(value, list) else ():
        fields = role if isinstance(role, dict) else {}
        org, team = fields.get("org"), fields.get("team")
        if isinstance(org, dict) and (name := _text(org, "name")):
            yield name, _text(team, "name") if isinstance(team, dict) else ""


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key)
    return printable(value)[:128] if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(printable(item)[:128] for item in value[:50] if isinstance(item, str))
