"""What members and chunks cost in a file, as they are or encrypted: what packing counts with."""

from __future__ import annotations

from typing import Protocol

from bundle import segments, ustar


class Geometry(Protocol):
    """Bytes in a chunk's file."""

    def ends(self, prefix: int) -> int:
        """Return the bytes of whatever is no member, with a prefix of so many bytes."""

    def cost(self, size: int) -> int:
        """Return the bytes of a member with ``size`` bytes of data."""

    def most(self, room: int) -> int:
        """Return the most data, in whole records, of a member that takes ``room`` bytes."""

    def segments(self, prefix: int) -> int:
        """Return how many segments the prefix is; 0 where there are none."""

    def member_segments(self, size: int) -> int:
        """Return how many segments a member with ``size`` bytes of data is; 0 as above."""


class Plain:
    """Chunks as they are."""

    def ends(self, prefix: int) -> int:
        """Prefix and trailer."""
        return prefix + len(ustar.TRAILER)

    def cost(self, size: int) -> int:
        """Header, data, padding."""
        return ustar.span(size)

    def most(self, room: int) -> int:
        """All but the header."""
        return room // ustar.RECORD * ustar.RECORD - ustar.RECORD

    def segments(self, prefix: int) -> int:
        """None."""
        return 0

    def member_segments(self, size: int) -> int:
        """None."""
        return 0


class Encrypted:
    """Encrypted chunks: each segment takes some bytes more."""

    def ends(self, prefix: int) -> int:
        """The file's header, prefix and trailer."""
        return segments.ends_cost(prefix)

    def cost(self, size: int) -> int:
        """Header, data and padding, in their segments."""
        return segments.member_cost(size)

    def most(self, room: int) -> int:
        """All but the header's segment and what the others need."""
        return segments.most_data(room)

    def segments(self, prefix: int) -> int:
        """Those before the first member."""
        return segments.count(prefix)

    def member_segments(self, size: int) -> int:
        """Its header's, and those of its data."""
        return segments.member_segments(size)


PLAIN = Plain()
ENCRYPTED = Encrypted()
