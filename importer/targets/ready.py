"""What a target's preflight found: each problem with the sentence that says who must do what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Problem:
    """What would fail, and the sentence that says who must do what."""

    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}"


class NotReady(TargetError):
    """A target that would not take what is to be sent; nothing was sent. ``label`` names it."""

    def __init__(self, label: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        if len(problems) == 1:
            super().__init__(problems[0].message, hint=problems[0].hint, case="preflight")
            return
        lines = "".join(f"\n  {number}. {one}" for number, one in enumerate(problems, 1))
        message = f"{label} is not ready, for {len(problems)} reasons; nothing was sent{lines}"
        super().__init__(message, case="preflight")

    def to_dict(self) -> dict[str, object]:
        """Return the failure as ``--json`` prints it, each problem by itself."""
        rows = [{"message": one.message, "hint": one.hint} for one in self.problems]
        return {**super().to_dict(), "problems": rows}
