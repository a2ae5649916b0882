"""The gates of a spec's policy before an export: without a report nothing passes a limit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import GateRefused
from bundler import gates
from bundler import spec as specs
from bundler.scan.option import Chosen
from tests.bundler import world

if TYPE_CHECKING:
    from pathlib import Path

LOCK = world.lock(world.locked("app", b"layer"))


def passed(folder: Path, policy: str) -> Any:
    text = f"apiVersion: dray/v1\nstream: prod\nimages: [up.example/app:1.0]\n{policy}"
    upstreams: Any = SimpleNamespace(opener=world.Upstream.of(b"layer").opener, close=lambda: None)
    spec = specs.parse(text.encode(), folder / "dray.yaml")
    return gates.passed(LOCK, spec, lambda _spec: upstreams, Chosen(), quiet=True)


def test_an_image_without_a_report_does_not_pass_a_limit(tmp_path: Path) -> None:
    with pytest.raises(GateRefused, match="no report") as refused:
        passed(tmp_path, "policy: {max-severity: critical}\n")
    assert refused.value.hint.startswith(f"dray scan {tmp_path}")
    assert passed(tmp_path, "") is LOCK
    optional = "policy: {max-severity: high, reports: {optional: ['*']}}\n"
    assert passed(tmp_path, optional) is LOCK
