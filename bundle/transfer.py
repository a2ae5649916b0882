"""A stream of bytes that survives cuts: reopened where it broke off, until it is whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from bundle.errors import SourceError, VerificationError
from bundle.http import Interrupted, backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from bundle.errors import TransferError

    OpenAt = Callable[[int], AbstractContextManager[Iterator[bytes]]]


class OpenRange(Protocol):
    """Opens one thing at an offset, or a range of it, in bytes, for one attempt."""

    def __call__(
        self, offset: int, end: int | None = None, /
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open it from ``offset`` on; up to ``end`` and no further where that is given.

        Without an end, a server that has no ranges is read from the start, and its first bytes are
        thrown away. With one, that raises :class:`bundle.whole.Unranged`.
        """
        ...


def resume(
    open_at: OpenAt,
    *,
    size: int,
    start: int = 0,
    what: str,
    attempts: int = 8,
    sleep: Callable[[float], object] = time.sleep,
    error: type[TransferError] = SourceError,
) -> Generator[bytes]:
    """Yield the bytes from ``start`` to ``size``, each once, reopening at the offset reached.

    ``attempts`` is how often in a row nothing may come before ``error`` is raised; bytes that came
    start the count anew. More than ``size`` bytes raise :class:`bundle.errors.VerificationError`.
    Close the iterator to let the connection go early. Nothing is verified here but the length.
    """
    offset, failures = start, 0
    while offset < size:
        before = offset
        try:
            with open_at(offset) as blocks:
                for block in blocks:
                    offset += len(block)
                    if offset > size:
                        msg = f"{what} is longer than the {size} bytes that are pinned"
                        raise VerificationError(msg)
                    yield block
            if offset < size:
                msg = f"ended after {offset} of {size} bytes"
                raise Interrupted(msg)
        except Interrupted as pause:
            failures = 1 if offset > before else failures + 1
            if failures >= attempts:
                msg = f"{what}: {pause} (tried {failures} times)"
                hint = "run the same command again: it goes on from here"
                raise error(msg, hint=hint) from None
            sleep(backoff(failures, pause.retry_after))
