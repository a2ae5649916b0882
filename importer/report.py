"""What inspect, verify and import say to people and machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.errors import MediaIncomplete, VerificationError
from bundle.options import emit, say
from bundle.progress import counted, human
from bundle.required import REQUIRED, left_out
from bundle.upstream.show import spelt
from importer.scan.show import show

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from bundle.artifact import Artifact
    from bundle.digest import Digest
    from bundle.errors import DrayError
    from bundle.manifest import Manifest
    from bundle.scanned import Scanned
    from bundle.unseal import Sealed
    from bundle.verify import Finding, Report
    from importer.load import Outcome
    from importer.plan import Plan
    from importer.receipts.writing import Scribe
    from importer.signedby import Judged
    from importer.targets.base import Target


def _error(error: DrayError | None) -> dict[str, object]:
    return {"error": error.to_dict()} if error else {}


def tree(sealed: Sealed, *, files: bool) -> None:
    """Print what a bundle holds."""
    manifest = sealed.manifest
    say(f"{manifest.name}  created {manifest.created}  expires {manifest.expires}")
    say(f"manifest {sealed.digest}")
    say(f"signed by {sealed.signers} ({sealed.signers.threshold} needed)")
    if manifest.recipients:
        say(f"encrypted to {', '.join(digest.short for digest in manifest.recipients)}")
    if text := left_out(manifest):
        say(text)
    left = {blob.digest for blob in manifest.blobs if blob.encoding == REQUIRED}
    for artifact in manifest.artifacts:
        _artifact(artifact, left, files=files)
    total = sum(chunk.size for chunk in manifest.chunks)
    numbers = {"artifact": manifest.artifacts, "blob": manifest.blobs, "chunk": manifest.chunks}
    say(", ".join([*(counted(len(found), noun) for noun, found in numbers.items()), human(total)]))
    sizes = {chunk.number: chunk.size for chunk in manifest.chunks}
    for medium in manifest.media:
        on_it = sum(sizes[number] for number in medium.chunks)
        say(f"medium {medium.number}: {counted(len(medium.chunks), 'chunk')}, {human(on_it)}")
    if spare := [file for group in manifest.parity for file in group.files]:
        most = max(len(group.chunks) for group in manifest.parity)
        size = human(sum(file.size for file in spare))
        count = counted(len(spare), "parity file")
        say(f"parity: {count} for groups of {counted(most, 'chunk')} at most, {size}")


def _artifact(artifact: Artifact, left: Container[Digest], *, files: bool) -> None:
    say(f"├─ {artifact.kind} {artifact.name}  {human(artifact.size)}  {artifact.root[:19]}")
    for key, text in sorted(artifact.notes.items()):
        say(f"│    {key}: {text}")
    for line in spelt(artifact, artifact.upstream):
        say(f"│    {line}, says the low side")
    absent = {c.digest: c.size for c in artifact.contents if c.digest in left}
    if absent:
        say(f"│    left out: {counted(len(absent), 'blob')}, {human(sum(absent.values()))}")
    shown = artifact.contents if files else tuple(artifact.files)[:0]
    for content in shown:
        what = content.path or " ".join([*content.tags, content.platform]).strip()
        say(
            f"│    {content.role:9}{human(content.size):>9}  {content.digest[:19]}  {what}".rstrip()
            + "  left out" * (content.digest in left)
        )


def verified(
    sealed: Sealed,
    report: Report,
    judged: Judged | None,
    refusal: DrayError | None,
    *,
    as_json: bool,
    quick: bool,
    scanned: Scanned | None = None,
) -> None:
    """Print what a verification found; ``refusal`` is what the command ends with."""
    manifest = sealed.manifest
    if as_json:
        emit(
            {
                "bundle": manifest.name,
                "manifest": str(sealed.digest),
                "signers": list(sealed.signers.names),
                "ok": refusal is None,
                "checkedBytes": report.checked,
                "opened": report.opened,
                "bad": [finding.to_dict() for finding in report.bad],
                "missing": [finding.to_dict() for finding in report.missing],
                "notes": report.notes,
                **({"policy": judged.to_dict()} if judged else {}),
                **({"scan": scanned.to_dict()} if scanned else {}),
                **_error(refusal),
            }
        )
        return
    say(f"{manifest.name}: signed by {sealed.signers}, manifest {sealed.digest}")
    for note in report.notes:
        say(f"note: {note}")
    absent = {finding.file for finding in report.missing}
    chunks = {chunk.name for chunk in manifest.chunks}
    spare = {file.name for group in manifest.parity for file in group.files}
    for finding in report.bad:
        _finding("BAD", finding)
    for finding in report.missing:
        if finding.file not in chunks | spare:
            _finding("MISSING", finding)
    _media(manifest, absent)
    if report.bad:
        return
    here = len(chunks - absent)
    of = f" of {len(chunks)}" if chunks & absent else ""
    what = "names and sizes" if quick else f"{here}{of} {'chunk' + 's' * (here != 1)}, every byte"
    if not report.opened:
        key = "neither --decrypt-key nor --decryptor was given"
        say(f"note: the chunks are encrypted, and were not opened: {key}")
        what += "" if quick else " of the files"
    say(f"verified: {what}, {human(report.checked)} read")
    if judged:
        judged.show()
    if scanned:
        show(scanned)


def _finding(word: str, finding: Finding) -> None:
    say(f"{word} {finding.file}: {finding.message}")
    if finding.artifacts:
        say(f"    needed by {_few(finding.artifacts)}")
    if finding.hint:
        say(f"    {finding.hint}")


def _media(manifest: Manifest, absent: set[str]) -> None:
    """Print for each medium what of it is not here: one line, however many files they are."""
    for medium in manifest.media:
        parities = (file for group in manifest.parity for file in group.files)
        spare = [f.name for f in parities if f.medium == medium.number and f.name in absent]
        names = [manifest.chunks[number - 1].name for number in medium.chunks]
        lacking = [name for name in names if name in absent]
        if lacking or spare:
            which = f"medium {medium.number} of {len(manifest.media)}"
            amount = f"{len(lacking)} of {counted(len(names), 'chunk')}" if lacking else ""
            amount += " and " * bool(lacking and spare)
            amount += counted(len(spare), "parity file") if spare else ""
            say(f"MISSING {which}: {amount} not here: {_few([*lacking, *spare])}")


def _withheld(outcome: Outcome) -> str:
    if any(isinstance(error, VerificationError) for error in outcome.failures.values()):
        return "its bytes are not all as signed"
    if any(isinstance(error, MediaIncomplete) for error in outcome.failures.values()):
        return "not all of it is here"
    return "not all of it passed the scan"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def plan(made: Plan, *, as_json: bool) -> None:
    """Print what an import would do."""
    document = made.to_dict()
    if as_json:
        emit(document)
        return
    for row in document["artifacts"]:
        copied = row.get("copy", 0)
        words = [f"send {human(row['send'])}"] * bool(row["send"])
        words += [f"copy {human(copied)} that is there"] * bool(copied)
        state = ", ".join(words) or "there already"
        say(f"{row['kind']:9}{row['name']} -> {row['place']}  {state}")
    forewarned(made)
    say(f"{human(made.to_read)} to read from the media, {human(made.present)} there already")


def forewarned(made: Plan) -> None:
    """Print what is no obstacle to an import, and had better be known."""
    for note in made.notes:
        say(f"note: {note}")


def loaded(
    sealed: Sealed,
    made: Plan,
    outcome: Outcome,
    targets: Sequence[Target],
    scribe: Scribe,
    failure: DrayError | None,
    *,
    as_json: bool,
    scanned: Scanned | None = None,
) -> None:
    """Print what an import did; ``failure`` is what the command ends with."""
    replaced = [item for target in targets for item in target.replaced]
    places = {a.name: made.routes[a.name].place(a) for a in made.artifacts}
    after = [note for target in targets for note in target.notes]
    notes = [*made.notes, *after]
    if as_json:
        emit(
            {
                "bundle": sealed.manifest.name,
                "manifest": str(sealed.digest),
                **outcome.to_dict(),
                "places": places,
                **({"notes": notes} if notes else {}),
                "replaced": [
                    {"place": r.place, "before": r.before, "after": str(r.after)} for r in replaced
                ],
                "receipt": scribe.told(),
                **({"scan": scanned.to_dict()} if scanned else {}),
                **_error(failure),
            }
        )
        return
    for name in outcome.published:
        say(f"loaded {name} -> {places[name]}")
    for name in outcome.unchanged:
        say(f"there already {name} -> {places[name]}")
    for item in replaced:
        say(f"replaced {item.place}: was {item.before}")
    for note in after:
        say(f"note: {note}")
    for name, error in outcome.failures.items():
        say(f"FAILED {name}: {error.message}")
        if error.hint:
            say(f"    {error.hint}")
    if outcome.withheld:
        say(f"nothing of this bundle was published: {_withheld(outcome)}")
    if scanned:
        show(scanned)
    say(
        f"{human(outcome.uploaded)} sent, {human(outcome.shared)} shared between artifacts, "
        f"{human(outcome.present)} there already"
    )
    say(scribe.line())
