"""Where clamd listens: a Unix socket, or a host and a port."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from bundle.errors import UsageError

PORT = 3310
"""What clamd.conf has as TCPSocket by convention."""
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,39}\]"
_FORMS = "a socket's path (/run/clamav/clamd.ctl), or HOST:PORT"


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket's ``path``, or ``host`` and ``port``."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """Return it as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether what is sent there stays on this host, by what the address says."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(text: str) -> Address:
    """Read ``/path``, ``unix:/path``, ``HOST``, ``HOST:PORT`` or ``tcp://HOST:PORT``.

    Raises :class:`UsageError`.
    """
    rest = text.removeprefix("unix://").removeprefix("unix:")
    if rest.startswith("/"):
        if "\0" in rest or len(rest.encode("utf-8", "surrogateescape")) > 107:
            raise UsageError("--clamd: no socket can have such a long path", hint=_FORMS)
        return Address(path=rest)
    found = re.fullmatch(rf"(?:tcp://)?({_HOST})(?::([0-9]{{1,5}}))?", text)
    if not found or not 0 < (port := int(found[2] or PORT)) < 65536:
        # Not repeated in the message: whatever was pasted there may be a secret.
        raise UsageError("--clamd is no address", hint=f"write {_FORMS}")
    return Address(host=found[1].strip("[]"), port=port)
