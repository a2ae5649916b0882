"""The contract as data: JSON Schemas (2020-12) of every document that dray writes or reads."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class SchemaFault(Exception):
    """A document does not obey its schema; ``path`` is the place as people write it."""

    def __init__(self, name: str, path: str, message: str) -> None:
        super().__init__(f"{name}: {path}: {message}")
        self.name = name
        self.path = path
        self.message = message


def load(name: str) -> dict[str, Any]:
    """Return a schema: ``manifest``, ``lock``, ``trust``, ``spec``; ``KeyError`` for another."""
    file = files(__package__) / f"{name}.schema.json"
    if not file.is_file():
        raise KeyError(name)
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schema


def validate(name: str, document: object) -> None:
    """Check ``document`` against the schema ``name``; raise :class:`SchemaFault`."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415  (0.2 s, and seldom needed)

    fault = best_match(_validator()(load(name)).iter_errors(document))
    if fault is not None:
        raise SchemaFault(name, fault.json_path, fault.message)


def _validator() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    return extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


def _pattern(_validator: object, pattern: str, text: object, _schema: object) -> Iterator[Any]:
    import re  # noqa: PLC0415

    from jsonschema import ValidationError  # noqa: PLC0415

    # JSON Schema means ECMA-262, where `$` is the end; in Python it is also before a last newline.
    strict = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(text, str) and not re.search(strict, text):
        yield ValidationError(f"{text[:100]!r} does not match {pattern!r}")
