"""The checks of whom and what the high side believes: trust files, clocks, what is printed."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_TRUST = ("tests/importer/trust/test_commands.py",)
HIGH_SIDE = (
    Sabotage(
        "bundle/trustchain.py",
        "tuple(sorted(frozenset().union(*roots)))",
        "tuple(sorted(version.signatures))",
        tests=_TRUST,
    ),
)
