"""Which of two versions of a package is the older one.

Source: Python packaging specifications, "Version specifiers" (PEP 440), ordering. Nothing else of
the bundle is imported: a kit's installer calls this too.
"""

import re

_VERSION = re.compile(
    r"(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[._-]?(a|b|rc)[._-]?(\d*))?"
    r"(?:(?:[._-]?post[._-]?|-)(\d*))?(?:[._-]?(dev)[._-]?(\d*))?(?:\+[a-z0-9._-]+)?"
)
_FIRST, _LAST = ("",), ("z",)


def key(text: str) -> tuple[object, ...]:
    """Return what versions are ordered by; one that is no version is older than any that is."""
    match = _VERSION.fullmatch(text.strip().lower()[:100])
    if not match:
        return (-1,)
    epoch, release, phase, count, post, dev, number = match.groups()
    numbers = [int(part) for part in release.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    pre: tuple[object, ...] = (phase, int(count or 0)) if phase else _LAST
    if dev and not phase and post is None:
        pre = _FIRST
    after = -1 if post is None else int(post or 0)
    before = int(number or 0) if dev else 1 << 62
    return (int(epoch or 0), tuple(numbers), pre, after, before)


def older(new: dict[str, str], installed: dict[str, str]) -> list[str]:
    """Return what is older in ``new`` than what is installed, a line each; by package name."""
    have = {_name(name): version for name, version in installed.items()}
    return [
        f"{name} {version}, and {have[_name(name)]} is installed"
        for name, version in sorted(new.items())
        if _name(name) in have and key(version) < key(have[_name(name)])
    ]


def installed() -> dict[str, str]:
    """Return the versions of what this program runs with, by name in lower case."""
    from importlib import metadata  # noqa: PLC0415  (not for --help)

    found: dict[str, str] = {}
    for one in metadata.distributions():
        if name := one.metadata["Name"]:
            found.setdefault(name.lower(), one.version)  # the first on the path is the one imported
    return found


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()
