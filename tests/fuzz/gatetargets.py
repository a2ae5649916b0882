"""The fuzz targets of gates: what scanners and others wrote is understood, or it says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.gate import documents, foreign, spdx, vex
from bundle.gate.finding import RANK, UNKNOWN, Finding
from tests.bundle.gate.made import Store, gates

if TYPE_CHECKING:
    from collections.abc import Callable

_IMAGE = Store().image()
_FLAW = Finding("CVE-2026-1", "high", "openssl", "3.0.1", purl="pkg:deb/ubuntu/openssl@3.0.1")


def report(data: bytes) -> None:
    """A report of any form: each finding has a name and a severity of ours."""
    made = documents.report(data, "it")
    for one in made.findings:
        assert one.id
        assert one.severity in {*RANK, UNKNOWN}
        assert str(one)
    assert len(made.name) < 5000


def openvex(data: bytes) -> None:
    """A VEX document: a status of ours, and only for what it is about."""
    document = vex.parse(data, "it")
    if ruled := vex.ruling([document], _FLAW, _IMAGE):
        assert ruled[0].status in vex.STATUSES
        assert "CVE-2026-1" in ruled[0].names


def sbom(data: bytes) -> None:
    """An SBOM: nothing in it is allowed by an empty list, and everything by none."""
    for one in spdx.declared(foreign.read(data, "it")):
        assert not one.expression or spdx.permits(one.expression, (), ())
        assert not one.expression or not spdx.permits(one.expression, ("no licence",), ("*",))


def gate_rules(data: bytes) -> None:
    """The gates of a policy file."""
    gates(data.decode("utf-8", "replace"))


TARGETS: dict[str, Callable[[bytes], object]] = {
    "gate-report": report,
    "gate-vex": openvex,
    "gate-sbom": sbom,
    "gate-rules": gate_rules,
}
