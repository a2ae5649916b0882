"""The lock that lies beside a spec: read, compared with the spec, or made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.errors import UsageError
from bundle.options import warn
from bundler import lock
from bundler.finish import put

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.connect import Connect
    from bundler.spec import Spec


def lock_path(spec: Path) -> Path:
    """Return the lock's path beside the spec: ``dray.yaml`` gives ``dray.lock.yaml``."""
    stem = spec.name.removesuffix(".yaml").removesuffix(".yml")
    return spec.with_name(f"{stem}.lock.yaml")


def read(spec: Spec) -> lock.Lock | None:
    """Return the lock beside the spec; None when there is none."""
    path = lock_path(spec.path)
    if not path.exists():
        return None
    found = lock.load(path)
    if fault := found.source_fault():
        raise UsageError(f"{path}: {fault}", hint="write the lock anew with dray lock --update")
    return found


def check_pair(found: lock.Lock, spec: Spec) -> None:
    """Raise :class:`UsageError` when the spec was changed since it was locked.

    Raises :class:`bundle.errors.GateRefused` when the lock does not keep the spec's policy.
    """
    from bundler.signedby import check_recorded  # noqa: PLC0415  (heavy: not for --help)

    if found.spec != spec.digest:
        raise UsageError(
            f"{lock_path(spec.path)} is not of this {spec.path.name}: the spec was changed since",
            hint=f"dray lock {spec.path}, review what changed, then export",
        )
    check_recorded(found, spec)


def resolve(spec: Spec, connect: Connect, *, write: bool = True) -> lock.Lock:
    """Resolve the spec to a lock, and write it beside it."""
    from bundler.resolve import resolve as resolved  # noqa: PLC0415  (heavy: not for --help)

    for warning in spec.warnings:
        warn(warning)
    upstreams = connect(spec)
    try:
        made = resolved(spec, upstreams)
    finally:
        upstreams.close()
    if write:
        put(lock_path(spec.path), made.text)
    return made


def current(spec: Spec, connect: Connect, *, write: bool) -> lock.Lock:
    """Return the lock of exactly this spec; without one, resolve it."""
    found = read(spec)
    if found is None:
        return resolve(spec, connect, write=write)
    check_pair(found, spec)
    return found
