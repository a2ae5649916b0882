"""What a receipt says of a promotion: of which import, by which policy, and what each gate said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.gate.finding import SEVERITIES, UNKNOWN, Finding
from bundle.gate.judge import FAIL, PASS, RESULTS, Check, Excused

if TYPE_CHECKING:
    from bundle.decode import Fields
    from bundle.digest import Digest

_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the gates said of one artifact."""

    artifact: str
    checks: tuple[Check, ...]

    @property
    def is_refused(self) -> bool:
        """Whether a gate refused it."""
        return any(check.result == FAIL for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt."""
        result = FAIL if self.is_refused else PASS
        rows = [check.to_dict() for check in self.checks]
        return {"artifact": self.artifact, "result": result, "gates": rows}

    @classmethod
    def read(cls, fields: Fields) -> Ruling:
        """Read what :meth:`to_dict` wrote."""
        name = fields.text("artifact", limit=_TEXT)
        made = cls(name, tuple(_check(one) for one in fields.objects("gates", required=True)))
        if fields.text("result", choices=(PASS, FAIL)) != (FAIL if made.is_refused else PASS):
            raise fields.wrong("result", "is not what the gates say")
        return made


@dataclass(frozen=True, slots=True)
class Promotion:
    """``receipt`` is that of the import; ``file`` and ``policy`` name the policy and its digest.

    ``overridden`` is the reason for which refused artifacts were promoted all the same.
    """

    receipt: Digest
    file: str
    policy: Digest
    rulings: tuple[Ruling, ...]
    idle: tuple[str, ...] = ()
    overridden: str = ""

    @property
    def refused(self) -> tuple[Ruling, ...]:
        """What a gate refused."""
        return tuple(one for one in self.rulings if one.is_refused)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt."""
        body: dict[str, Any] = {"receipt": str(self.receipt), "file": self.file}
        body |= {"policy": str(self.policy)}
        body["artifacts"] = [one.to_dict() for one in self.rulings]
        if self.idle:
            body["idle"] = list(self.idle)
        return body | ({"overridden": self.overridden} if self.overridden else {})

    @classmethod
    def read(cls, fields: Fields) -> Promotion:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            receipt=fields.digest("receipt"),
            file=fields.text("file", limit=_TEXT),
            policy=fields.digest("policy"),
            rulings=tuple(Ruling.read(one) for one in fields.objects("artifacts", required=True)),
            idle=fields.texts("idle"),
            overridden=fields.text("overridden", "", limit=_TEXT),
        )


def _check(fields: Fields) -> Check:
    return Check(
        gate=fields.text("gate", pattern=r"[a-z][a-z0-9-]{0,39}"),
        result=fields.text("result", choices=RESULTS),
        summary=fields.text("summary", limit=_TEXT),
        faults=fields.texts("faults"),
        excused=tuple(_excused(one) for one in fields.objects("excused")),
        evidence=fields.texts("evidence"),
    )


def _excused(fields: Fields) -> Excused:
    by, reason = (fields.text(key, limit=_TEXT) for key in ("by", "reason"))
    finding = Finding(
        id=fields.text("id", limit=_TEXT),
        severity=fields.text("severity", choices=(*SEVERITIES, UNKNOWN)),
        package=fields.text("package", "", limit=_TEXT),
        version=fields.text("version", "", limit=_TEXT),
        fixed=fields.text("fixed", "", limit=_TEXT),
        source=fields.text("source", "", limit=_TEXT),
        purl=fields.text("purl", "", limit=_TEXT),
        aliases=fields.texts("aliases"),
    )
    return Excused(finding, by, reason)
