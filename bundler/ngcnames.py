"""What NGC's things are called: ``org/name:version``, or ``org/team/name:version``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bundle.decode import Fields

WORD: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
VERSION: Final = r"[A-Za-z0-9][A-Za-z0-9._+~-]*"
LATEST: Final = "latest"
"""The label of whatever version NGC calls the latest: no version of its own has this name."""
HELM: Final = "https://helm.ngc.nvidia.com"


class Name(NamedTuple):
    """A name in its parts; ``team`` may be empty."""

    org: str
    team: str
    name: str
    version: str

    @property
    def repo(self) -> str:
        """The Helm repository in which a chart of this name lies: each org and team has one."""
        return "/".join(part for part in (HELM, self.org, self.team) if part)


def read(fields: Fields, kind: str) -> Name:
    """Read ``ngc``, the name of a ``kind``; raise the fault for anything else."""
    hint = f"write ngc: org/{kind}:version, or ngc: org/team/{kind}:version"
    head, colon, version = fields.text("ngc").partition(":")
    words = head.split("/")
    if len(words) not in {2, 3} or not all(re.fullmatch(WORD, word) for word in words):
        raise fields.wrong("ngc", f"is not the name of a {kind}", hint)
    if not colon or not re.fullmatch(VERSION, version):
        raise fields.wrong("ngc", "has no exact version", hint)
    org, team, name = words if len(words) == 3 else (words[0], "", words[1])
    return Name(org, team, name, version)
