"""A chart's archive, read in memory and with bounds: nothing of it is ever extracted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundle import tgz
from bundler.sources import plaintree

if TYPE_CHECKING:
    import tarfile

    from bundler.sources.plaintree import Tree

UNPACKED_LIMIT: Final = 256 << 20
"""Bytes that an archive may unpack to; gzip packs zeros a thousandfold."""
MEMBER_LIMIT: Final = 1 << 20
"""Bytes that Chart.yaml may have."""
MEMBERS: Final = 20_000
"""Members of an archive: each header takes time, and gzip packs them two hundred to one."""
_TEXTS = (
    *("apiVersion", "name", "version", "kubeVersion", "description", "type"),
    *("home", "icon", "condition", "tags", "appVersion"),
)
_LISTS = ("keywords", "sources")


def metadata(archive: bytes) -> dict[str, object]:
    """Return what Chart.yaml says, as the config of a Helm OCI artifact has it.

    Fields that Helm does not know are left out, as Helm does (Helm, pkg/chart/metadata.go). Raises
    ``ValueError`` with the reason when the archive or its Chart.yaml is not in order.
    """
    tree = plaintree.read(chart_yaml(archive))
    if not isinstance(tree, dict):
        raise ValueError("Chart.yaml is no mapping")
    found: dict[str, object] = {}
    for key in _TEXTS:
        if value := _text(tree, key):
            found[key] = value
    for key in _LISTS:
        if items := _list(tree, key):
            found[key] = [_is_text(item, key) for item in items]
    if _text(tree, "deprecated") == "true":
        found["deprecated"] = True
    if notes := _mapping(tree.get("annotations"), "annotations"):
        found["annotations"] = {key: _is_text(value, key) for key, value in notes.items()}
    if people := _list(tree, "maintainers"):
        found["maintainers"] = [_some(item, ("name", "email", "url")) for item in people]
    if others := _list(tree, "dependencies"):
        found["dependencies"] = [_dependency(item) for item in others]
    return found


def chart_yaml(archive: bytes) -> bytes:
    """Return the bytes of the one ``<chart>/Chart.yaml`` in a gzip-compressed tar.

    Raises ``ValueError`` with the reason when there is none, or more than one.
    """
    found: list[bytes] = []
    with tgz.members(archive, UNPACKED_LIMIT) as members:
        for number, member in enumerate(members):
            if number >= MEMBERS:
                raise ValueError(f"more than {MEMBERS} members")
            steps = member.name.removeprefix("./").split("/")
            if len(steps) == 2 and steps[1] == "Chart.yaml":
                found.append(_member(members, member))
    if len(found) != 1:
        raise ValueError(f"{len(found)} files called <chart>/Chart.yaml in it, not one")
    return found[0]


def _member(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isreg() or member.size > MEMBER_LIMIT:
        raise ValueError("Chart.yaml is no plain file, or too large")
    stream = members.extractfile(member)
    if stream is None:
        raise ValueError("Chart.yaml has no content")
    with stream:
        return stream.read()


def _is_text(value: Tree, key: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key[:60]!r} is no text in Chart.yaml")
    return value


def _text(tree: dict[str, Tree], key: str) -> str:
    value = tree.get(key)
    return "" if value is None else _is_text(value, key)


def _list(tree: dict[str, Tree], key: str) -> list[Tree]:
    value = tree.get(key)
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{key!r} is no list in Chart.yaml")
    return value or []


def _mapping(value: Tree, key: str) -> dict[str, Tree]:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key!r} is no mapping in Chart.yaml")
    return value or {}


def _some(value: Tree, keys: tuple[str, ...]) -> dict[str, object]:
    tree = _mapping(value, "an entry")
    return {key: text for key in keys if (text := _text(tree, key))}


def _dependency(value: Tree) -> dict[str, object]:
    found = _some(value, ("name", "version", "repository", "condition", "alias"))
    found.setdefault("repository", "")
    if tags := _list(_mapping(value, "an entry"), "tags"):
        found["tags"] = [_is_text(item, "tags") for item in tags]
    return found
