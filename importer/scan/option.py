"""The options of a malware scan, and what they make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bundle.options import option, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.manifest import Manifest
    from importer.scan.engine import Engine
    from importer.scan.scanner import Scanner


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the options say. ``max_age`` is in days, ``allow`` a reason."""

    address: str = ""
    max_age: int | None = None
    allow: str = ""
    again: bool = False

    def scanner(self, manifest: Manifest, receipts: Callable[[], Any] | None) -> Scanner | None:
        """Return the scanner, once its clamd was tried; None when none was named.

        ``receipts`` returns the digests that the ledger names, None counts no earlier scan. Raises
        as :func:`importer.scan.engine.examine`.
        """
        if not self.address:
            return None
        from importer.scan import address, earlier, engine  # noqa: PLC0415  (not for --help)
        from importer.scan.clamd import Clamd  # noqa: PLC0415
        from importer.scan.scanner import Scanner  # noqa: PLC0415

        place = address.parse(self.address)
        if not place.is_local:
            warn(f"clamd at {place}: what is scanned crosses the network, open and unproved")
        clamd = Clamd(place)
        found = engine.examine(clamd, max_age=self.max_age, allow=self.allow)
        _warn(found)
        done = earlier.clean(receipts()) if receipts and not self.again else {}
        return Scanner(clamd, found, manifest, allow=self.allow, earlier=done)


def _warn(found: Engine) -> None:
    from importer.scan.engine import STALE  # noqa: PLC0415  (not for --help)

    if found.age and found.age.days > STALE:
        warn(f"the signatures of clamd are {found.age.days} days old")
    if not found.limits:
        warn("clamd calls clean what is beyond its limits, unseen")
    if not found.encrypted:
        warn("clamd calls encrypted archives clean, unseen: AlertEncrypted is off in clamd.conf")


def scan_options(function: Callable[..., None]) -> Any:
    """Add the options of a malware scan; the function takes ``scan``."""

    @wraps(function)
    def chosen(
        *arguments: Any,
        clamd: str,
        clamd_max_age: int | None,
        allow_unscanned: str,
        scan_again: bool,
        **named: Any,
    ) -> None:
        made = Chosen(clamd.strip(), clamd_max_age, allow_unscanned.strip(), scan_again)
        function(*arguments, scan=made, **named)

    for add in reversed(_OPTIONS):
        chosen = add(chosen)
    return chosen


_OPTIONS = (
    option(
        "--clamd",
        default="",
        metavar="ADDRESS",
        help="Have everything scanned for malware by the clamd there: a socket's path, or "
        "HOST:PORT.",
    ),
    option(
        "--clamd-max-age",
        type=click.IntRange(0, 36500),
        metavar="DAYS",
        help="Refuse a clamd whose signatures are older.",
    ),
    option(
        "--allow-unscanned",
        default="",
        metavar="REASON",
        help="Take what clamd cannot look into: too large, encrypted, damaged.",
    ),
    option(
        "--scan-again",
        is_flag=True,
        help="Scan what earlier imports of this host have scanned as well.",
    ),
)
