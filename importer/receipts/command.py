"""What the high side has for receipts beyond showing them: its key, its list, import's options."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bundle.options import FILE, FOLDER, Group, ask, command, emit, option, say, warn
from bundle.receiptcommand import OUTCOMES, read_file, show, summary, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.trust import Trust
    from importer.receipts.writing import Scribe


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the options of an import say about its receipt."""

    path: Path | None
    key: Path | None

    def scribe(self, trust: Trust | None, only: str = "") -> Scribe:
        """Return who writes it; ``only`` are the kinds that are asked for.

        Raises :class:`bundle.errors.UsageError` for a key that is none.
        """
        from bundle.secretfile import RECEIPT, Passphrase  # noqa: PLC0415  (not for --help)
        from importer.receipts import signing  # noqa: PLC0415
        from importer.receipts.writing import Scribe  # noqa: PLC0415

        place = self.key or signing.find()
        if place is None:
            return Scribe(None, self.path, only)
        passphrase = Passphrase(ask=ask, variable=RECEIPT)
        key, warning = signing.load(place, trust, passphrase=passphrase)
        if warning:
            warn(warning)
        if trust and trust.receipts.keys and not trust.receipts.site(key.public_key):
            warn(
                "the trust file names other keys for receipts: the low side will not believe "
                "those that this key signs"
            )
        return Scribe(key, self.path, only)


def receipt_options(function: Callable[..., None]) -> Any:
    """Add ``--receipt`` and ``--receipt-key``; the function takes ``receipts``."""

    @wraps(function)
    def chosen(
        *arguments: Any, receipt: Path | None, receipt_key: Path | None, **named: Any
    ) -> None:
        function(*arguments, receipts=Chosen(receipt, receipt_key), **named)

    copy = option(
        "--receipt", type=FILE, help="Write a copy of the receipt there, for the low side."
    )
    key = option(
        "--receipt-key",
        type=FILE,
        help="Private key that signs the receipt [default: ~/.config/dray/receipt.key, if there].",
    )
    return copy(key(chosen))


@click.group("receipt", cls=Group, short_help="Show and verify what a high side says it loaded.")
def receipt() -> None:
    """Receipts: what an import verified and loaded, where, by whom; signed by the high side."""


@command("keygen", short_help="Make the key that signs this high side's receipts.")
@click.argument("folder", type=FOLDER, required=False)
@option("--no-passphrase", is_flag=True, help="Write the private key unencrypted.")
def keygen(folder: Path | None, *, no_passphrase: bool, as_json: bool) -> None:
    """Make receipt.key (secret) and receipt.pub in FOLDER, by default ~/.config/dray.

    An import takes the key from there by itself. Give the public one to the low side by another way
    than the receipts.
    """
    from bundle.secretfile import RECEIPT, Passphrase  # noqa: PLC0415  (not for --help)
    from importer.receipts import signing  # noqa: PLC0415

    asked = Passphrase(ask=ask, variable=RECEIPT)
    secret = None if no_passphrase else asked.find("the new key receipt", confirm=True)
    private, public, key = signing.generate(folder or signing.default_folder(), secret)
    if as_json:
        files = {"private": str(private), "public": str(public)}
        emit({**files, "fingerprint": str(key.fingerprint)})
        return
    say(f"wrote {private} (keep it secret) and {public}")
    say(f"fingerprint {key.fingerprint}")


@command("list")
@option("--stream", default="", metavar="NAME", help="Only receipts of this stream.")
def listing(stream: str, *, as_json: bool) -> None:
    """List the receipts of this host, and whether the ledger names each."""
    from bundle.errors import VerificationError  # noqa: PLC0415  (not for --help)
    from bundle.receipt import unproved  # noqa: PLC0415
    from importer.ledger.book import Ledger  # noqa: PLC0415
    from importer.receipts import shelf  # noqa: PLC0415

    known = Ledger.open().receipts()
    rows = []
    for path in shelf.listed():
        found = summary(unproved(read_file(path), what=str(path)))
        if not stream or found["stream"] == stream:
            rows.append({"file": str(path), **found, "inLedger": found["digest"] in known})
    strange = [row for row in rows if not row["inLedger"]]
    failure = (
        VerificationError(
            f"{strange[0]['file']} is not the receipt that this host's ledger names",
            hint="it was changed, or is older than a ledger that was begun anew, or its import was "
            "killed: run that import again for another one",
        )
        if strange
        else None
    )
    if as_json:
        emit({"receipts": rows} | ({"error": failure.to_dict()} if failure else {}))
    else:
        for row in rows:
            say(_line(row))
        if not rows:
            say("no import on this host has written a receipt yet")
    if failure:
        raise failure


def _line(row: dict[str, Any]) -> str:
    state = OUTCOMES[row["outcome"]]
    signed = "signed" if row["signed"] else "not signed"
    strange = "" if row["inLedger"] else "  NOT IN THE LEDGER"
    return f"{row['bundle']}  {row['ended']}  {state}, {signed}  {row['file']}{strange}"


for _command in (show, verify, keygen, listing):
    receipt.add_command(_command)
