"""Where each stream stands, and which trust file was used for it, read off the ledger's entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.decode import Fields, spell
from bundle.state import STREAM, State
from importer.ledger.entry import BEGUN, DONE, FAILED, OPENED, TRUST, BrokenEntry, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Path
    from bundle.digest import Digest


@dataclass(frozen=True, slots=True)
class TrustMark:
    """Which trust file: its version, and the digest of its bytes."""

    version: int
    digest: Digest


@dataclass
class Standing:
    """What the ledger says of one stream. ``expires`` is of the bundle in ``state``.

    ``unfinished`` names a bundle whose import has begun and not ended.
    """

    state: State | None = None
    expires: str = ""
    trust: TrustMark | None = None
    unfinished: str = ""


@dataclass
class Standings:
    """All streams."""

    streams: dict[str, Standing] = field(default_factory=dict)

    def of(self, stream: str) -> Standing:
        """Return what is known of a stream."""
        return self.streams.get(stream, Standing())

    def states(self) -> dict[str, State]:
        """Return the highest bundle of each stream."""
        return {name: one.state for name, one in sorted(self.streams.items()) if one.state}

    def opening(self) -> dict[str, Any]:
        """Return what a new ledger's first entry says, so that nothing of this is forgotten."""
        streams = {name: state_body(state) for name, state in self.states().items()}
        trusts = {
            name: {"version": one.trust.version, "trust": str(one.trust.digest)}
            for name, one in sorted(self.streams.items())
            if one.trust
        }
        return {"streams": streams, "trusts": trusts}

    def learn(self, entry: Entry) -> None:
        """Take one entry into account; raise :class:`BrokenEntry` when its fields are not right."""
        if entry.kind == OPENED:
            for name, body in _object(entry, "streams").items():
                self.remember(_state(entry, body, name))
            for name, mark in _object(entry, "trusts").items():
                self._standing(_stream(name)).trust = _mark(mark)
        elif entry.kind == BEGUN:
            self._begin(entry)
        elif entry.kind in {DONE, FAILED}:
            self._end(entry)
        elif entry.kind == TRUST:
            self._trust(entry)

    def _begin(self, entry: Entry) -> None:
        fields = _fields(entry)
        standing = self._standing(fields.text("stream", pattern=STREAM))
        standing.unfinished = entry.text("bundle")

    def _end(self, entry: Entry) -> None:
        state = _state(entry, entry.body)
        standing = self._standing(state.stream)
        standing.unfinished = ""
        if entry.kind == DONE:
            self.remember(state, entry.text("expires"))

    def _trust(self, entry: Entry) -> None:
        mark, fields = _mark(entry.body), _fields(entry)
        names = fields.texts("streams", pattern=STREAM)
        if stream := fields.text("stream", "", pattern=f"(?:{STREAM})?"):
            names = (stream,)
        for name in names:
            self._standing(name).trust = mark

    def remember(self, state: State, expires: str = "") -> None:
        """Note a bundle, unless a higher one is known: a stream never goes back."""
        standing = self._standing(state.stream)
        if standing.state is None or state.place > standing.state.place:
            standing.state, standing.expires = state, expires

    def _standing(self, stream: str) -> Standing:
        return self.streams.setdefault(stream, Standing())


def state_body(state: State) -> dict[str, Any]:
    """Return a state as an entry's fields, and as a head's ``streams``."""
    place = {"epoch": state.epoch, "sequence": state.sequence}
    return {**place, "manifest": str(state.manifest), "when": instant.spell(state.when)}


def read_state(body: Mapping[str, Any], stream: str, fault: Any) -> State:
    """Read what :func:`state_body` wrote; ``fault`` makes the exception that is raised."""
    fields = Fields(body, (), fault)
    try:
        when = instant.parse(fields.text("when"))
    except BrokenEntry:
        raise
    except ValueError as error:
        raise fields.wrong("when", f"is {error}") from None
    return State(
        Fields({"stream": stream}, (), fault).text("stream", pattern=STREAM),
        fields.integer("epoch"),
        fields.integer("sequence", low=1),
        fields.digest("manifest"),
        when,
    )


def _fault(path: Path, message: str, _hint: str) -> Exception:
    return BrokenEntry(f"{spell(path)} {message}".strip())


def _fields(entry: Entry) -> Fields:
    return Fields(entry.body, (), _fault)  # type: ignore[arg-type]  # (its own kind of fault)


def _mark(body: object) -> TrustMark:
    fields = Fields(body, (), _fault)  # type: ignore[arg-type]  # (its own kind of fault)
    return TrustMark(fields.integer("version"), fields.digest("trust"))


def _stream(name: str) -> str:
    fields = Fields({"stream": name}, (), _fault)  # type: ignore[arg-type]
    return fields.text("stream", pattern=STREAM)


def _object(entry: Entry, key: str) -> dict[str, Any]:
    value = entry.body.get(key, {})
    if not isinstance(value, dict):
        raise BrokenEntry(f"{key} must be a mapping")
    return value


def _state(entry: Entry, body: object, stream: str = "") -> State:
    if not isinstance(body, dict):
        raise BrokenEntry("streams must be mappings")
    name = stream or _fields(entry).text("stream", pattern=STREAM)
    return read_state({"when": instant.spell(entry.when), **body}, name, _fault)
