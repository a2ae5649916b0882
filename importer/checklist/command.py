"""The command ``dray checklist``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundle.options import FILE, command, emit, option, say

if TYPE_CHECKING:
    from pathlib import Path


@command("checklist", short_help="What has to hold before production, by the records alone.")
@click.argument("receipt_file", metavar="[RECEIPT]", type=FILE, required=False)
@option(
    "--receipt-pub",
    "pubs",
    multiple=True,
    type=FILE,
    help="Public key of the high side that signed the receipt; repeatable [default: "
    "~/.config/dray/receipt.pub, if there].",
)
def checklist(receipt_file: Path | None, *, pubs: tuple[Path, ...], as_json: bool) -> None:
    """Answer, from what is signed and on record, what has to hold before production.

    RECEIPT is that of a promotion or an import, by default the last that has loaded anything. Each
    line is yes, no or unknown, with the record that says so; the exit code is 0 when all are yes,
    and else 7.
    """
    from bundle.errors import GateRefused, UsageError  # noqa: PLC0415  (not for --help)
    from bundle.receiptcommand import read_keys  # noqa: PLC0415
    from importer.checklist import lines  # noqa: PLC0415
    from importer.ledger.book import Ledger  # noqa: PLC0415
    from importer.promote import source  # noqa: PLC0415
    from importer.receipts import signing  # noqa: PLC0415

    ledger, keys = Ledger.open(), read_keys(pubs or signing.public())
    known = list(source.recorded(ledger))
    if receipt_file:
        found = source.vouched(receipt_file, keys, ledger)
    elif last := next((one for one in known if one.receipt.held), None):
        found = last
    else:
        hint = "name a receipt, and --receipt-pub for one of another host"
        raise UsageError("nothing was loaded at this host yet, by its ledger", hint=hint)
    said = found.receipt.promotion
    wanted = said.receipt if said else found.digest
    imported = next((one for one in (found, *known) if one.digest == wanted), None)
    rows = lines.of(found, imported, source.signer(found, keys))
    open_ = [row for row in rows if row.answer != lines.YES]
    failure = None
    if open_:
        names = ", ".join(f"{row.name} ({row.answer})" for row in open_)
        failure = GateRefused(
            f"{found.receipt.bundle.name} is not ready by the records: {names}",
            hint="docs/gates.md says for each line what makes it a yes",
        )
    if as_json:
        body = {"bundle": found.receipt.bundle.name, "receipt": str(found.digest)}
        error = {"error": failure.to_dict()} if failure else {}
        emit({**body, "ready": not open_, "checks": [row.to_dict() for row in rows], **error})
    else:
        say(f"{found.receipt.bundle.name}  {found.path}")
        for row in rows:
            say(f"{row.answer:<8} {row.name:<12} {row.says}  [{row.record}]")
    if failure:
        raise failure
