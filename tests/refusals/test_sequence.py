"""Lies about when, and which bundle comes after which; and about what this host remembers of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bundle import instant
from bundle.digest import Digest
from bundle.errors import NotTrusted
from bundle.state import State, StateFolder, default_folder
from importer import opening
from importer.admission import Overrides
from importer.ledger import entry
from importer.ledger.book import Ledger
from tests import factory
from tests.refusals.table import IMPORT, VERIFY_FIRST, Lie, check, dray, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]


def imported(sequence: int, *, digest: str = "", epoch: int = 0, kind: str = "import-done") -> None:
    """Put on this host's record that it has imported another bundle of the stream."""
    manifest = digest or str(Digest.of(b"another"))
    place = {"stream": factory.STREAM, "epoch": epoch, "sequence": sequence}
    name = f"{factory.STREAM}-{sequence:06d}"
    Ledger.open().append(kind, bundle=name, manifest=manifest, **place)


def stands_at(sequence: int, *, digest: str = "", epoch: int = 0) -> Tell:
    return lambda _bundle: imported(sequence, digest=digest, epoch=epoch)


def remembers(sequence: int) -> Tell:
    """Say so in the state file of a dray that had no ledger."""
    state = State(factory.STREAM, 0, sequence, Digest.of(b"another"), instant.now())
    return lambda _bundle: StateFolder(default_folder(), "import").record(state)


def damaged_state(bundle: Bundle) -> None:
    remembers(6)(bundle)
    path = StateFolder(default_folder(), "import").path(factory.STREAM)
    path.write_bytes(path.read_bytes()[:-20])


def in_ledger(change: Callable[[bytes], bytes], *, head: bool = True) -> Tell:
    """Change this host's ledger after an import of number 6; without its head, if asked."""

    def tell(_bundle: Bundle) -> None:
        imported(5)
        imported(6)
        path = Ledger.open().path
        path.write_bytes(change(path.read_bytes()))
        if not head:
            (path.parent / "ledger.head").unlink()

    return tell


def no_ledger(_bundle: Bundle) -> None:
    imported(6)
    Ledger.open().path.unlink()


def used_trust(version: int) -> Tell:
    """Say that this host has used this version of the trust file for the stream."""
    digest = str(Digest.of(b"another trust file"))
    mark = {"version": version, "trust": digest, "stream": factory.STREAM}
    return lambda _bundle: Ledger.open().append("trust", change="used", **mark)


def clock_was_ahead(days: float) -> Tell:
    """Have this host's ledger written to by a clock that was so many days ahead of now's."""
    then = instant.now() + timedelta(days=days)

    def tell(_bundle: Bundle) -> None:
        with mock.patch.object(instant, "now", lambda: then):
            imported(5)

    return tell


def expires(when: str) -> Tell:
    return lambda bundle: bundle.lie(lambda body: body.update(expires=when))


def both(*tells: Tell) -> Tell:
    return lambda bundle: [tell(bundle) for tell in tells]


RESTART = "dray ledger restart --reason REASON"


def swap(data: bytes) -> bytes:
    """Make the number that was imported another one."""
    return data.replace(b'"sequence":5', b'"sequence":6')


def shorten(data: bytes) -> bytes:
    return data.splitlines(keepends=True)[0]


def anew(_data: bytes) -> bytes:
    """Return a ledger that follows from itself, and says something else."""
    first = entry.compose(1, entry.FIRST, instant.now(), entry.OPENED, {"nonce": "1"})
    second = entry.compose(2, first.digest, instant.now(), "note", {})
    third = entry.compose(3, second.digest, instant.now(), "note", {})
    return b"".join(one.line + b"\n" for one in (first, second, third))


EXPIRED = "the bundle expired on 2020-01-01T00:00:00Z"
WHEN = (
    Lie(
        "the bundle has expired",
        expires("2020-01-01T00:00:00Z"),
        5,
        EXPIRED,
        "--allow-expired REASON",
        remembered=True,
    ),
    Lie(
        "the bundle expires on a day that there is not",
        expires("2027-02-30T00:00:00Z"),
        5,
        "the bundle's expiry is no such day or time",
    ),
    Lie(
        "a bundle is replayed",
        stands_at(9),
        5,
        "prod 7 is older than 9",
        "--allow-rollback REASON",
        remembered=True,
    ),
    Lie(
        "a stream forks",
        stands_at(7),
        5,
        "two different bundles are prod 7",
        "somebody signed twice",
        remembered=True,
    ),
    Lie(
        "a fork that somebody allows",
        stands_at(7),
        5,
        "two different bundles are prod 7",
        "somebody signed twice",
        options=("--allow-rollback", "because"),
        remembered=True,
    ),
    Lie(
        "the trust file is of an older epoch",
        stands_at(3, epoch=1),
        5,
        "the trust file gives prod epoch 0, but epoch 1 was seen",
        "use the newest trust file",
        remembered=True,
    ),
    Lie(
        "a bundle is replayed that an older dray knew",
        remembers(9),
        5,
        "prod 7 is older than 9",
        remembered=True,
    ),
    Lie("this host's memory is damaged", damaged_state, 2, "is damaged", "restore it"),
    Lie("a byte of the ledger was changed", in_ledger(swap), 5, "line 3", RESTART),
    Lie("a word of it was changed, and no head", in_ledger(swap, head=False), 5, "line 3", RESTART),
    Lie("the ledger was cut back", in_ledger(shorten), 5, "has 1 entries, and not the 3", RESTART),
    Lie("the ledger was emptied", in_ledger(lambda _: b""), 5, "is gone: 3 entries", RESTART),
    Lie("the ledger was removed", no_ledger, 5, "is gone: 2 entries were written", RESTART),
    Lie("the ledger was exchanged", in_ledger(anew), 5, "another entry 3 than was", RESTART),
    Lie(
        "the trust file is an older one",
        used_trust(2),
        5,
        "the trust file has version 1, and version 2 was used here for prod",
        "use the newest trust file",
        remembered=True,
    ),
    Lie(
        "another trust file has the version of the one that was used",
        used_trust(1),
        5,
        "the trust file (version 1) is another one than was used here for prod (version 1)",
        "dray trust apply PLACE",
        remembered=True,
    ),
    Lie(
        "a newer trust file is there that nobody has applied",
        used_trust(0),
        5,
        "another one than was used here for prod (version 0), and nobody has applied it",
        "dray trust replace",
        remembered=True,
    ),
    Lie(
        "the clock was set back",
        clock_was_ahead(1.1),
        5,
        "what has expired would pass",
        "set the clock right",
        remembered=True,
    ),
    Lie(
        "an allowed replay has expired",
        both(stands_at(9), expires("2020-01-01T00:00:00Z")),
        5,
        EXPIRED,
        "--allow-expired REASON",
        options=("--allow-rollback", "because"),
        remembered=True,
    ),
)


@rows(WHEN)
def test_a_lie_about_when_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


@pytest.mark.parametrize(
    ("tell", "option"),
    [
        (stands_at(9), "--allow-rollback"),
        (stands_at(3, epoch=1), "--allow-rollback"),
        (used_trust(2), "--allow-rollback"),
        (used_trust(1), "--allow-rollback"),
        (clock_was_ahead(1.1), "--allow-expired"),
        (expires("2020-01-01T00:00:00Z"), "--allow-expired"),
    ],
)
@pytest.mark.parametrize("way", [IMPORT, VERIFY_FIRST])
def test_a_reason_lets_an_old_bundle_through(
    tell: Tell, option: str, way: str, tmp_path: Path
) -> None:
    bundle = factory.build(tmp_path / "desk", sequence=7)
    tell(bundle)
    arguments = ("--trust", bundle.trust, "--to", tmp_path / "warehouse", option, "for a test")
    answer = dray(*way.split(), *arguments, bundle.folder, folder=tmp_path)
    assert answer.code == 0, answer
    (override,) = [one for one in Ledger.open().chain.entries if one.kind == entry.OVERRIDE]
    assert override.text("reason") == "for a test"
    assert override.text("user")


def test_a_clock_that_goes_back_by_hours_is_no_fault(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "desk", sequence=7)
    clock_was_ahead(0.9)(bundle)
    assert dray(IMPORT, "--trust", bundle.trust, bundle.folder, folder=tmp_path).code == 0


def test_a_refusal_does_not_make_a_clock_right_and_a_reason_does(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "desk", sequence=7)
    clock_was_ahead(400)(bundle)
    asked = (IMPORT, "--trust", bundle.trust, bundle.folder)
    assert [dray(*asked, folder=tmp_path).code for _ in range(2)] == [5, 5]
    reason = ("--allow-expired", "it was a year ahead")
    assert dray(*asked, *reason, folder=tmp_path).code == 0
    assert dray(*asked, folder=tmp_path).code == 0


def test_a_trust_file_that_another_run_applies_meanwhile_counts(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "desk", sequence=7)
    _media, sealed, _trust = opening.unsealed((bundle.folder,), bundle.trust, None)
    admission = opening.admission(sealed, Overrides())
    admission.judge()
    admission.confirm()
    used_trust(2)(bundle)
    with pytest.raises(NotTrusted, match="version 2 was used here for prod"):
        admission.confirm()
