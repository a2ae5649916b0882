"""Hostile inputs cost little: a megabyte of each kind for one target, and the measure itself."""

from __future__ import annotations

import pytest

from tests.fuzz import bounds, targets


def test_a_hostile_megabyte_costs_little() -> None:
    found = {name: bounds.cost("json", data) for name, data in bounds.hostile("json", 900_000)}
    assert {name: cost.fault for name, cost in found.items() if cost.fault} == {}


@pytest.mark.parametrize(
    ("hog", "fault"),
    [
        (lambda _data: bytearray(b"x") * (150 << 20), "157 MB"),
        (lambda _data: int("x"), "ValueErr"),
    ],
)
def test_what_costs_too_much_is_told(
    monkeypatch: pytest.MonkeyPatch, hog: targets.Target, fault: str
) -> None:
    monkeypatch.setitem(targets.TARGETS, "json", hog)
    assert bounds.cost("json", b"").fault.startswith(fault)
