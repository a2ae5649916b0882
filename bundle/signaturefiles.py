"""The signature files on the media: whether each is whole, and the raw one beside it the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.errors import DrayError
from bundle.media import RECOPY, SIGNATURE_LIMIT
from bundle.signature import parse_sigstore
from bundle.trust import HARMLESS, SKIPPED
from bundle.verify import Finding

if TYPE_CHECKING:
    from bundle.media import Media
    from bundle.unseal import Sealed
    from bundle.verify import Report


def check_signatures(sealed: Sealed, media: Media, report: Report) -> None:
    """Report signature files that are damaged; one by a key that is not trusted is only noted."""
    beyond = [name for name, reason in sealed.ignored.items() if reason == SKIPPED]
    for name, reason in sealed.ignored.items():
        if reason in HARMLESS:
            report.notes.append(f"{name}: {reason}")
        elif reason != SKIPPED:
            report.bad.append(Finding("bad", name, reason, RECOPY))
    if beyond:
        message = f"{SKIPPED}, and {len(beyond) - 1} more are" if len(beyond) > 1 else SKIPPED
        report.bad.append(Finding("bad", beyond[0], message, "remove what nobody of yours made"))
    for name, places in media.listing.items():
        if not (media.is_signature(name) and name.endswith(".sig")):
            continue
        whole = media.places(name.removesuffix(".sig") + ".sigstore.json")
        for path in places:
            raw = media.read(path, SIGNATURE_LIMIT)
            if not any(_same_signature(media.read(other, SIGNATURE_LIMIT), raw) for other in whole):
                message = "is not the signature of the .sigstore.json beside it"
                report.bad.append(Finding("bad", str(path), message, RECOPY))


def _same_signature(sigstore: bytes, raw: bytes) -> bool:
    try:
        return parse_sigstore(sigstore).signature == raw
    except DrayError:
        return False
