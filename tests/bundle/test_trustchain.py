"""Versions of a trust file that follow from each other, and each way in which they do not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import schemas
from bundle import trust, trustchain, trustplace
from bundle.errors import NotTrusted, UsageError
from bundle.quorum import Role
from bundle.trustchain import Version, file_name, walk
from tests import keys
from tests.keys import LATER, NOW, signer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.trust import Trust

ALICE, BOB, CAROL, EVE = (signer(name) for name in ("alice", "bob", "carol", "eve"))


def of(version: int, *people: Any, threshold: int = 1, **changes: Any) -> Trust:
    names = tuple(one.name for one in people)
    made = keys.trust(*people, version=version, root=Role(names, threshold), **changes)
    return trust.read(made.to_bytes())


def version(made: Trust, *signers: Any) -> Version:
    data = made.to_bytes()
    signed = keys.signed(data, *signers, document=file_name(made.version))
    ending = len(file_name(made.version)) + 1
    names = {name[ending:].partition(".")[0]: content for name, content in signed.items()}
    return Version(made.version, data, names)


ONE = of(1, ALICE, BOB, threshold=2)
TWO = of(2, ALICE, BOB, CAROL, threshold=2)
THREE = of(3, BOB, CAROL, threshold=2)
CHAIN = [version(TWO, ALICE, BOB), version(THREE, BOB, CAROL)]


def test_a_chain_is_walked_from_the_version_in_use_on() -> None:
    assert [one.trust for one in walk(ONE, CHAIN)] == [TWO, THREE]
    assert [one.trust for one in walk(TWO, CHAIN)] == [THREE]
    assert walk(THREE, CHAIN) == []
    assert walk(ONE, []) == []


def test_a_version_that_had_expired_long_ago_is_walked_over() -> None:
    old = of(2, ALICE, BOB, CAROL, threshold=2, expires=NOW.replace(year=2001))
    last = walk(ONE, [version(old, ALICE, BOB), version(THREE, BOB, CAROL)])[-1].trust
    last.check_current(NOW)
    assert last.expires == LATER


def flipped(one: Version, place: int) -> Version:
    data = bytearray(one.data)
    data[place] ^= 1
    return replace(one, data=bytes(data))


LIES: dict[str, tuple[Callable[[], list[Version]], str]] = {
    "one is skipped": (
        lambda: CHAIN[1:],
        "version 2 is missing, between 1, which is in use, and 3",
    ),
    "too few of the old root": (lambda: [version(TWO, ALICE)], "needs 2 signatures of alice, bob"),
    "only strangers": (lambda: [version(TWO, EVE)], "no trusted key signed this"),
    "nobody": (lambda: [version(TWO)], "no signature file is here"),
    "too few of the new root": (
        lambda: [version(of(2, CAROL, signer("dora"), threshold=2), ALICE, BOB, CAROL)],
        "by its own rule, needs 2 signatures of carol, dora; 1 missing",
    ),
    "the new root alone": (
        lambda: [version(of(2, CAROL), CAROL)],
        "no trusted key signed this",
    ),
    "signatures of another version": (
        lambda: [replace(CHAIN[0], signatures=CHAIN[1].signatures)],
        "it was made for other bytes",
    ),
    "another version under this number": (
        lambda: [replace(version(THREE, ALICE, BOB), number=2)],
        "the new trust file has version 3, and 1 is in use",
    ),
    "an old version under a new number": (
        lambda: [replace(version(ONE, ALICE, BOB), number=2)],
        "the new trust file has version 1",
    ),
    "one signature under two names": (
        lambda: [
            replace(
                CHAIN[0],
                signatures={
                    "alice": CHAIN[0].signatures["alice"],
                    "bob": CHAIN[0].signatures["alice"],
                },
            )
        ],
        "1 missing, signed by alice",
    ),
    "a bundle's manifest": (
        lambda: [
            Version(
                2,
                b"{}",
                {
                    name.split(".")[-3]: data
                    for name, data in keys.signed(b"{}", ALICE, BOB).items()
                },
            )
        ],
        "'mediaType' is missing",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_chain_that_is_not_signed_as_it_must_be_is_refused(name: str) -> None:
    tell, says = LIES[name]
    with pytest.raises(NotTrusted, match=says) as caught:
        walk(ONE, tell())
    assert caught.value.hint
    assert "dray sign DIR" not in caught.value.hint


def test_no_byte_of_a_version_can_be_changed() -> None:
    for place in range(0, len(CHAIN[0].data), 7):
        with pytest.raises(NotTrusted):
            walk(ONE, [flipped(CHAIN[0], place)])


def test_a_bad_version_after_good_ones_leaves_none_of_them() -> None:
    with pytest.raises(NotTrusted, match="version 3 is not accepted"):
        walk(ONE, [CHAIN[0], version(THREE, EVE)])


def test_a_chain_reads_back_and_obeys_its_schema() -> None:
    data = trustchain.to_bytes(CHAIN)
    assert trustchain.read(data) == CHAIN
    schemas.validate("trust-chain", json.loads(data))


def body(**changes: object) -> bytes:
    return json.dumps(json.loads(trustchain.to_bytes(CHAIN)) | changes).encode()


ROW = {"version": 2, "document": "", "signatures": {}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not strict JSON"),
        (b"[]", "must be a mapping"),
        (body(mediaType="x"), "mediaType is 'x'"),
        (body(extra=1), "is not a known key"),
        (body(versions={}), "must be a list"),
        (body(versions=[ROW, ROW]), "is 2, after 2"),
        (body(versions=[ROW | {"version": 0}]), "is 0, not from 1"),
        (body(versions=[ROW | {"signatures": {"../x": ""}}]), "is not allowed"),
        (body(versions=[ROW | {"signatures": {f"k{n}": "" for n in range(65)}}]), "are 65"),
        (body(versions=[ROW | {"version": n} for n in range(1, 1002)]), "are 1001, more than 1000"),
        (body(versions=[ROW | {"document": "x" * (trust.MAX_BYTES + 1)}]), "is not allowed"),
    ],
)
def test_a_chain_is_read_strictly(data: bytes, says: str) -> None:
    with pytest.raises(NotTrusted, match=says):
        trustchain.read(data)


# -- where versions lie ---------------------------------------------------------------------------


def lay(folder: Path, *versions: Version) -> None:
    for one in versions:
        (folder / file_name(one.number)).write_bytes(one.data)
        for name, data in one.signatures.items():
            (folder / f"{file_name(one.number)}.{name}.sigstore.json").write_bytes(data)


def test_versions_are_found_as_files_and_as_a_chain_up_to_two_folders_down(tmp_path: Path) -> None:
    lay(tmp_path, CHAIN[0])
    below = tmp_path / "prod-000001" / "medium-1"
    below.mkdir(parents=True)
    (below / f"prod-000001.{trustchain.ENDING}").write_bytes(trustchain.to_bytes(CHAIN))
    assert trustplace.versions([tmp_path]) == CHAIN
    assert trustplace.versions([tmp_path / file_name(2)]) == CHAIN[:1]
    assert trustplace.versions([below / f"prod-000001.{trustchain.ENDING}"]) == CHAIN


def test_signatures_of_one_version_are_joined_from_all_places(tmp_path: Path) -> None:
    for signed_by in (ALICE, BOB):
        (tmp_path / signed_by.name).mkdir()
        lay(tmp_path / signed_by.name, version(TWO, signed_by))
    (joined,) = trustplace.versions([tmp_path])
    assert (joined.data, set(joined.signatures)) == (CHAIN[0].data, {"alice", "bob"})
    assert walk(ONE, [joined])


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    for number, made in enumerate((TWO, of(2, EVE))):
        (tmp_path / str(number)).mkdir()
        lay(tmp_path / str(number), version(made, ALICE))
    with pytest.raises(NotTrusted, match="two different trust files are version 2"):
        trustplace.versions([tmp_path])


def test_links_pipes_and_large_files_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, CHAIN[0])
    path = tmp_path / file_name(3)
    path.symlink_to(tmp_path / file_name(2))
    with pytest.raises(UsageError, match="cannot be read"):
        trustplace.versions([tmp_path])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotTrusted, match="is not a regular file"):
        trustplace.versions([tmp_path])
    path.unlink()
    path.write_bytes(b" " * (trust.MAX_BYTES + 1))
    with pytest.raises(NotTrusted, match="is larger than"):
        trustplace.versions([tmp_path])


@pytest.mark.parametrize("name", ["trust.json", "nowhere"])
def test_what_is_no_version_by_its_name_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "trust.json").write_bytes(ONE.to_bytes())
    with pytest.raises(UsageError, match=r"by its name|does not exist"):
        trustplace.versions([tmp_path / name])
