"""Charts that spell images as public ones do: exactly right, with helm and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.known_charts import KNOWN
from tests.bundler.discover.reading import READERS, carried, left, read

if TYPE_CHECKING:
    from fixtures.known_parts import Known


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN.keys())
def test_the_chart_needs_exactly_these(reader: str, known: Known) -> None:
    found = read(known.archive, reader, values=known.values, answers=known.answers)
    assert carried(found) == list(known.carried)
    assert left(found) == list(known.left)
    assert all(image.why for image in found)
