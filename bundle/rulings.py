"""What a receipt says of rules: why an import ended before its end, and what a policy file said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.upstream.record import Record

if TYPE_CHECKING:
    from bundle.decode import Fields
    from bundle.digest import Digest

REFUSED, FAILED, INTERRUPTED = OUTCOMES = ("refused", "failed", "interrupted")
RULE = r"[a-z][a-z0-9-]{0,39}"
_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an import did not do what it was for.

    ``outcome`` is one of :data:`OUTCOMES`, ``rule`` what the ledger calls the reason, ``exit_code``
    what the command ended with.
    """

    outcome: str
    rule: str
    exit_code: int
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt."""
        body: dict[str, Any] = {"outcome": self.outcome, "rule": self.rule}
        return {**body, "exitCode": self.exit_code, "error": self.error}

    @classmethod
    def read(cls, fields: Fields) -> Ending:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            outcome=fields.text("outcome", choices=OUTCOMES),
            rule=fields.text("rule", pattern=RULE),
            exit_code=fields.integer("exitCode", low=1, high=255),
            error=fields.text("error", limit=_TEXT),
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policy said of one artifact: whose signatures it has, and what it misses."""

    artifact: str
    record: Record
    is_required: bool
    faults: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt."""
        body: dict[str, Any] = {"artifact": self.artifact, "required": self.is_required}
        body |= self.record.to_dict()
        return body | ({"faults": list(self.faults)} if self.faults else {})

    @classmethod
    def read(cls, fields: Fields) -> Judgement:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            artifact=fields.text("artifact", limit=_TEXT),
            record=Record.read(fields),
            is_required=fields.flag("required"),
            faults=fields.texts("faults"),
        )


@dataclass(frozen=True, slots=True)
class Publishers:
    """What a policy file said of the publishers' signatures: its name and digest, and each verdict.

    ``idle`` are patterns of it that matched nothing.
    """

    file: str
    digest: Digest
    judgements: tuple[Judgement, ...]
    idle: tuple[str, ...] = ()

    @property
    def required(self) -> int:
        """How many artifacts had to be signed."""
        return sum(one.is_required for one in self.judgements)

    @property
    def failed(self) -> tuple[Judgement, ...]:
        """What is not signed as the policy wants."""
        return tuple(one for one in self.judgements if one.faults)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt."""
        body: dict[str, Any] = {"file": self.file, "digest": str(self.digest)}
        body["artifacts"] = [one.to_dict() for one in self.judgements]
        return body | ({"idle": list(self.idle)} if self.idle else {})

    @classmethod
    def read(cls, fields: Fields) -> Publishers:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            file=fields.text("file", limit=_TEXT),
            digest=fields.digest("digest"),
            judgements=tuple(
                Judgement.read(item) for item in fields.objects("artifacts", required=True)
            ),
            idle=fields.texts("idle"),
        )
