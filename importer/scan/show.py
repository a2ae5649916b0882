"""What a malware scan says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.options import say
from bundle.progress import counted, human

if TYPE_CHECKING:
    from bundle.scanned import Scanned

SHOWN = 10


def show(scan: Scanned) -> None:
    """Print the verdict: who scanned how much, what nobody looked into, what was found."""
    for row in scan.found[:SHOWN]:
        say(f"FOUND {row.text} in {row.file or 'all'} of {row.blob}")
    for row in scan.unscanned[:SHOWN]:
        say(f"NOT SCANNED {row.file or 'all'} of {row.blob[:19]}: {row.text}")
    for rows in (scan.found, scan.unscanned):
        if len(rows) > SHOWN:
            say(f"    and {len(rows) - SHOWN} more, which the receipt names")
    signatures = f", signatures {scan.database} of {scan.made}" if scan.database else ""
    say(
        f"scanned: {counted(len(scan.clean), 'blob')} clean, {counted(scan.files, 'file')} of "
        f"{human(scan.size)} in all, by {scan.engine}{signatures}"
    )
    if earlier := sum(len(digests) for digests in scan.earlier.values()):
        say(f"scanned by earlier imports: {counted(earlier, 'blob')}, and not again")
    if scan.allowed:
        say(f"loaded although not all was scanned: {scan.allowed}")
