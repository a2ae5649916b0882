"""Programs that stand for Trivy, Grype and Syft, in a folder: see ``tests/e2e/scanner.py``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from tests.servers.programs import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

FLAWS = (("CVE-2026-0001", "high"), ("CVE-2026-0002", "low"))
"""What they find, if nobody writes another ``flaws.json`` into the folder."""


def install(folder: Path) -> None:
    """Write the programs, and what they find and do wrong: nothing."""
    folder.mkdir()
    source = (CHECKOUT / "tests/e2e/scanner.py").read_text()
    head = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
    for name in ("trivy", "grype", "syft"):
        program = folder / name
        program.write_text(head + source.replace("from __future__ import annotations\n", "", 1))
        program.chmod(0o755)
    (folder / "flaws.json").write_text(json.dumps(FLAWS))
    (folder / "how.json").write_text("{}")
