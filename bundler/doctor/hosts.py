"""The hosts of a run: reached or blocked, whose certificate they show, how their clocks stand."""

from __future__ import annotations

import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from bundle.errors import DrayError, SourceError
from bundler.doctor import certificates
from bundler.doctor.findings import Finding, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundle.http import Http

GROUP: Final = "host"
SKEW: Final = 60.0
"""Seconds by which clocks may differ before it is said."""
API, AUTHN = "api.ngc.nvidia.com", "authn.nvidia.com"
NVCR, LAYERS = "nvcr.io", "layers.nvcr.io"
XFILES, HELM = "xfiles.ngc.nvidia.com", "helm.ngc.nvidia.com"
NEEDED: Final = {NVCR: (NVCR, LAYERS), HELM: (HELM, XFILES), API: (API, XFILES)}
"""Which hosts NGC's content comes from, by the host that is asked for it."""
NGC: Final = frozenset({API, AUTHN, NVCR, LAYERS, XFILES, HELM})


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a host: whether it answered, and by how many seconds its clock is ahead."""

    finding: Finding
    ahead: float | None = None

    @property
    def down(self) -> bool:
        """Whether nothing can be had from it."""
        return self.finding.verdict == "fail"


def look(http: Http, host: str, wanted: Sequence[str]) -> Look:
    """Reach a host once; ``wanted`` are all hosts that this run needs, for whoever opens them."""
    try:
        base = http.base(host)
        before = time.time()
        answer = http.request("HEAD", f"{base}/", ok=range(100, 600), limit=1 << 16)
        now = (before + time.time()) / 2
    except DrayError as error:
        return Look(failure(GROUP, host, "reach", _explained(http, host, error, wanted)))
    ahead = None
    with suppress(ValueError, OverflowError):
        ahead = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() - now
    finding = Finding(GROUP, host, "reach", "ok", f"answers ({answer.status})")
    return Look(_issued(http, host, base, finding), ahead)


def clock(looks: Sequence[Look]) -> list[Finding]:
    """Return the finding about this host's clock, by the ``Date`` of those that answered."""
    known = [(abs(seen.ahead), seen) for seen in looks if seen.ahead is not None]
    if not known:
        return []
    _, seen = min(known, key=lambda pair: pair[0])  # one clock that is wrong is its own
    ahead, host = seen.ahead or 0.0, seen.finding.item
    if abs(ahead) <= SKEW:
        return [Finding(GROUP, "clock", "clock", "ok", f"as that of {host}")]
    side = "behind" if ahead > 0 else "ahead of"
    return [
        Finding(
            GROUP,
            "clock",
            "clock",
            "warn",
            f"the clock of this host is {abs(ahead):.0f} s {side} that of {host}",
            "set it by NTP: certificates, tokens and the dates in a bundle depend on it",
            "clock-skew",
        )
    ]


def _explained(http: Http, host: str, error: DrayError, wanted: Sequence[str]) -> DrayError:
    if re.search(r"certificate|does not speak TLS", error.message):
        issuer = certificates.issuer(http, host)
        by = f"; it was issued by {issuer!r}" if issuer else ""
        return SourceError(
            f"{error.message}{by}: something on the way may open TLS",
            hint=f"let {host} pass unopened, or give that proxy's CA file: ca: for {host} under "
            "registries:, or REQUESTS_CA_BUNDLE",
            case="tls-inspection",
        )
    return SourceError(
        f"{host} can't be reached: {error.message}",
        hint=f"allow hosts: {', '.join(wanted)} (port 443), in the proxy or firewall",
        case="blocked-host",
    )


def _issued(http: Http, host: str, base: str, finding: Finding) -> Finding:
    known = http.hosts.get(host)
    if host not in NGC or (known and known.endpoint) or not base.startswith("https:"):
        return finding
    with suppress(OSError, ssl.SSLError):
        issuer = certificates.issuer(http, host)
        if issuer and certificates.inspects(issuer):
            return Finding(
                GROUP,
                host,
                "reach",
                "warn",
                f"the certificate of {host} is issued by {issuer!r}, not by a public authority: "
                "something on the way opens TLS",
                "it may change, cut or slow down large files: let the hosts of NGC pass unopened",
                "tls-inspection",
            )
    return finding


def needed(hosts: Sequence[str], *, legacy: bool, api: bool) -> list[str]:
    """Return the hosts to look at, and to be let through, for what the spec names."""
    found: dict[str, None] = {}
    for host in hosts:
        found |= dict.fromkeys(NEEDED.get(host, (host,)))
    if api:
        found[API] = None
    if legacy:
        found[AUTHN] = None
    return list(found)


def each(
    http: Http, hosts: Sequence[str], run: Callable[[Callable[[str], Look]], list[Look]]
) -> dict[str, Look]:
    """Look at every host, by ``run`` in parallel."""
    return {seen.finding.item: seen for seen in run(lambda host: look(http, host, hosts))}
