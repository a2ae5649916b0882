"""The checks of what the high side remembers, and of the trust file's next versions."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_ON = ("tests/importer/trust", "tests/bundle/test_trustchain.py")
_CHAIN = ("tests/importer/ledger", "tests/property/test_ledger.py")

MEMORY = (
    Sabotage("importer/ledger/chain.py", "does not follow from the one before it", tests=_CHAIN),
    Sabotage("importer/ledger/chain.py", "has the number {entry.number}", tests=_CHAIN),
    Sabotage(
        "importer/ledger/streams.py",
        "standing.state is None or state.place > standing.state.place",
        "True",
        tests=_CHAIN,
    ),
    Sabotage("importer/ledger/streams.py", "if entry.kind == DONE:", "if True:", tests=_CHAIN),
    Sabotage("importer/ledger/book.py", "self._compare(head)", "pass", tests=_CHAIN),
    Sabotage("importer/ledger/book.py", "was cut back while it was in use", tests=_CHAIN),
    Sabotage("importer/ledger/book.py", "Standings().learn(made)", "pass", tests=_CHAIN),
    Sabotage("importer/ledger/book.py", "with suppress(OSError):", "while False:", tests=_CHAIN),
    Sabotage(
        "importer/ledger/book.py", "**known.opening()", "**Standings().opening()", tests=_CHAIN
    ),
    Sabotage(
        "importer/ledger/mirror.py", 'if f"{head.ledger}.json" != name', "if False", tests=_CHAIN
    ),
    Sabotage(
        "importer/ledger/mirror.py",
        "if head.ledger != ledger.chain.name or",
        "if True or",
        tests=_CHAIN,
    ),
    Sabotage("importer/ledger/mirror.py", 'if error.case == "denied"', "if True", tests=_CHAIN),
    Sabotage("importer/ledger/shelf.py", "files of ledgers", tests=_CHAIN),
    Sabotage(
        "importer/session.py",
        "self.admission.judge_by_mirrors(shelves(self.targets))",
        "pass",
        tests=_CHAIN,
    ),
    Sabotage("importer/load.py", "silent = self.confirm()", "silent = {}", tests=_CHAIN),
    Sabotage(
        "importer/load.py",
        "if error := silent.get(target.shelf().label)",
        "if error := None",
        tests=_CHAIN,
    ),
    Sabotage(
        "importer/admission.py",
        "for error in self.mirrors.silent.values()",
        "for error in ()",
        tests=_CHAIN,
    ),
    Sabotage(
        "importer/admission.py",
        "for rule in self.used.keys() - before:",
        "for rule in ():",
        tests=_CHAIN,
    ),
    Sabotage(
        "importer/admission.py",
        "self._check_trust()\n        verdict",
        "verdict",
    ),
    Sabotage(
        "importer/admission.py", "for rule, reason in self.used.items():", "for rule, reason in ():"
    ),
    Sabotage("bundle/trustchain.py", "is missing, between {current.version}", tests=_ON),
    Sabotage("bundle/trustchain.py", 'f"is {number}, after', tests=_ON),
    Sabotage("bundle/trustplace.py", "two different trust files are version", tests=_ON),
    Sabotage("bundle/trustplace.py", "is not a regular file", tests=_ON),
    Sabotage("bundle/trustplace.py", "is larger than {limit} bytes", tests=_ON),
    Sabotage("importer/trust/store.py", "which is not what you expect", tests=_ON),
    Sabotage("importer/trust/store.py", "hex digits at least", tests=_ON),
    Sabotage("importer/trust/store.py", "--reason is empty", tests=_ON),
    Sabotage("importer/trust/store.py", "is version {after.version}, and version", tests=_ON),
    Sabotage("importer/trust/store.py", "is in use here", tests=_ON),
    Sabotage("importer/trust/store.py", "accepted[-1].trust.check_current(now)", "pass", tests=_ON),
)
