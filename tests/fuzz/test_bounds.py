"""Hostile inputs cost little: a megabyte of each kind for a few targets, and the measure itself."""

from __future__ import annotations

import pytest

from tests.fuzz import bounds, targets


@pytest.mark.parametrize("target", ["json", "image", "docker-config"])
def test_a_hostile_megabyte_costs_little(target: str) -> None:
    found = {name: bounds.cost(target, data) for name, data in bounds.hostile(target, 900_000)}
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
