"""An answer of clamd that did not arrive whole is no verdict."""

from __future__ import annotations

import pytest

from bundle.errors import ScannerError
from importer.scan import reply


@pytest.mark.parametrize("data", [b"", b"stream: OK", b"stream: OK\n", b"stream: OK\0\0"])
def test_an_answer_that_does_not_end_with_its_only_nul_is_no_verdict(data: bytes) -> None:
    with pytest.raises(ScannerError, match=f"ended after {len(data)} bytes without a verdict"):
        reply.verdict(data)


def test_the_same_answer_with_its_nul_is_one() -> None:
    assert reply.verdict(b"stream: OK\0").kind == "clean"
