"""What a program that dray starts is told, and how much of its answer is read.

It is told the caller's environment, without dray's own secrets.

The environment of a process can be read by its user, by what it starts in turn, and out of its
crash reports. A signer has no need of the passphrase of another key, nor a credential helper of
the key for NGC. What else a program needs (a PIN, the account of a cloud) is the caller's to give.
"""

from __future__ import annotations

import os
import selectors
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import IO

    from bundle.errors import DrayError

OURS = ("DRAY_", "NGC_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""What the names of variables begin with that are for dray alone, and its upstreams."""
MAX_ANSWER = 64 << 10
"""The most bytes that are read from a command: a key, a signature or a credential is far smaller.

Tokens of Amazon's, Google's and Azure's registries, which are the longest, have 1 to 5 KB.
"""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child process, and ``more`` with it."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **(more or {})}


def blocks(pipe: IO[bytes], end: float) -> Iterator[bytes]:
    """Yield what a program prints until it closes ``pipe``.

    Raises ``TimeoutError`` when ``time.monotonic()`` is beyond ``end`` before that. Whatever else
    holds the other end of the pipe does not hold dray.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            block = os.read(pipe.fileno(), MAX_ANSWER)
            if not block:
                return
            yield block


def joined(parts: Iterable[bytes], fault: DrayError) -> bytes:
    """Return an answer that comes in parts; raise ``fault`` when it is too long."""
    answer = bytearray()
    for part in parts:
        answer += part
        if len(answer) > MAX_ANSWER:
            raise fault
    return bytes(answer)
