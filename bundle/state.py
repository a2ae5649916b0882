"""Where a stream stands: the last sequence that was imported, or exported, and what that forbids.

One JSON file for each stream and side. The high side's is what stops replays and forks, so it is
written only after a complete import, and a damaged one is never taken for an absent one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bundle import instant
from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.durable import replace_file
from bundle.errors import DrayError, NotTrusted, UsageError
from bundle.lockfile import held

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bundle.decode import Path as Place
    from bundle.digest import Digest

    Side = Literal["import", "export"]
    Verdict = Literal["new", "same", "gap", "rollback"]

MEDIA_TYPE = "application/vnd.dray.state.v1+json"
MAX_BYTES = 16 << 10
STREAM = r"[a-z0-9][a-z0-9-]{0,39}"
_SIDES = ("import", "export")
FORK, REPLAY, EXPIRED = "fork", "replay", "expired"
"""The ``case`` of each refusal: what the high side's ledger calls the rule."""


@dataclass(frozen=True, slots=True)
class State:
    """The last bundle of a stream. ``epoch`` comes from the trust file, on the low side it is 0."""

    stream: str
    epoch: int
    sequence: int
    manifest: Digest
    when: datetime

    @property
    def place(self) -> tuple[int, int]:
        """What is compared: the epoch first, the sequence within it."""
        return (self.epoch, self.sequence)


def default_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return ``DRAY_STATE_DIR``, or ``dray`` in the state folder of the user.

    Source: XDG Base Directory Specification, ``XDG_STATE_HOME``. Relative values of it are ignored,
    as it demands.
    """
    env = os.environ if environ is None else environ
    if chosen := env.get("DRAY_STATE_DIR"):
        return Path(chosen).absolute()
    base = env.get("XDG_STATE_HOME", "")
    if Path(base).is_absolute():
        return Path(base) / "dray"
    home = env.get("HOME", "")
    if not Path(home).is_absolute():
        message = "no folder for the state: neither DRAY_STATE_DIR nor HOME is set"
        raise UsageError(message, hint="set DRAY_STATE_DIR to a folder that outlives this run")
    return Path(home) / ".local" / "state" / "dray"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state of all streams of one side, in ``folder/side/<stream>.json``."""

    folder: Path
    side: Side

    def path(self, stream: str) -> Path:
        """Return the stream's file."""
        if not re.fullmatch(STREAM, stream):
            msg = f"not a stream's name: {stream[:60]!r}"
            raise ValueError(msg)
        return self.folder / self.side / f"{stream}.json"

    def last(self, stream: str) -> State | None:
        """Return where the stream stands, or None when there was no bundle of it yet.

        Raises :class:`UsageError` when the file cannot be read or is not what :meth:`record` wrote.
        """
        path = self.path(stream)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _cannot("read", path, error) from None
        return _read(data, path, self.side, stream)

    def streams(self) -> list[str]:
        """Return the streams that have a state, sorted."""
        names = (path.stem for path in (self.folder / self.side).glob("*.json"))
        return sorted(name for name in names if re.fullmatch(STREAM, name))

    def record(self, state: State) -> bool:
        """Write where the stream stands now, atomically; return whether it moved.

        It never goes back: after an allowed rollback the highest bundle seen stays on record, so
        that the next replay is noticed too. Raises :class:`UsageError` when the folder cannot be
        written.
        """
        path = self.path(state.stream)
        body = {"mediaType": MEDIA_TYPE, "side": self.side, **_document(state)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with held(path.parent, name=f".{state.stream}.lock", wait=True):
                known = self.last(state.stream)
                if known is not None and state.place <= known.place:
                    return False
                replace_file(path, dump_json(body))
        except OSError as error:
            raise _cannot("write", path, error) from None
        return True


def judge(
    state: State | None,
    epoch: int,
    sequence: int,
    manifest: Digest,
    *,
    allow_rollback: str = "",
) -> Verdict:
    """Say what a bundle is to its stream; raise :class:`NotTrusted` for a replay and for a fork.

    ``new``: the next one, the first one, or the first of a new epoch · ``gap``: bundles between
    were never here, which is no fault: each stands alone · ``same``: imported already ·
    ``rollback``: an older one, let through by the reason in ``allow_rollback``. No reason lets a
    fork through.
    """
    if state is None:
        return "new"
    place = (epoch, sequence)
    if place == state.place:
        if manifest != state.manifest:
            raise _fork(state, manifest)
        return "same"
    if place < state.place:
        if not allow_rollback:
            raise _replay(state, epoch, sequence)
        return "rollback"
    return "gap" if epoch == state.epoch and sequence > state.sequence + 1 else "new"


def check_expiry(expires: str, now: datetime, *, allow: str = "") -> bool:
    """Return whether a bundle has expired, let through by the reason in ``allow``.

    ``now`` is this host's clock; ``expires`` is from the verified manifest. Raises
    :class:`NotTrusted` for an expired one without a reason, and for a moment that does not exist.
    """
    try:
        end = instant.parse(expires)
    except ValueError as error:
        raise NotTrusted(f"the bundle's expiry is {error}") from None
    if now < end:
        return False
    if not allow:
        raise NotTrusted(
            f"the bundle expired on {expires}, {instant.ago(now - end)} ago",
            hint="export a fresh one; or, if it must be this one: --allow-expired REASON",
            case=EXPIRED,
        )
    return True


def _fork(state: State, manifest: Digest) -> NotTrusted:
    return NotTrusted(
        f"two different bundles are {state.stream} {state.sequence}: {state.manifest.short} was "
        f"imported on {instant.spell(state.when)}, this one is {manifest.short}",
        hint="somebody signed twice: ask the low side which one is theirs before anything else; a "
        "good one comes again under the next number",
        case=FORK,
    )


def _replay(state: State, epoch: int, sequence: int) -> NotTrusted:
    if epoch < state.epoch:
        what = (
            f"the trust file gives {state.stream} epoch {epoch}, but epoch {state.epoch} was seen"
        )
        hint = (
            f"use the newest trust file; if it is, have the low side raise it: dray trust epoch "
            f"{state.stream}; or: --allow-rollback REASON"
        )
        return NotTrusted(what, hint=hint, case=REPLAY)
    return NotTrusted(
        f"{state.stream} {sequence} is older than {state.sequence}, imported on "
        f"{instant.spell(state.when)}",
        hint="import the newest bundle; or, to go back on purpose: --allow-rollback REASON",
        case=REPLAY,
    )


def _document(state: State) -> dict[str, Any]:
    return {
        "stream": state.stream,
        "epoch": state.epoch,
        "sequence": state.sequence,
        "manifest": str(state.manifest),
        "when": instant.spell(state.when),
    }


def _read(data: bytes, path: Path, side: Side, stream: str) -> State:
    def fault(place: Place, message: str, hint: str) -> DrayError:
        where = f"{spell(place)} " if place else ""
        advice = "restore it from a backup, or write it anew from the last receipt: without it "
        advice += "replays go unnoticed"
        return UsageError(f"state file {path}: {where}{message}", hint=hint or advice)

    try:
        fields = Fields(parse_json(data, limit=MAX_BYTES), (), fault)
        fields.text("mediaType", choices=[MEDIA_TYPE])
        fields.text("side", choices=[side])
        state = State(
            stream=fields.text("stream", choices=[stream]),
            epoch=fields.integer("epoch"),
            sequence=fields.integer("sequence"),
            manifest=fields.digest("manifest"),
            when=instant.parse(fields.text("when")),
        )
    except ValueError as error:
        raise fault((), f"is damaged: {error}", "") from None
    fields.done()
    return state


def _cannot(verb: str, path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or "unknown reason").lower()
    return UsageError(
        f"cannot {verb} the state file {path}: {reason}",
        hint="DRAY_STATE_DIR names the folder: it must be writable and outlive this run",
    )
