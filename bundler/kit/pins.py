"""Versions and digests of a kit's wheels, as pip's requirements files have them, with hashes.

Source: pip's documentation, "Requirements File Format" and "Hash-checking Mode".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bundle.kit.document import Package

_LIMIT = 4 << 20
_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*==\s*([A-Za-z0-9._!+-]+)\s*(?:;[^\\]*)?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_HINT = "lines are NAME==VERSION --hash=sha256:…, as in a kit's .requirements.txt"


def spell(packages: Iterable[Package], tools: Iterable[Package] = ()) -> bytes:
    """Return the file of these wheels; dray's own is not in it, for it comes of its sources."""
    rows: dict[tuple[str, str], list[str]] = {}
    for package in (*packages, *tools):
        if package.name != "dray":
            name = canonical(package.name)
            rows.setdefault((name, package.version), []).append(package.digest.hex)
    lines = [
        " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{one}" for one in sorted(found))])
        for (name, version), found in sorted(rows.items())
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def load(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the version and the hex digests of each package; raise :class:`UsageError`."""
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", hint=_HINT) from None
    if len(data) > _LIMIT:
        raise UsageError(f"{path} is larger than any list of packages", hint=_HINT)
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        # The digests are cut off first: one pattern for all of it takes quadratic time.
        pin, *rest = re.split(r"\s+(?=--hash=)", line.partition(" #")[0].strip())
        match, digests = _PIN.fullmatch(pin), [_HASH.fullmatch(one) for one in rest]
        if not match or not digests or not all(digests) or canonical(match[1]) in found:
            raise UsageError(f"{path}: no pin, or one twice: {line.strip()[:80]!r}", hint=_HINT)
        found[canonical(match[1])] = (match[2], frozenset(one[1] for one in digests if one))
    return found


def check(name: str, digest: str, pinned: Mapping[str, tuple[str, frozenset[str]]]) -> None:
    """Raise :class:`SourceError` for a wheel that is not one of those that are pinned."""
    if digest not in pinned.get(canonical(name), ("", frozenset()))[1]:
        raise SourceError(
            f"the wheel of {name} has the digest sha256:{digest}, which is not pinned",
            hint="the index gives out another file than before: look at it, then pin it anew",
        )


def canonical(name: str) -> str:
    """Return a package's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
