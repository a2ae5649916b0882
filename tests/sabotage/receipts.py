"""The checks of receipts, of what a bundle may leave out by one, and of where that is found."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_READ = ("tests/bundle/test_receipt.py", "tests/importer/receipts", "tests/bundler/test_delta.py")
_ENDED = ("tests/importer/receipts/test_endings.py",)
_SINCE = ("tests/bundler/test_delta.py",)
_KEYS = ("tests/bundle/test_receiptkeys.py",)
_LEFT = ("tests/importer/test_required.py",)
_TOLD = ("tests/importer/status",)

RECEIPTS = (
    Sabotage("bundle/dsse.py", "are more than {MAX_SIGNATURES}", tests=_READ),
    Sabotage("bundle/dsse.py", "is not base64", tests=_READ),
    Sabotage("bundle/receipt.py", "is not signed: anybody could", tests=_READ),
    Sabotage("bundle/receipt.py", "was changed, or signed by another key", tests=_READ),
    Sabotage("bundle/receipt.py", "is a refusal, and something is loaded", tests=_ENDED),
    Sabotage(
        "bundle/receipt.py",
        'if fields.flag("complete") != found.complete:',
        "if False:",
        tests=_READ,
    ),
    Sabotage("bundle/receipt.py", "names one twice", tests=_READ),
    Sabotage("bundle/receipt.py", "is missing for what is at a target", tests=_READ),
    Sabotage("bundle/receiptkeys.py", "is the key of {other!r} again", tests=_KEYS),
    Sabotage("bundle/receiptkeys.py", "is there twice", tests=_KEYS),
    Sabotage("bundle/receiptkeys.py", "has more than {MAX_KEYS} keys", tests=_KEYS),
    Sabotage("bundle/receiptkeys.py", "names no key that signs receipts", tests=_KEYS),
    Sabotage("bundler/trust/edit.py", "and so no receipts", tests=("tests/importer/trust",)),
    Sabotage("bundler/trust/edit.py", "and so nothing else", tests=("tests/importer/trust",)),
    Sabotage("importer/privatekey.py", "is a key of the trust file: {taken}", tests=_READ),
    Sabotage("importer/receipts/recording.py", "run.turn_away(error)", "pass", tests=_ENDED),
    Sabotage("importer/receipts/recording.py", "        raise\n", "        return\n", tests=_ENDED),
    Sabotage(
        "importer/session.py",
        "self.admission.publishers = judged.for_the_record()",
        "pass",
        tests=("tests/importer/test_signedby.py",),
    ),
    Sabotage("importer/receipts/command.py", 'if not row["inLedger"]]', "if False]", tests=_READ),
    Sabotage(
        "importer/status/arrived.py", "found[str(Digest.of(data))]", "found[data]", tests=_TOLD
    ),
    Sabotage("importer/status/seen.py", "known.manifest == sealed.digest", "True", tests=_TOLD),
    Sabotage("importer/status/seen.py", "holds what is no number", tests=_TOLD),
)

DELTAS = (
    Sabotage("bundler/deltaoptions.py", "--unsigned-receipt exclude each other", tests=_SINCE),
    Sabotage("bundler/deltaoptions.py", "found.check_current(instant.now())", "pass", tests=_SINCE),
    Sabotage("bundler/deltaoptions.py", "found.receipts.require()", "pass", tests=_SINCE),
    Sabotage("bundler/delta.py", "and this spec's is", tests=_SINCE),
    Sabotage("bundler/delta.py", "says that nothing was loaded", tests=_SINCE),
    Sabotage(
        "bundler/delta.py",
        "if all((kind, digest) in held for held in sites for kind in kinds):",
        "if all(any((kind, digest) in held for held in sites) for kind in kinds):",
        tests=_SINCE,
    ),
    Sabotage(
        "bundler/delta.py",
        "if taken.setdefault((entry.target, entry.place), root) != root:",
        "if False:",
        tests=_SINCE,
    ),
    Sabotage(
        "bundler/delta.py",
        "if content.role in MANIFEST_ROLES or content.size < SMALLEST:",
        "if False:",
        tests=("tests/property/test_delta.py",),
    ),
    Sabotage("bundle/chunks.py", "is left out, and has no bases; or the other way", tests=_LEFT),
    Sabotage("bundle/chunks.py", "is left out, and has parts", tests=_LEFT),
    Sabotage("bundle/chunks.py", "leaves out a manifest of", tests=_LEFT),
    Sabotage("bundle/chunks.py", "which no base of", tests=_LEFT),
    Sabotage(
        "bundle/manifest.py",
        "if any(blob.encoding == REQUIRED for blob in manifest.blobs) != bool(manifest.bases):",
        "if False:",
        tests=_LEFT,
    ),
    Sabotage("bundle/manifest.py", "which is none of the bases", tests=_LEFT),
    Sabotage("bundle/reader.py", "is left out of {self.manifest.name}", tests=_LEFT),
    Sabotage("importer/plan.py", "required.prove(known)", "pass", tests=_LEFT),
    Sabotage("importer/required.py", "raise _missing(manifest, missing)", tests=_LEFT),
    Sabotage("importer/required.py", "bool(base.path) == bool(content.path)", "True", tests=_LEFT),
)
