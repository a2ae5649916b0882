"""``dray policy``: the signature policy of a spec, with its keys, for the high side to enforce."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundle.errors import UsageError
from bundle.options import FOLDER, command, emit, option, say
from bundler.connect import login_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.upstream.keys import RawKey
    from bundle.upstream.openpgp import Keyring
    from bundle.upstream.policy import Policy
    from bundler.connect import Connect

NAME = "policy.yaml"
HEAD = """\
# Whose signatures must be on what: dray verify DIR --policy policy.yaml; dray import likewise.
# Bring it and the keys beside it over by another way than the media.
apiVersion: dray/v1
kind: Policy
"""


@command("policy", short_help="Write the policy of SPEC and its keys, for the other side.")
@click.argument("spec", type=click.Path(dir_okay=False, path_type=Path))
@option(
    "--to",
    "folder",
    type=FOLDER,
    required=True,
    metavar="DIR",
    help="Where the files go: a new folder.",
)
@login_options
def policy(spec: Path, folder: Path, *, connect: Connect, as_json: bool) -> None:
    """Write a policy file and the keys that it names into DIR, for the high side.

    NGC's keys are fetched, and refused when their fingerprint is not the one in SPEC.
    """
    from bundle.upstream.check import load_keys  # noqa: PLC0415  (heavy: not for --help)
    from bundler.sources.ngc_publickey import fetch  # noqa: PLC0415
    from bundler.spec import load  # noqa: PLC0415

    loaded = load(spec)
    if not loaded.policy.rules and not loaded.policy.gates:
        raise UsageError(
            f"{spec} requires no signatures, and has no gates",
            hint="write policy: {require-signature: […]}, or max-severity: high",
        )
    upstreams = connect(loaded)
    try:
        keys = load_keys(loaded.policy, partial(fetch, upstreams.http))
    finally:
        upstreams.close()
    written = write(folder, loaded.policy, keys)
    if as_json:
        fingerprints = {name: list(key.fingerprints) for name, key in keys.items()}
        emit({"written": [str(path) for path in written], "fingerprints": fingerprints})
        return
    for name, key in keys.items():
        say(f"{name}  {', '.join(key.fingerprints)}")
    for path in written:
        say(f"wrote {path}")
    say("bring them over by another way than the media")


def write(folder: Path, policy: Policy, keys: Mapping[str, RawKey | Keyring]) -> list[Path]:
    """Write the policy and its keys; the policy last. Raises :class:`UsageError` over files."""
    from bundle import strictyaml  # noqa: PLC0415  (heavy, as all here: not for --help)
    from bundle.durable import make_folder  # noqa: PLC0415
    from bundle.gate.foreign import LIMIT  # noqa: PLC0415
    from bundler.finish import put  # noqa: PLC0415

    files = {folder / key.file: key.text.encode() for key in keys.values()}
    for source in policy.gates.vex:
        if source.file:
            files[folder / source.file.name] = strictyaml.read(source.file, limit=LIMIT)
    files[folder / NAME] = text(policy, keys).encode()
    for path in files:
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} is there already", hint="name a new folder with --to")
    make_folder(folder)
    for path, data in files.items():
        put(path, data)
    return list(files)


def text(policy: Policy, keys: Mapping[str, RawKey | Keyring]) -> str:
    """Return the policy file: each key in a file beside it, pinned; and the gates."""
    from bundle.gate import written  # noqa: PLC0415  (heavy: not for --help)

    lines = [HEAD.rstrip("\n")]
    if policy.rules:
        lines += _signatures(policy, keys)
    if policy.gates:
        lines += written.lines(policy.gates)
    return "\n".join([*lines, ""])


def _signatures(policy: Policy, keys: Mapping[str, RawKey | Keyring]) -> list[str]:
    lines = ["signing-keys:"]
    for name, key in keys.items():
        way = "file" if key.file.endswith(".pub") else "pgp"
        # Of a keyring with several keys all count; one alone is pinned.
        pinned = f', fingerprint: "{key.fingerprints[0]}"' if len(key.fingerprints) == 1 else ""
        lines.append(f"  - {{name: {_quoted(name)}, {way}: {_quoted(key.file)}{pinned}}}")
    lines.append("require-signature:")
    for rule in policy.rules:
        names = ", ".join(_quoted(name) for name in rule.keys)
        counts = f", keys: [{names}]" if names else ""
        lines.append(f"  - {{match: {_quoted(rule.match)}{counts}}}")
    return lines


def _quoted(word: str) -> str:
    # Names and patterns are printable ASCII, of which JSON's spelling is YAML's.
    return json.dumps(word)
