"""YAML and TOML of which every reader reads what was meant, and the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


class _Dumper(yaml.SafeDumper):
    """Keys in their order; quotes wherever some YAML reads another type."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    style = None
    if "\n" in value and value.isprintable() is False and _is_block(value):
        style = "|"
    elif not _PLAIN.fullmatch(value) or value.lower() in _WORDS:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _is_block(value: str) -> bool:
    return all(line.isprintable() and line == line.rstrip() for line in value.split("\n"))


_Dumper.add_representer(str, _text)
_Dumper.add_multi_representer(str, _text)
_Dumper.add_multi_representer(int, lambda d, v: d.represent_int(int(v)))
_Dumper.add_multi_representer(bool, lambda d, v: d.represent_bool(v))


def documents(found: Iterable[object], *, head: str = "") -> bytes:
    """Return YAML documents in one file; ``head`` are lines of a comment."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    texts = [
        yaml.dump(
            one,
            Dumper=_Dumper,
            sort_keys=False,
            default_flow_style=False,
            allow_unicode=True,
            width=1 << 30,
        )
        for one in found
    ]
    return (comment + "---\n".join(texts)).encode()


def quoted(value: str) -> str:
    """Return a basic string of TOML: what JSON escapes, TOML reads as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def slug(name: str) -> str:
    """Return a name for an object of Kubernetes (RFC 1123 label), made of ``name``."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return text[:63].rstrip("-") or "dray"


def unique(names: Sequence[str]) -> list[str]:
    """Return a slug of the last part of each name, longer where two would have the same."""
    short = [slug(name.rpartition("/")[2]) for name in names]
    made = []
    for name, found in zip(names, short, strict=True):
        mark = hashlib.sha256(name.encode()).hexdigest()[:8]
        made.append(found if short.count(found) == 1 else f"{slug(name)[:54].rstrip('-')}-{mark}")
    return made
