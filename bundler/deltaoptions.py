"""The options of an export that say which receipts came back, and whose signatures count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from bundle.options import FILE, option, warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.receiptkeys import ReceiptKeys
    from bundler.delta import Delta
    from bundler.lock import Lock


@dataclass(frozen=True, slots=True)
class Since:
    """The receipts that were given; nothing is read yet."""

    paths: tuple[Path, ...]
    pubs: tuple[Path, ...]
    unsigned: bool

    def delta(self, lock: Lock, trust: Path | None = None) -> Delta:
        """Verify the receipts and return what may be left out.

        Without keys that were named, those count that the trust file at ``trust`` has for receipts.
        Raises :class:`bundle.errors.NotTrusted`, and :class:`bundle.errors.UsageError` when it is
        not said whose signatures count.
        """
        from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)
        from bundle.receipt import unproved, unseal  # noqa: PLC0415
        from bundle.receiptcommand import read_file, read_keys  # noqa: PLC0415
        from bundle.receiptkeys import ReceiptKeys  # noqa: PLC0415
        from bundler import delta  # noqa: PLC0415

        if self.pubs and self.unsigned:
            raise UsageError("--receipt-pub and --unsigned-receipt exclude each other", hint=_KEY)
        named = read_keys(self.pubs)
        known = ReceiptKeys() if named or self.unsigned else _of_trust_file(trust)
        keys, found = named or known.keys, []
        for path in self.paths:
            data, what = read_file(path), str(path)
            found.append(unseal(data, keys, what=what) if keys else unproved(data, what=what))
            if not keys:
                warn(f"{path}: nobody's signature was verified: what it says may not be so")
        return delta.make(lock, found, known)


def _of_trust_file(place: Path | None) -> ReceiptKeys:
    """Return the keys for receipts of the trust file; it must be one, name some, and not be old."""
    from bundle import instant, trust  # noqa: PLC0415  (not for --help)
    from bundle.errors import UsageError  # noqa: PLC0415

    if place is None or not place.is_file():
        raise UsageError("--since needs the high side's public key", hint=_KEY)
    found = trust.load(place)
    found.check_current(instant.now())
    found.receipts.require()
    return found.receipts


_KEY = (
    "dray trust add receipt.pub --receipts --name SITE, once; or --receipt-pub receipt.pub; or "
    "--unsigned-receipt, which believes anybody"
)


def delta_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add them; the command gets ``since``."""

    @wraps(function)
    def command(
        *arguments: Any,
        since_receipts: tuple[Path, ...],
        receipt_pubs: tuple[Path, ...],
        unsigned_receipt: bool,
        **named: Any,
    ) -> Any:
        since = Since(since_receipts, receipt_pubs, unsigned_receipt)
        return function(*arguments, since=since, **named)

    for add in (
        option(
            "--unsigned-receipt",
            is_flag=True,
            help="With --since: believe the receipts, whoever wrote them.",
        ),
        option(
            "--receipt-pub",
            "receipt_pubs",
            type=FILE,
            multiple=True,
            metavar="FILE",
            help="With --since: public key (PEM) of the high side; repeatable "
            "[default: those for receipts in trust.json beside SPEC].",
        ),
        option(
            "--since",
            "since_receipts",
            type=FILE,
            multiple=True,
            metavar="RECEIPT",
            help="Leave out what the high side has by this receipt of an import; repeatable.",
        ),
    ):
        command = add(command)
    return command
