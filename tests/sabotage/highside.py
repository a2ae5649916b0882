"""The checks of whom and what the high side believes: trust files, clocks, what is printed."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_TRUST = ("tests/importer/trust/test_commands.py",)
_SHOWN = ("tests/bundle/test_options.py",)
_DRIPS = ("tests/bundle/test_patience.py",)
_WHEN = ("tests/refusals/test_sequence.py",)
HIGH_SIDE = (
    Sabotage(
        "bundle/trustchain.py",
        "tuple(sorted(frozenset().union(*roots)))",
        "tuple(sorted(version.signatures))",
        tests=_TRUST,
    ),
    Sabotage(
        "importer/admission.py",
        "trust.digest == seen.digest:",
        "trust.version >= seen.version:",
        tests=_WHEN,
    ),
    Sabotage("importer/clock.py", "what has expired would pass", tests=_WHEN),
    Sabotage(
        "importer/clock.py",
        "found is None or corrected else max(found, entry.when)",
        "True else max(found, entry.when)",
        tests=_WHEN,
    ),
    Sabotage("importer/clock.py", "last - SLACK", "last", tests=_WHEN),
    Sabotage(
        "importer/promote/run.py",
        "clock.check(self.record.ledger, now)",
        "pass",
        tests=("tests/importer/promote/test_promote.py",),
    ),
    Sabotage("bundle/options.py", r'text.replace("\n", "\\n")', "text", tests=_SHOWN),
    Sabotage("bundle/options.py", "if inside or together", "if together", tests=_SHOWN),
    Sabotage(
        "bundle/options.py",
        "{place.absolute().parent.resolve(), place.resolve().parent}, ",
        "{place.resolve().parent}, ",
        tests=_SHOWN,
    ),
    Sabotage("bundle/options.py", "may be anybody's", tests=_SHOWN),
    Sabotage("bundle/options.py", "map(_spelt, text)", "text", tests=_SHOWN),
    Sabotage(
        "bundle/options.py",
        r'return re.sub(r"\n(?!  )(?=.)", "\n  ", plain)',
        "return plain",
        tests=_SHOWN,
    ),
    Sabotage(
        "bundle/errors.py",
        r'(row.replace("\n", "\\n") for row in rows)',
        "rows",
        tests=("tests/bundle/gate/test_judge.py",),
    ),
    Sabotage(
        "importer/admission.py",
        "            self._check_trust()\n            self._compare",
        "            self._compare",
        tests=_WHEN,
    ),
    Sabotage("bundle/patience.py", "if late.is_set():  #", "if False:  #", tests=_DRIPS),
    Sabotage("bundle/patience.py", "WATCH.limit(HEAD * silence, end)", "suppress()", tests=_DRIPS),
    Sabotage("bundle/patience.py", "WATCH.limit(SLOWEST, self._end)", "suppress()", tests=_DRIPS),
    Sabotage(
        "bundle/wire.py",
        "            if self._drawn.late:  #",
        "            if False:  #",
        tests=_DRIPS,
    ),
)
