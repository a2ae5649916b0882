"""The ways in which values and manifests spell the name of an image, put together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bundle import reference
from bundle.charts.chart import text_of
from bundle.charts.engine import MARK
from bundle.reference import NamingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.reference import Reference

REPOSITORY: Final = ("repository", "repo")
REGISTRY: Final = ("registry", "imageRegistry")
TAG: Final = ("version", "tag", "imageTag")
DIGEST: Final = ("digest", "containerSHA", "imageDigest", "sha256", "sha")


@dataclass(frozen=True, slots=True)
class Spelled:
    """A name as it is composed, whole or not, and the keys that it was composed from."""

    name: str
    keys: tuple[str, ...]


def compose(mapping: Mapping[str, Any], key: str) -> Spelled | None:
    """Return the image that a mapping under ``key`` spells in several keys, or nothing.

    Known are NVIDIA's ``repository``/``image``/``version``, Helm's ``registry``/``repository``/
    ``tag``/``digest`` with or without a ``name``, and ``image`` or ``name`` with a tag or a digest
    beside it. A version that is a digest is joined with @ (gpu-operator, internal/image).
    """
    is_image = key.lower().endswith("image")
    repository, registry = _first(mapping, REPOSITORY), _first(mapping, REGISTRY)
    tag, digest = _first(mapping, TAG), _first(mapping, DIGEST)
    leaf = ("image", _scalar(mapping, "image"))
    if not leaf[1] and is_image:
        leaf = ("name", _scalar(mapping, "name"))
    if not isinstance(mapping.get(leaf[0]), str | None) or "://" in repository[1]:
        return None
    beside = any(name in mapping for name in (*TAG, *DIGEST))
    if leaf[1]:
        if not (repository[0] or registry[0] or beside):
            return None
    elif not repository[1] or not (is_image or registry[0] or _tagged(mapping)):
        return None
    parts = [registry, repository, leaf]
    name = "/".join(text.strip("/") for _key, text in parts if text)
    name = _with(name, tag[1], digest[1])
    used = [found for found, text in (*parts, tag, digest) if found and text]
    return Spelled(name, tuple(used))


def _tagged(mapping: Mapping[str, Any]) -> bool:
    return "tag" in mapping or any(name in mapping for name in DIGEST)


def _with(name: str, tag: str, digest: str) -> str:
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        digest = f"sha256:{digest}"
    if "@" in name:
        return name
    if tag.startswith("sha256:"):
        return f"{name}@{tag}"
    if tag and ":" not in name.rpartition("/")[2]:
        name = f"{name}:{tag}"
    return f"{name}@{digest}" if digest and "@" not in name else name


def _first(mapping: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, str]:
    """Return the first of ``keys`` that says something, or the first that is there at all."""
    there = [(key, _scalar(mapping, key)) for key in keys if key in mapping]
    return next((found for found in there if found[1]), there[0] if there else ("", ""))


def _scalar(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    return text_of(value).strip() if scalar else ""


def whole(name: str) -> Reference:
    """Return the reference that ``name`` is; raise :class:`NamingError` for what is less than one.

    Whole is a name with a registry host and with a tag or a digest, and with nothing unknown in it.
    """
    if MARK in name or "{{" in name:
        shown = name.replace(MARK, "…")
        raise NamingError(f"{shown[:200]!r} is known in part only")
    found = reference.parse(name)
    if not found.tag and not found.digest:
        raise NamingError(f"{name!r} has neither a tag nor a digest")
    return found


def is_whole(name: str) -> bool:
    """Tell whether a name is a whole reference."""
    try:
        whole(name)
    except NamingError:
        return False
    return True


def looks_whole(text: str) -> bool:
    """Tell whether a text under any key is the name of an image beyond doubt."""
    host = text.partition("/")[0]
    if "." not in host or host.endswith((".svc", ".local", ".internal")) or len(text) > 400:
        return False
    return is_whole(text)


def split(name: str) -> tuple[str, str, str]:
    """Return repository, tag and digest of a name, whole or not."""
    rest, _, digest = name.partition("@")
    head, slash, leaf = rest.rpartition("/")
    leaf, _, tag = leaf.partition(":")
    return f"{head}{slash}{leaf}", tag, digest
