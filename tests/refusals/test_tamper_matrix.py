"""Whatever is done to whichever file of a bundle is found, named, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.refusals import matrix
from tests.refusals.conftest import copy
from tests.refusals.table import IMPORT, VERIFY, assert_blobs_are_true, dray, snapshot, visible

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle

OPERATIONS = (*(name for name in matrix.CODES if name != "flip"),)


@pytest.fixture(scope="module")
def desk(good: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that is put back after each tampering."""
    return copy(good["plain"], tmp_path_factory.mktemp("matrix") / "desk")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_file_can_be_tampered_with_only_to_be_found(
    operation: str, desk: Bundle, good: dict[str, Bundle]
) -> None:
    cases = [t for name, t in matrix.structural(desk, good["older"]) if name == operation]
    assert len({case.file for case in cases}) >= 5
    for case in cases:
        with matrix.restored(desk):
            matrix.judge(desk, operation, case)


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(deadline=None, max_examples=150, suppress_health_check=SLOW)
@given(data=st.data())
def test_any_bit_of_any_file_is_found(data: st.DataObject, desk: Bundle) -> None:
    path = data.draw(st.sampled_from(sorted(desk.folder.iterdir())))
    at = data.draw(st.integers(0, path.stat().st_size - 1))
    for operation, case in matrix.flips(path, iter([at])):
        try:
            matrix.judge(desk, operation, case)
        finally:
            case.tell()


@settings(deadline=None, max_examples=40, suppress_health_check=SLOW)
@given(data=st.data())
def test_an_import_of_what_was_tampered_with_shows_nothing(
    data: st.DataObject, desk: Bundle, good: dict[str, Bundle], loaded: Path
) -> None:
    cases = list(matrix.structural(desk, good["older"]))
    flipped = data.draw(st.sampled_from(sorted(desk.folder.iterdir())))
    cases += matrix.flips(flipped, iter([data.draw(st.integers(0, flipped.stat().st_size - 1))]))
    operation, case = data.draw(st.sampled_from(cases))
    kind = matrix.class_of(case.file.name, desk)
    if 0 in matrix.expected(operation, kind) or (operation, kind) == ("flip", "signature"):
        return  # what is good all the same would be imported, and the next import read nothing
    seen = visible(loaded)
    with matrix.restored(desk):
        matrix.judge(desk, operation, case, "--to", loaded, way=IMPORT)
    assert visible(loaded) == seen, "something of a tampered bundle is visible"
    assert_blobs_are_true(loaded)


def test_the_matrix_begins_with_a_good_bundle_and_ends_with_it(desk: Bundle) -> None:
    before = {name: row[-1] for name, row in snapshot(desk.folder).items()}
    answer = dray(VERIFY, "--trust", desk.trust, *desk.folders, folder=desk.trust.parent)
    assert answer.code == 0, answer
    assert {name: row[-1] for name, row in snapshot(desk.folder).items()} == before
