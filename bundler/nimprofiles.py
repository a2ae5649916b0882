"""Which profiles of a NIM a spec wants: ``auto``, ids, or the tags that they must have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.decode import Fields, Key

if TYPE_CHECKING:
    from bundle.decode import Path

PROFILE = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
TAG = r"[!-~][ -~]{0,127}"

Wanted = str | tuple[tuple[str, str], ...]
"""``auto``, the id of a profile, or tags: each a name and a value."""


def read(fields: Fields, key: str) -> tuple[Wanted, ...]:
    """Read the list of what is wanted; nothing said is nothing.

    Raises :class:`bundle.errors.UsageError` with the place of what is neither text nor tags.
    """
    return tuple(_wanted(item, path, fields) for path, item in fields.items(key))


def _wanted(value: object, path: Path, fields: Fields) -> Wanted:
    if isinstance(value, str):
        if re.fullmatch(PROFILE, value):
            return value
    elif isinstance(value, dict) and value:
        inner = Fields(value, path, fields.fault)
        return tuple(sorted((name, _tag(inner, name)) for name in inner.names()))
    hint = "write auto, the id of a profile, or tags such as {gpu: h100, precision: fp8}"
    raise fields.fault(path, "names no profiles of a NIM", hint)


def _tag(fields: Fields, name: str) -> str:
    value = fields.raw(name)
    # People write tp: 2 and feat_lora: true, and mean the text that the tag is.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and re.fullmatch(TAG, value):
        return value
    raise fields.wrong(Key(name), "is no value of a tag", "write a short text or a whole number")
