"""The head of a ledger: how long it is, its last entry, and where the streams stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bundle.decode import Fields, dump_json, parse_json, spell
from importer.ledger.streams import read_state, state_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.decode import Path
    from bundle.digest import Digest
    from bundle.errors import DrayError
    from bundle.state import State

MEDIA_TYPE = "application/vnd.dray.ledger-head.v1+json"
NAME = r"[0-9a-f]{32}"


@dataclass(frozen=True, slots=True)
class Head:
    """What a ledger's host says of it. Nothing proves it: on a target anybody may have written it.

    ``ledger`` is :attr:`importer.ledger.chain.Chain.name`.
    """

    limit: ClassVar[int] = 1 << 20

    ledger: str
    host: str
    number: int
    digest: Digest
    streams: Mapping[str, State]

    def to_bytes(self) -> bytes:
        """Return the document."""
        streams = {name: state_body(state) for name, state in self.streams.items()}
        own = {"mediaType": MEDIA_TYPE, "ledger": self.ledger, "host": self.host}
        return dump_json(
            {**own, "number": self.number, "digest": str(self.digest), "streams": streams}
        )

    @classmethod
    def read(cls, data: bytes, error: Callable[[str], DrayError]) -> Head:
        """Read a head strictly; ``error`` makes the exception out of a message."""

        def fault(path: Path, message: str, _hint: str) -> DrayError:
            return error(f"is damaged: {spell(path)} {message}")

        try:
            document = parse_json(data, limit=cls.limit)
        except ValueError as reason:
            raise error(f"is damaged: {reason}") from None
        fields = Fields(document, (), fault)
        fields.text("mediaType", choices=[MEDIA_TYPE])
        streams = fields.child("streams")
        states: dict[str, State] = {}
        for name in streams.names():
            body = streams.raw(name)
            if not isinstance(body, dict):
                raise streams.wrong(name, "must be a mapping")
            states[name] = read_state(body, name, fault)
        head = cls(
            fields.text("ledger", pattern=NAME),
            fields.text("host", limit=255),
            fields.integer("number", low=1),
            fields.digest("digest"),
            states,
        )
        fields.done()
        return head
