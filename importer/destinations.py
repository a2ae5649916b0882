"""Where an import goes: the ``--to`` arguments, the target file, and which target takes what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.artifact import KINDS, path_fault
from bundle.artifact import REPOSITORY as SOURCE
from bundle.decode import Fields
from bundle.errors import UsageError
from bundle.hosts import Host, is_url
from importer.harbor import policies
from importer.harbor.policies import CONNECTIONS, Policy
from importer.harbor.projects import name_fault
from importer.targets import lock
from importer.targets.lock import UNLOCKED, Lock
from importer.targets.naming import LAYOUTS, REPOSITORY, TRITON, Naming, Rule, refuse_collisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.artifact import Artifact
    from importer.targets.base import Target

WAREHOUSE = "./warehouse"
"""Where an import goes that was told nothing."""
TARGET_FILE = (".yaml", ".yml")
_TAKES = {
    "folder": frozenset(KINDS),
    "registry": frozenset({"image", "chart"}),
    "harbor": frozenset({"image", "chart"}),
    "s3": frozenset({"model", "resource", "file"}),
}
_MAY_TAKE = {**_TAKES, **dict.fromkeys(("registry", "harbor"), frozenset(KINDS))}
_FORMS = "a folder, registry://HOST/PREFIX, harbor://HOST, s3://BUCKET/PREFIX, or a .yaml file"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"
_S3_KEYS = ("region", "lock", "read-back")
_KEYS = ("to", "kinds", "plain-http", "ca", "endpoint", "map", "layout", "quarantine")
_ALL_KEYS = (*_KEYS, *_S3_KEYS, *policies.KEYS)
_REGISTRIES = {"registry", "harbor"}
_ONLY = {"plain-http": _REGISTRIES, "ca": {*_REGISTRIES, "s3"}, "endpoint": {*_REGISTRIES, "s3"}}
_ONLY |= {"layout": set(LAYOUTS), **{key: {"s3"} for key in _S3_KEYS}}
_ONLY |= {key: {"harbor"} for key in policies.KEYS}


@dataclass(frozen=True, slots=True)
class Destination:
    """One target, before anything of it is touched.

    ``type`` is ``folder``, ``registry``, ``harbor`` or ``s3``; ``name`` the folder, host or bucket.
    ``host`` says how it is reached (for S3 only its endpoint and CA count), ``policy`` how projects
    of a Harbor are made, ``connections`` how many writers there may be. ``lock`` and ``read_back``
    are for S3: see :class:`importer.targets.s3.S3`.
    """

    type: str
    name: str
    naming: Naming = field(default_factory=Naming)
    kinds: frozenset[str] = frozenset()
    host: Host = field(default_factory=Host)
    region: str = ""
    policy: Policy = field(default_factory=Policy)
    connections: int = CONNECTIONS
    lock: Lock = UNLOCKED
    read_back: bool = False


class _Refused(ValueError):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def read(arguments: Sequence[str]) -> tuple[Destination, ...]:
    """Return what the ``--to`` arguments say, target files opened; nothing said is the warehouse.

    Raises :class:`UsageError`.
    """
    found: list[Destination] = []
    for text in arguments or (WAREHOUSE,):
        if text.lower().endswith(TARGET_FILE) and "://" not in text:
            found += _target_file(Path(text))
            continue
        try:
            found.append(_parse(text, Path()))
        except _Refused as refused:
            raise UsageError(f"--to: {refused.message}", hint=refused.hint) from None
    return tuple(found)


def parse(
    arguments: Sequence[str], state: Path | None = None, *, quarantine: str = ""
) -> list[Target]:
    """Return the targets that the ``--to`` arguments name: :func:`read`, then :func:`connect`.

    ``quarantine`` is where everything goes, whatever the arguments say.
    """
    return connect(quarantined(read(arguments), quarantine), state)


def quarantined(destinations: Sequence[Destination], name: str) -> tuple[Destination, ...]:
    """Return the destinations with a quarantine, or as they are; raises :class:`UsageError`."""
    if not name:
        return tuple(destinations)
    try:
        return tuple(
            replace(
                one, naming=replace(one.naming, quarantine=_quarantine(one.type, one.naming, name))
            )
            for one in destinations
        )
    except _Refused as refused:
        raise UsageError(f"--quarantine: {refused.message}", hint=refused.hint) from None


def released(destinations: Sequence[Destination]) -> tuple[Destination, ...]:
    """Return the destinations without their quarantine: where promoted things go."""
    return tuple(replace(one, naming=one.naming.released) for one in destinations)


def _quarantine(type_: str, naming: Naming, name: str) -> str:
    """Return the name of a quarantine; raise :class:`_Refused` for one that cannot be."""
    if fault := name_fault(name):
        raise _Refused(f"no quarantine can be called {name[:100]!r}: its name {fault}")
    finals = [naming.released.top, *(rule.target for rule in naming.rules)]
    if name in {one.partition("/")[0] for one in finals} or (type_, name) == ("folder", "oci"):
        hint = "name another project (of a Harbor), or another top of a prefix"
        raise _Refused(f"{name!r} is where other things are", hint)
    return name


def connect(destinations: Sequence[Destination], state: Path | None = None) -> list[Target]:
    """Return the targets; close them. No connection is made yet.

    ``state`` is a folder of this host for what they remember between runs, the user's own by
    default. Raises :class:`UsageError` for credentials and CA files that cannot be read.
    """
    made: list[Target] = []
    try:
        for destination in destinations:
            made.append(_connect(destination, state))
    except BaseException:
        for target in made:
            target.close()
        raise
    return made


def route(artifacts: Sequence[Artifact], targets: Sequence[Target]) -> dict[str, Target]:
    """Return the target of each artifact, by its name: the first that takes its kind.

    Raises :class:`UsageError` for artifacts that no target takes, that a target cannot name, or
    that would get into each other's place.
    """
    routes: dict[str, Target] = {}
    homeless: list[Artifact] = []
    for artifact in artifacts:
        target = next((target for target in targets if artifact.kind in target.kinds), None)
        if target is None:
            homeless.append(artifact)
        else:
            routes[artifact.name] = target
    if homeless:
        raise _homeless(homeless)
    refuse_collisions((routes[artifact.name], artifact) for artifact in artifacts)
    return routes


def _homeless(artifacts: Sequence[Artifact]) -> UsageError:
    names = ", ".join(artifact.name for artifact in artifacts[:3])
    more = f" and {len(artifacts) - 3} more" if len(artifacts) > 3 else ""
    kinds = {artifact.kind for artifact in artifacts}
    add = [
        text
        for type_, text in (("registry", "--to registry://HOST/PREFIX"), ("s3", "--to s3://BUCKET"))
        if kinds & _TAKES[type_]
    ]
    shown = ", ".join(sorted(kinds))
    return UsageError(
        f"no target takes {names}{more} ({shown})",
        hint=f"add {' and '.join(add)}, or a folder",
    )


def _connect(destination: Destination, state: Path | None) -> Target:
    # Each target's client costs start-up time that only its users should pay.
    naming, kinds, host = destination.naming, destination.kinds, destination.host
    if destination.type == "folder":
        from importer.targets.folder import Folder  # noqa: PLC0415

        return Folder(Path(destination.name), naming=naming, kinds=kinds)
    if destination.type == "s3":
        from bundle.state import default_folder  # noqa: PLC0415
        from importer.targets.bucket import Store  # noqa: PLC0415
        from importer.targets.s3 import S3  # noqa: PLC0415

        where = (destination.name, host.endpoint, destination.region, host.ca_file)
        return S3(
            Store(*where, destination.lock),
            (state or default_folder()) / "s3",
            naming=naming,
            kinds=kinds,
            read_back=destination.read_back,
        )
    from bundle.credentials import find  # noqa: PLC0415
    from bundle.errors import TargetError  # noqa: PLC0415
    from bundle.http import Http  # noqa: PLC0415
    from bundle.state import default_folder  # noqa: PLC0415
    from importer.targets.registry import RegistryTarget  # noqa: PLC0415
    from importer.targets.sessions import FileSessions  # noqa: PLC0415

    sessions = FileSessions((state or default_folder()) / "registry")
    credentials = find(destination.name)
    if destination.type == "harbor":
        from importer.targets import harbor  # noqa: PLC0415

        return harbor.connect(destination, credentials, sessions)
    http = Http({destination.name: host}, error=TargetError)
    return RegistryTarget(
        destination.name, http, credentials, naming=naming, sessions=sessions, kinds=kinds
    )


# -- the --to argument ----------------------------------------------------------------------------


def _parse(text: str, folder: Path) -> Destination:
    """Return what one ``to`` says; a relative path is relative to ``folder``."""
    scheme, separator, rest = text.partition("://")
    if separator and re.search(r"[@?#\s]", rest):
        # Not repeated in the message: it may be a secret.
        raise _Refused(
            "holds more than a host and a path",
            "credentials come from `docker login` or the AWS_* environment, never from here",
        )
    if separator and scheme in {"registry", "harbor"}:
        return _registry(scheme, rest)
    if separator and scheme == "s3":
        return _s3(rest)
    if separator:
        raise _Refused(f"{scheme[:20]}:// is no target", f"it can be {_FORMS}")
    if not text or "\0" in text:
        raise _Refused("is empty", f"it can be {_FORMS}")
    if re.fullmatch(rf"{_HOST}(/.*)?", text) and ":" in text.split("/", 1)[0]:
        raise _Refused(
            f"{text[:200]} looks like a registry",
            f"write registry://{text}, or ./{text} for a folder",
        )
    return Destination("folder", str(folder / text), kinds=_TAKES["folder"])


def _registry(scheme: str, rest: str) -> Destination:
    host, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not re.fullmatch(_HOST, host):
        raise _Refused(f"{scheme}://{rest[:200]} names no host", f"write {scheme}://HOST/PREFIX")
    if prefix and not re.fullmatch(REPOSITORY, prefix):
        raise _Refused(
            f"{prefix[:200]!r} is no beginning of a repository",
            "lower-case letters, digits, and single . _ - between them, in parts cut by /",
        )
    project = prefix.partition("/")[0]
    if scheme == "harbor" and project and (fault := name_fault(project)):
        raise _Refused(f"no project can be called {project[:200]!r}: its name {fault}")
    naming = Naming(prefix, project=policies.PROJECT if scheme == "harbor" and not prefix else "")
    return Destination(scheme, host.lower(), naming, _TAKES[scheme])


def _s3(rest: str) -> Destination:
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not re.fullmatch(_BUCKET, bucket):
        raise _Refused(f"s3://{rest[:200]} names no bucket", "write s3://BUCKET/PREFIX")
    if prefix and (fault := path_fault(prefix)):
        raise _Refused(f"the prefix {prefix[:200]!r} {fault}")
    return Destination("s3", bucket, Naming(prefix), _TAKES["s3"])


# -- the target file ------------------------------------------------------------------------------


def _target_file(path: Path) -> list[Destination]:
    from bundle.strictyaml import read as read_file  # noqa: PLC0415  (yaml costs start-up time)

    return parse_file(read_file(path, hint=f"--to can be {_FORMS}"), path)


def parse_file(data: bytes, path: Path) -> list[Destination]:
    """Return what a target file says; ``path`` names it, and relative paths start beside it.

    Raises :class:`UsageError` with file, line and column.
    """
    from bundle import strictyaml  # noqa: PLC0415  (yaml costs start-up time)

    document = strictyaml.parse(data, name=str(path))
    fields = Fields(document.value, (), document.fault)
    fields.text("apiVersion", choices=["dray/v1"])
    found = [_entry(item, path.parent) for item in fields.objects("targets", required=True)]
    fields.done(("apiVersion", "targets"))
    if not found:
        raise document.fault(("targets",), "is empty", "name at least one target, as to: ...")
    return found


def _entry(fields: Fields, folder: Path) -> Destination:
    text = fields.text("to")
    try:
        if text.lower().endswith(TARGET_FILE) and "://" not in text:
            raise _Refused("a target file names no other target file")
        destination = _parse(text, folder)
    except _Refused as refused:
        raise fields.wrong("to", refused.message, refused.hint) from None
    for key, types in _ONLY.items():
        if key in fields and destination.type not in types:
            raise fields.wrong(key, f"means nothing for {destination.type} targets")
    rules = tuple(_rule(item) for item in fields.objects("map"))
    layouts = LAYOUTS.get(destination.type, ())
    layout = fields.text("layout", choices=layouts) if "layout" in fields else ""
    if layout and rules and layout != TRITON:
        raise fields.wrong("map", f"means nothing with layout: {layout}")
    if layout == TRITON and not destination.naming.prefix:
        raise fields.wrong(
            "to", "names no prefix", "Triton takes all folders for models: s3://BUCKET/PREFIX"
        )
    naming = replace(destination.naming, rules=rules, layout=layout)
    if destination.type == "harbor":
        destination, naming = policies.read(fields, destination, naming)
    if "quarantine" in fields:
        name = fields.text("quarantine", limit=255)
        try:
            naming = replace(naming, quarantine=_quarantine(destination.type, naming, name))
        except _Refused as refused:
            raise fields.wrong("quarantine", refused.message, refused.hint) from None
    entry = replace(
        destination,
        kinds=_kinds(fields, destination.type, layout),
        naming=naming,
        host=_host(fields, folder),
        region=fields.text("region", "", pattern=r"[a-z0-9-]{1,60}"),
        lock=lock.read(fields.child("lock")) if "lock" in fields else UNLOCKED,
        read_back=fields.flag("read-back") if "read-back" in fields else False,
    )
    fields.done(_ALL_KEYS)
    return entry


def _kinds(fields: Fields, type_: str, layout: str) -> frozenset[str]:
    may = frozenset({"model"}) if layout else _MAY_TAKE[type_]
    if "kinds" not in fields:
        return may if layout else _TAKES[type_]
    items = list(fields.items("kinds"))
    for path, kind in items:
        if kind not in KINDS:
            raise fields.fault(path, f"is {str(kind)[:60]!r}", "allowed: " + ", ".join(KINDS))
        if kind not in may:
            allowed = ", ".join(sorted(may))
            raise fields.fault(
                path, f"{layout or type_} targets take no {kind}", f"allowed: {allowed}"
            )
    if not items:
        raise fields.wrong("kinds", "is empty", "leave it out for the usual kinds")
    return frozenset(str(kind) for _path, kind in items)


def _host(fields: Fields, folder: Path) -> Host:
    endpoint, ca_file = fields.text("endpoint", ""), fields.text("ca", "")
    if endpoint and not is_url(endpoint):
        raise fields.wrong(
            "endpoint", "is no URL", "write https://HOST:PORT, and nothing behind it"
        )
    plain = fields.flag("plain-http") if "plain-http" in fields else None
    return Host(endpoint, plain, str(folder / ca_file) if ca_file else "")


def _rule(fields: Fields) -> Rule:
    source = fields.text("from", pattern=rf"{SOURCE}/?", limit=255)
    target = fields.text("to", "", limit=255)
    if target and (fault := path_fault(target.rstrip("/") or "/")):
        raise fields.wrong("to", fault)
    fields.done(("from", "to"))
    return Rule(source, target)
