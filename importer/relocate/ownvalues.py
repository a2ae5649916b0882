"""Values of the site for its charts: laid under those of the release, and not written anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.charts import helmyaml
from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.relocate.world import Stored

_LIMIT = 5 << 20


def read(arguments: Iterable[str], stored: Iterable[Stored]) -> dict[str, dict[str, Any]]:
    """Return the values by chart, from ``CHART=FILE``; raise :class:`UsageError`.

    A chart is known by the last part of its repository.
    """
    charts = {one.path.rpartition("/")[2] for one in stored if one.artifact.kind == "chart"}
    found: dict[str, dict[str, Any]] = {}
    for argument in arguments:
        name, equals, file = argument.partition("=")
        if not equals or name not in charts:
            raise UsageError(
                f"--values: {argument[:100]!r} names no chart that was loaded",
                hint=f"write CHART=FILE; there are {', '.join(sorted(charts)) or 'no charts'}",
            )
        if name in found:
            raise UsageError(f"--values: {name} has two files", hint="put them into one")
        found[name] = _load(file)
    return found


def _load(file: str) -> dict[str, Any]:
    try:
        data = Path(file).read_bytes()
        if len(data) > _LIMIT:
            raise ValueError(f"larger than {_LIMIT} bytes")
        tree = helmyaml.load(data.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {(error.strerror or '').lower()}") from None
    except ValueError as fault:
        raise UsageError(f"{file} holds no values: {fault}") from None
    if tree is not None and not isinstance(tree, dict):
        raise UsageError(f"{file} holds no values: it is no mapping")
    return tree or {}
