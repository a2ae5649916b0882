"""What is refused of documents before anything in them is believed."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

DOCUMENTS = (
    Sabotage("bundle/decode.py", "bytes are more than the"),
    Sabotage("bundle/weight.py", "nested deeper than", tests=("tests/bundle/test_decode.py",)),
    Sabotage("bundle/weight.py", "raise ValueError(TOO_MANY)"),
    Sabotage(
        "bundle/strictyaml.py",
        "range(weight.events(len(self.data)))",
        "range(1 << 40)",
        tests=("tests/bundle/test_weight.py",),
    ),
    Sabotage(
        "bundler/journal.py",
        'weight.check(line.decode("ascii"))',
        "pass",
        tests=("tests/bundler/test_journal.py",),
    ),
    Sabotage(
        "bundler/journal.py",
        "if len(line) > LONGEST:",
        "if False:",
        tests=("tests/bundler/test_journal.py",),
    ),
    Sabotage("bundle/decode.py", "integer out of range"),
    Sabotage("bundle/decode.py", "duplicate key"),
    Sabotage("bundle/decode.py", "if structs else _refuse_number", "if structs else float"),
    Sabotage("bundle/decode.py", "parse_constant=_refuse_number", "parse_constant=float"),
    Sabotage("bundle/decode.py", "_check_surrogates(document)", "pass"),
    Sabotage("bundle/decode.py", "is missing"),
    Sabotage("bundle/decode.py", 'f"is {value}, not from {low} to {high}"'),
    Sabotage("bundle/decode.py", "must be sha256: and 64 lower-case hex digits"),
    Sabotage(
        "bundle/decode.py",
        "if not isinstance(value, int) or isinstance(value, bool)",
        "if not isinstance(value, int)",
    ),
    Sabotage("bundle/digest.py", 're.compile(r"sha256:', 're.compile(r"sha(256|512):'),
    Sabotage("bundle/strictyaml.py", "the file is larger than"),
    Sabotage("bundle/strictyaml.py", "reason, yamlparser.HINT"),
    Sabotage("bundle/strictyaml.py", "a second document starts here"),
    Sabotage("bundle/strictyaml.py", "anchors (&"),
    Sabotage("bundle/strictyaml.py", "YAML tags ("),
    Sabotage("bundle/strictyaml.py", "duplicate key, first on line"),
    Sabotage("bundle/strictyaml.py", "merge keys (<<) are not allowed"),
    Sabotage("bundle/instant.py", "if not re.fullmatch(INSTANT, text)", "if False"),
    Sabotage(
        "bundle/charts/helmyaml.py",
        "nodes are written in it",
        tests=("tests/bundler/discover/test_hostile_charts.py",),
    ),
)
