"""Recovery data that is signed and lies about groups and files; and files of it that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.refusals.edits import OTHER, again, lie, put
from tests.refusals.table import VERIFY, VERIFY_FIRST, Lie, check, dray, rows

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.factory import Bundle
    from tests.refusals.edits import Body

BUNDLE = "parity"


def drop_list(body: Body) -> None:
    body["files"] = [file for file in body["files"] if not file["name"].endswith(".blocks")]


def third_parity(body: Body) -> None:
    files = body["parity"][0]["files"]
    files += [{**files[0], "name": f"prod-000007.parity-0009{n}"} for n in (1, 2)]


def grow_list(body: Body) -> None:
    for file in body["files"]:
        file["size"] += 32 * file["name"].endswith(".blocks")


def spoil(bundle: Bundle) -> None:
    path = bundle.path("parity-00001")
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def signed(name: str, tell: object, says: str) -> Lie:
    return Lie(name, tell, 3, says, bundle=BUNDLE)  # type: ignore[arg-type]


GROUPS = (
    signed("a chunk is in two groups", put("parity", 1, "chunks", 0, value=1), "in two groups"),
    signed("a group has a chunk twice", put("parity", 0, "chunks", 1, value=1), "in two groups"),
    signed("a group has chunk 99", put("parity", 0, "chunks", 0, value=99), "is not listed"),
    signed("a group has chunk 0", put("parity", 0, "chunks", 0, value=0), "is not listed"),
    signed("a group has true", put("parity", 0, "chunks", 0, value=True), "a chunk's number"),
    signed("a group has no chunks", put("parity", 0, "chunks", value=[]), "too few or too many"),
    signed("a group has no files", put("parity", 0, "files", value=[]), "too few or too many"),
    signed(
        "a group has three parities",
        lie(third_parity),
        "too few or too many",
    ),
    signed("a group is there twice", again("parity"), "names a file twice"),
    signed(
        "a parity file has another number",
        put("parity", 0, "files", 0, "name", value="prod-000007.parity-00009"),
        "not 'prod-000007.parity-00001'",
    ),
    signed(
        "a parity file has a chunk's name",
        put("parity", 0, "files", 0, "name", value="prod-000007.chunk-00001.tar"),
        "names a file twice",
    ),
    signed(
        "a parity file is shorter than a chunk",
        put("parity", 0, "files", 0, "size", value=512),
        "of another size",
    ),
    signed(
        "a parity file is on medium 9",
        put("parity", 0, "files", 0, "medium", value=9),
        "on a medium that is not there",
    ),
    signed("there is no block list", lie(drop_list), "needs a block list of its size"),
    signed("the block list is too long", lie(grow_list), "needs a block list of its size"),
    signed("parity is no list", put("parity", value={}), "must be a list"),
)
FILES = (
    Lie(
        "a parity file is damaged",
        spoil,
        3,
        "has other bytes",
        "dray repair",
        bundle=BUNDLE,
        ways=(VERIFY,),
    ),
    Lie(
        "a parity file is missing",
        lambda bundle: bundle.path("parity-00002").unlink(),
        4,
        "parity-00002",
        bundle=BUNDLE,
        ways=(VERIFY,),
    ),
    Lie(
        "a parity file has another digest",
        put("parity", 0, "files", 0, "digest", value=OTHER),
        3,
        "has other bytes",
        bundle=BUNDLE,
        ways=(VERIFY,),
    ),
    Lie(
        "a parity file that nobody listed",
        lambda bundle: bundle.path("parity-00099").write_bytes(b"more"),
        3,
        "is no part of the bundle",
        bundle=BUNDLE,
    ),
)


@rows(GROUPS, FILES)
def test_recovery_data_that_lies_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


def test_damaged_and_missing_parity_keeps_nobody_from_importing(
    good: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.refusals.conftest import copy

    bundle = copy(good[BUNDLE], tmp_path / "desk")
    spoil(bundle)
    bundle.path("parity-00002").unlink()
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    for way in ("import", VERIFY_FIRST):
        to = tmp_path / way.replace(" ", "")
        arguments = (*way.split(), "--trust", bundle.trust, "--to", to, *bundle.folders)
        assert dray(*arguments, folder=tmp_path).code == 0
