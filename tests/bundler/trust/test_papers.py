"""What an export says and takes along of the trust file that lies beside the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.quorum import Stream
from bundler.trust import papers
from tests import keys

if TYPE_CHECKING:
    from pathlib import Path

ANN, BEN = keys.signer("ann"), keys.signer("ben")


def test_an_export_says_who_has_to_sign_yet(tmp_path: Path) -> None:
    spec = tmp_path / "dray.yaml"
    assert papers.missing(spec, None, "prod", [ANN]) == ""
    rule = keys.trust(ANN, BEN, streams={"prod": Stream.of(("ann", "ben"), 2)})
    (tmp_path / "trust.json").write_bytes(rule.to_bytes())
    said = papers.missing(spec, None, "prod", [ANN])
    assert "1 missing, signed by ann" in said
    assert said.endswith("let ben add a signature: dray sign DIR")
    assert papers.missing(spec, None, "prod", [ANN, BEN]) == ""
