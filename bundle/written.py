"""Numbers that still know how they were written."""

from __future__ import annotations


class Float(float):
    """A number with a fraction or an exponent, which still knows how it was written.

    ``25.10`` is a version that somebody forgot to quote: the hint has to show it as it stands.
    """

    __slots__ = ("source",)
    source: str

    def __new__(cls, source: str) -> Float:
        """Return the number that ``source`` spells."""
        number = super().__new__(cls, source)
        number.source = source
        return number

    def __str__(self) -> str:
        return self.source

    __repr__ = __str__
