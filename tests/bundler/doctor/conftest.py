"""A ward for one patient: the emulated NGC, and a host that a test may break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bundler.doctor.patients import Ward

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc


@pytest.fixture
def ward(ngc: EmulatedNgc, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Ward:
    """The emulated NGC, no key, nothing configured."""
    return Ward(ngc, isolated, monkeypatch)
