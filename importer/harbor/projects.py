"""Projects of a Harbor: whether they are there, what they forbid, and making them."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from importer.harbor.api import optional, segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields
    from importer.harbor.api import Api

NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
"""A project's name, of up to 255 characters (src/server/v2.0/handler/project.go)."""
UNLIMITED = -1
Right = tuple[str, str]
"""A resource and an action on it (src/common/rbac/const.go)."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project; ``is_proxy`` tells that it is a proxy cache, which takes no pushes."""

    id: int
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """Bytes that a project may hold (:data:`UNLIMITED` for any number), and those it holds."""

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class ImmutableRule:
    """A rule that keeps tags as they are: patterns of repositories and of tags."""

    repositories: tuple[tuple[str, bool], ...]
    tags: tuple[tuple[str, bool], ...]

    def holds(self, repository: str, tag: str) -> bool:
        """Whether it keeps this tag; ``repository`` without its project."""
        pairs = [(repository, self.repositories), (tag, self.tags)]
        return all(_matches(text, one) for text, patterns in pairs for one in patterns)


class Projects:
    """The calls about projects."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def exists(self, name: str) -> bool | None:
        """Whether there is such a project; nothing where this login is not told.

        Up to 2.15 every login is; newer ones say 403 to who may not read it, there or not
        (src/server/v2.0/handler/project.go, HeadProject).
        """
        query = {"project_name": name}
        what = f"to look for the project {name}"
        answer = self._api.call("HEAD", "/projects", what, query=query, ok=(200, 403, 404))
        return None if answer.status == 403 else answer.status == 200

    def get(self, name: str) -> Project | None:
        """Return a project, or nothing where there is none or it may not be read."""
        path, what = f"/projects/{segment(name)}", f"the project {name}"
        headers = {"X-Is-Resource-Name": "true"}  # else a name of digits is taken for an id
        answer = self._api.call("GET", path, what, headers=headers, ok=(200, 403, 404))
        if answer.status != 200:
            return None
        fields = self._api.fields(answer, what)
        metadata = optional(fields, "metadata")
        texts = {key: metadata.raw(key) for key in metadata.names()} if metadata else {}
        return Project(
            fields.integer("project_id"),
            fields.text("name"),
            {key: value for key, value in texts.items() if isinstance(value, str)},
            bool(fields.raw("registry_id", None)),
        )

    def create(self, name: str, metadata: Mapping[str, str], limit: int | None = None) -> bool:
        """Make a project; return whether it was made here, and not by another a moment ago.

        ``limit`` is its quota in bytes, which Harbor takes from system administrators only.
        """
        body: dict[str, object] = {"project_name": name, "metadata": dict(metadata)}
        if limit is not None:
            body["storage_limit"] = limit
        what = f"to create the project {name}"
        return self._api.call("POST", "/projects", what, body=body, ok=(201, 409)).status == 201

    def quota(self, name: str) -> Quota | None:
        """Return the quota, or nothing where it may not be read."""
        path, what = f"/projects/{segment(name)}/summary", f"the quota of {name}"
        headers = {"X-Is-Resource-Name": "true"}
        answer = self._api.call("GET", path, what, headers=headers, ok=(200, 403, 404))
        if answer.status != 200:
            return None
        quota = optional(self._api.fields(answer, what), "quota")
        if quota is None:
            return None
        hard, used = quota.child("hard"), quota.child("used")
        return Quota(hard.integer("storage", low=UNLIMITED), used.integer("storage"))

    def rights(self, project: Project) -> frozenset[Right]:
        """Return what this login may do in a project (robots included)."""
        query = {"scope": f"/project/{project.id}", "relative": "true"}
        what = "to say what it may do"
        answer = self._api.call("GET", "/users/current/permissions", what, query=query)
        found = self._api.listed(answer, what)
        return frozenset((one.text("resource"), one.text("action")) for one in found)

    def immutable_rules(self, name: str) -> list[ImmutableRule] | None:
        """Return the rules in force, or nothing where they may not be read."""
        path, what = f"/projects/{segment(name)}/immutabletagrules", f"the rules of {name}"
        headers = {"X-Is-Resource-Name": "true"}
        query = {"page_size": 100}
        answer = self._api.call("GET", path, what, query=query, headers=headers, ok=(200, 403))
        if answer.status == 403:
            return None
        rules = self._api.listed(answer, what)
        return [_rule(rule) for rule in rules if not rule.raw("disabled", False)]


def name_fault(name: str) -> str:
    """Return why a project cannot be called so, or nothing."""
    if len(name) > 255:
        return "is longer than 255 characters"
    if not re.fullmatch(NAME, name):
        return "may have lower-case letters, digits, and single . _ - between them"
    return ""


def _rule(fields: Fields) -> ImmutableRule:
    scopes = fields.child("scope_selectors")
    return ImmutableRule(
        tuple(_selector(one) for one in scopes.objects("repository")),
        tuple(_selector(one) for one in fields.objects("tag_selectors")),
    )


def _selector(fields: Fields) -> tuple[str, bool]:
    excludes = fields.text("decoration", "").lower().endswith(("excludes", "excluding"))
    return fields.text("pattern"), not excludes


def _matches(text: str, selector: tuple[str, bool]) -> bool:
    """Whether a doublestar pattern selects a text: ``**``, ``*``, ``?`` and ``{a,b}``."""
    pattern, includes = selector
    return any(_glob(text, one) for one in _alternatives(pattern)) == includes


def _alternatives(pattern: str) -> list[str]:
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None or len(pattern) > 4096:
        return [pattern]
    start, end = match.span()
    found = [
        text
        for one in match[1].split(",")[:50]
        for text in _alternatives(pattern[:start] + one + pattern[end:])
    ]
    if len(found) > 1000:
        raise TargetError(f"a rule of the project has too many patterns: {pattern[:100]!r}")
    return found


def _glob(text: str, pattern: str) -> bool:
    # One * stays within a segment; ** does not (github.com/bmatcuk/doublestar).
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = ""
    for part in parts:
        if part in known:
            expression += known[part]
        elif part.startswith("[") and part.endswith("]"):
            expression += fnmatch.translate(part).removeprefix("(?s:").rpartition(")")[0]
        else:
            expression += re.escape(part)
    return re.fullmatch(expression, text, re.DOTALL) is not None
