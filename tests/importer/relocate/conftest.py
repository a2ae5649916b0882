"""A high side with a registry of its own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.importer.relocate.site import High

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.registry import Registry


@pytest.fixture
def high(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> High:
    """A high side with a key for receipts, before any import."""
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # skopeo warns where it is missing
    monkeypatch.chdir(tmp_path)
    made = High(tmp_path, registry.host)
    made.keygen()
    return made
