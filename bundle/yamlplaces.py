"""Where the keys and nodes of a YAML document start: two numbers each, for there are very many."""

from __future__ import annotations

from array import array


class Places:
    """Where the keys and nodes of a document start, in the order in which they do.

    There are very many, so each is a row of two numbers: its position (``line << 32 | column``,
    from 0), and the row after the last one of what is in it.
    """

    __slots__ = ("_inside", "after", "start")

    def __init__(self) -> None:
        self.start = array("Q")
        self.after = array("I")
        self._inside: dict[int, dict[str | int, int]] = {}

    def add(self, line: int, column: int) -> int:
        """Add a row, with nothing in it, and return its number."""
        row = len(self.start)
        self.start.append(line << 32 | column)
        self.after.append(row + 1)
        return row

    def close(self, row: int) -> None:
        """Note that what was added since is in ``row``."""
        self.after[row] = len(self.start)

    def inside(self, row: int, value: object) -> dict[str | int, int]:
        """Return the rows of a list's items, or of a mapping's keys: a value's is the next one."""
        if row not in self._inside:
            found: dict[str | int, int] = {}
            at = row + 1
            if isinstance(value, dict):
                for key in value:
                    found[key], at = at, self.after[at + 1]
            elif isinstance(value, list):
                for number in range(len(value)):
                    found[number], at = at, self.after[at]
            self._inside[row] = found
        return self._inside[row]
