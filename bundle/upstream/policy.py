"""What must hold of what: the ``policy`` of a spec, and a high side's policy file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bundle import strictyaml
from bundle.decode import Fields
from bundle.digest import Digest
from bundle.gate import rules as gates
from bundle.gate.pattern import PATTERN, takes
from bundle.gate.rules import Gates
from bundle.upstream.record import FINGERPRINT, KEY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundle.artifact import Artifact
    from bundle.decode import Path as Steps

API_VERSION = "dray/v1"
KIND = "Policy"
NGC_KINDS = ("containers", "models", "resources", "helm-charts")
"""What NGC publishes a key for (``GET /v2/catalog/<kind>/public-key``)."""
_KEYS_HINT = "write signing-keys: [{name: vendor, file: vendor.pub}] beside it"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """Where a key comes from: one of a ``file`` in PEM, an OpenPGP keyring, and NGC's endpoint.

    ``where`` is ``FILE:LINE:COLUMN``. Without ``fingerprint`` whatever the file holds counts.
    """

    name: str
    file: Path | None = None
    pgp: Path | None = None
    ngc: str = ""
    fingerprint: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What ``match`` takes must be signed by one of ``keys``, or, without any, by any key."""

    match: str
    keys: tuple[str, ...] = ()

    def takes(self, artifact: Artifact) -> bool:
        """Whether this rule is about an artifact; ``*`` stands for anything, slashes too."""
        return takes(self.match, artifact)


@dataclass(frozen=True, slots=True)
class Policy:
    """``keys`` and ``rules`` are about signatures; ``gates`` about what scanners and others say.

    ``digest`` is that of the policy file's bytes, for the record; None when this was no file.
    """

    keys: tuple[KeyEntry, ...] = ()
    rules: tuple[Rule, ...] = ()
    gates: Gates = field(default_factory=Gates)
    digest: Digest | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return bool(self.keys or self.rules or self.gates)

    def rules_for(self, artifact: Artifact) -> list[Rule]:
        """Return the rules about an artifact: all of them must hold."""
        return [rule for rule in self.rules if rule.takes(artifact)]

    def idle(self, artifacts: Sequence[Artifact]) -> list[str]:
        """Return the patterns that nothing matches: a slip of the pen asks for nothing."""
        return [rule.match for rule in self.rules if not any(map(rule.takes, artifacts))]


KEYS = ("signing-keys", "require-signature", *gates.KEYS)


def load(path: Path) -> Policy:
    """Read a policy file; raise :class:`UsageError` with file, line and column."""
    data = strictyaml.read(path, hint="docs/signatures.md and docs/gates.md have examples")
    document = strictyaml.parse(data, name=str(path))
    fields = Fields(document.value, (), document.fault)
    fields.text("apiVersion", choices=[API_VERSION])
    fields.text("kind", choices=[KIND])
    policy = read(fields, document, path.parent)
    fields.done(("apiVersion", "kind", *KEYS))
    if not policy.rules and not policy.gates:
        hint = "write require-signature: [PATTERN], or max-severity: high"
        raise fields.fault((), "the policy requires nothing", hint)
    return replace(policy, digest=Digest.of(data))


def read(fields: Fields, document: strictyaml.Document, folder: Path) -> Policy:
    """Read the keys of a policy; files are relative to ``folder``, and must be there."""
    keys = tuple(_key(item, document, folder) for item in fields.objects("signing-keys"))
    names = [key.name for key in keys]
    for number, name in enumerate(names):
        if name in names[:number]:
            path: Steps = (*fields.path, "signing-keys", number, "name")
            raise fields.fault(path, f"{name!r} stands here twice", "names tell keys apart")
    asked = "require-signature" in fields
    rules = tuple(_rule(*item, names, fields) for item in fields.items("require-signature"))
    if asked and rules and not keys:
        raise fields.wrong("require-signature", "has no keys to check with", _KEYS_HINT)
    return Policy(keys, rules, gates.read(fields, folder))


def _key(fields: Fields, document: strictyaml.Document, folder: Path) -> KeyEntry:
    ways = [way for way in ("file", "pgp", "ngc") if way in fields]
    if len(ways) != 1:
        hint = "file: a key in PEM; pgp: an OpenPGP keyring; ngc: containers, models, …"
        raise fields.fault(fields.path, "needs exactly one of file, pgp and ngc", hint)
    name = fields.text("name", pattern=KEY_NAME)
    fingerprint = _fingerprint(fields, pgp=ways == ["pgp"])
    files = {way: _file(fields, way, folder) for way in ("file", "pgp") if way in fields}
    ngc = fields.text("ngc", choices=NGC_KINDS) if "ngc" in fields else ""
    fields.done(("name", "file", "pgp", "ngc", "fingerprint"))
    where = document.where(fields.path)
    return KeyEntry(name, files.get("file"), files.get("pgp"), ngc, fingerprint, where)


def _fingerprint(fields: Fields, *, pgp: bool) -> str:
    if "fingerprint" not in fields:
        return ""
    text = spelt = fields.text("fingerprint", limit=200)
    if pgp and re.fullmatch(r"(?:openpgp:)?[0-9A-Fa-f ]+", text):
        spelt = f"openpgp:{text.replace(' ', '').lower().removeprefix('openpgp:')}"
    if not re.fullmatch(FINGERPRINT, spelt) or spelt.startswith("openpgp:") != pgp:
        hint = "the 40 hex digits that gpg prints" if pgp else "sha256: and 64 hex digits"
        raise fields.wrong("fingerprint", "is not one of a key of this kind", f"write {hint}")
    return spelt


def _file(fields: Fields, key: str, folder: Path) -> Path:
    text = fields.text(key, pattern=r"(?s:.+)")
    if not (file := folder / text).is_file():
        raise fields.wrong(key, f"there is no file {file}", "it is relative to this file")
    return file


def _rule(path: Steps, item: object, names: Sequence[str], above: Fields) -> Rule:
    if isinstance(item, str):
        item = {"match": item}
    fields = Fields(item, path, above.fault)
    match = fields.text("match", pattern=PATTERN)
    keys = fields.texts("keys", pattern=KEY_NAME)
    fields.done(("match", "keys"))
    for number, name in enumerate(keys):
        if name not in names:
            hint = "known here: " + ", ".join(names) if names else _KEYS_HINT
            raise fields.fault((*path, "keys", number), f"{name!r} is no key of signing-keys", hint)
    return Rule(match, keys)
