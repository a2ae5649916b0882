"""How a Harbor is spoken to, and what is said where it does not become well again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from bundle.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.errors import TransferError
    from bundle.hosts import Host
    from bundle.http import Interrupted

_AGAIN = "then run the same command again: it goes on from here"
_HINTS = {
    404: "several replicas of its registry without shared storage, or with different http.secret,"
    f" lose uploads: its operator has to mend that, {_AGAIN}",
    429: "something before it limits requests: run the same command later, or with connections: 1 "
    "in a target file",
    500: "its answer never says why: whoever runs it has to look for that request in core.log,"
    f" {_AGAIN}",
    502: f"Harbor, or the proxy before it, is down or restarting: wait for it, {_AGAIN}",
    503: f"Harbor, or the proxy before it, is down or restarting: wait for it, {_AGAIN}",
    504: "a proxy before it waits too short a time: its operator has to raise the limits (nginx:"
    f" proxy_read_timeout and proxy_send_timeout 900s), {_AGAIN}",
}


class HarborHttp(Http):
    """The HTTP client of one Harbor; failures are raised as :class:`TargetError`."""

    def __init__(
        self,
        known: Mapping[str, Host],
        *,
        sleep: Callable[[float], object] = time.sleep,
        retries: int = 6,
    ) -> None:
        super().__init__(known, error=TargetError, retries=retries, sleep=sleep)

    def gave_up(self, pause: Interrupted, attempts: int) -> TransferError:
        """Return the error for a failure that did not pass, and who has to do what about it."""
        error = super().gave_up(pause, attempts)
        error.hint = _HINTS.get(pause.status or 0, error.hint)
        return error
