"""The high side's commands: options to calls, and results to text."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundle.errors import DrayError, UsageError
from bundle.kit.command import group as kit
from bundle.options import (
    command,
    emit,
    option,
    stoppable,
    trust_options,
)
from importer import opening
from importer.checklist.command import checklist
from importer.harbor.command import harbor
from importer.ledger.command import ledger
from importer.option import decrypt_options, override_options, policy_option, quarantine_option
from importer.promote.command import promote
from importer.receipts.command import receipt, receipt_options
from importer.receipts.recording import on_record
from importer.relocate.command import relocate
from importer.repair.command import repair
from importer.scan.option import scan_options
from importer.serve.command import serve
from importer.status.command import status
from importer.trust.command import trust as trust_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.admission import Overrides
    from importer.load import Outcome
    from importer.option import Decryption
    from importer.receipts.command import Chosen
    from importer.scan.option import Chosen as Scan

FOLDERS = click.Path(path_type=Path)


def commands() -> list[click.Command]:
    """Return the commands of the high side."""
    return [
        *(inspect, verify, repair, load, promote, checklist, relocate, serve, status),
        *(trust_file, ledger, receipt, harbor, kit()),
    ]


def _error(check: Callable[[], object]) -> DrayError | None:
    try:
        check()
    except DrayError as error:
        return error
    return None


@command("inspect")
@click.argument("folders", nargs=-1, required=True, type=FOLDERS)
@trust_options
@option("--files", is_flag=True, help="List every file, layer and manifest.")
def inspect(
    folders: tuple[Path, ...], trust: Path | None, pub: Path | None, *, files: bool, as_json: bool
) -> None:
    """Show what a bundle holds; only its signature is verified."""
    from importer import report

    _media, sealed, _trusted = opening.unsealed(folders, trust, pub)
    if as_json:
        emit(
            {
                "manifestDigest": str(sealed.digest),
                "signers": list(sealed.signers.names),
                **sealed.manifest.to_dict(),
            }
        )
    else:
        report.tree(sealed, files=files)


@command("verify", short_help="Check signature, chunks and blobs; name what is bad and where.")
@click.argument("folders", nargs=-1, required=True, type=FOLDERS)
@trust_options
@override_options
@decrypt_options
@option(
    "--quick", is_flag=True, help="Signature, names, sizes and the ends of chunks; no blob is read."
)
@policy_option
@scan_options
def verify(  # noqa: PLR0913
    folders: tuple[Path, ...],
    trust: Path | None,
    pub: Path | None,
    decryption: Decryption,
    *,
    overrides: Overrides,
    policy: Path | None,
    scan: Scan,
    quick: bool,
    as_json: bool,
) -> None:
    """Check signature, chunks and every blob; name what is bad and where. No medium is touched.

    Give the folders of all media at once, or of one drive at a time: what was good is noted, for
    dray status. Without its key, an encrypted chunk is compared with the digest of its file, and
    not opened.
    """
    from bundle import verify as checking
    from bundle.progress import bar
    from bundle.reader import Reader
    from bundle.signaturefiles import check_signatures
    from importer import report, signedby
    from importer.scan.whole import whole
    from importer.status import seen

    media, sealed, trusted = opening.unsealed(folders, trust, pub)
    if quick and scan.address:
        raise UsageError("--quick reads no blob, and --clamd wants all of them", hint="leave one")
    scanner = scan.scanner(sealed.manifest, None)
    recipient = opening.recipient(sealed, trusted, decryption)
    here = sum(c.size for c in sealed.manifest.chunks if media.places(c.name))
    with bar(here, "verifying", quiet=as_json) as on_bytes:
        result = checking.verify(
            sealed.manifest, media, on_bytes=on_bytes, deep=not quick, recipient=recipient
        )
    check_signatures(sealed, media, result)
    if not (quick or result.bad):
        seen.note(sealed, [c.name for c in sealed.manifest.chunks if media.places(c.name)])
    refusal = _error(result.raise_for_findings) or _error(
        lambda: opening.admission(sealed, overrides).judge()
    )
    judged = None
    if policy and not refusal:
        reader = Reader(sealed.manifest, media, recipient)
        judged = signedby.judge(policy, reader, sealed.manifest.artifacts)
        refusal = judged.refused
    scanned = None
    if scanner and not refusal:
        refusal = whole(scanner, Reader(sealed.manifest, media, recipient), quiet=as_json)
        scanned = scanner.record()
    report.verified(sealed, result, judged, refusal, as_json=as_json, quick=quick, scanned=scanned)
    if refusal:
        raise refusal


@command("import", short_help="Verify a bundle and load it into a target, in one pass.")
@click.argument("folders", nargs=-1, required=True, type=FOLDERS)
@option(
    "--to",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="A folder, registry://host/prefix, s3://bucket/prefix or a target file; repeatable "
    "[default: ./warehouse].",
)
@trust_options
@override_options
@decrypt_options
@option(
    "--ignore-mirror",
    default="",
    metavar="REASON",
    help="Go by this host's ledger alone, whatever copies at the targets say.",
)
@option(
    "--only",
    default="",
    metavar="KIND,…",
    help="Load only these kinds: image, chart, model, resource, file.",
)
@receipt_options
@option("--plan", "plan_only", is_flag=True, help="Show exactly what would happen, and stop.")
@option("--verify-first", is_flag=True, help="Read and verify everything before the first upload.")
@policy_option
@scan_options
@quarantine_option
def load(  # noqa: PLR0913
    folders: tuple[Path, ...],
    targets: tuple[str, ...],
    trust: Path | None,
    pub: Path | None,
    only: str,
    *,
    overrides: Overrides,
    decryption: Decryption,
    policy: Path | None,
    scan: Scan,
    quarantine: str,
    receipts: Chosen,
    plan_only: bool,
    verify_first: bool,
    as_json: bool,
) -> None:
    """Verify a bundle and load it, in one pass; names appear when all of it was verified."""
    from importer import report, session

    media, sealed, trusted = opening.unsealed(folders, trust, pub)
    admission = opening.admission(sealed, overrides)
    run = session.Session(
        admission, media, targets or ("warehouse",), only, quarantine, quiet=as_json
    )
    if not plan_only:
        run.scribe = receipts.scribe(trusted, only)
    record = nullcontext() if plan_only else on_record(run, as_json=as_json)
    with stoppable() as run.stop, record:
        admission.judge()
        run.scanner = scan.scanner(sealed.manifest, admission.ledger.receipts)
        run.recipient = opening.recipient(sealed, trusted, decryption)
        try:
            plan = run.plan(verify_first=verify_first, policy=policy)
            if plan_only:
                report.plan(plan, as_json=as_json)
                return
            if not as_json:
                report.forewarned(plan)
            outcome: Outcome = run.load(plan)
        finally:
            run.close()
    failure = outcome.failure()
    report.loaded(
        sealed,
        plan,
        outcome,
        run.targets,
        run.scribe,
        failure,
        as_json=as_json,
        scanned=admission.scan,
    )
    if failure:
        raise failure
