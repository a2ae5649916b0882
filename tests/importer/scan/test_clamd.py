"""What clamd says, the real one over both kinds of sockets, and the one that tests have made."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle import ustar
from bundle.errors import GateRefused, ScannerError
from importer.scan import engine
from importer.scan.address import Address
from importer.scan.batch import Batch
from importer.scan.clamd import Clamd
from importer.scan.inside import Inside, Verdict
from importer.scan.reply import Reply
from tests.servers import clamd as servers
from tests.servers.clamd import STREAM, WORD, Server

if TYPE_CHECKING:
    from tests.importer.scan.fake import Fake

EICAR = engine.test_file()
FOUND = "Dray.Test.Eicar.UNOFFICIAL"


def tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def inside(clamd: Clamd, data: bytes, step: int = 1000) -> Verdict:
    return Inside(clamd).scan(data[at : at + step] for at in range(0, len(data), step))


def test_clean_is_clean_and_the_test_file_is_found(clamd: Clamd) -> None:
    assert clamd.scan([]) == Reply("clean")
    assert clamd.scan([b"hello ", b"world"]) == Reply("clean")
    assert clamd.scan([EICAR[:10], EICAR[10:]]) == Reply("found", FOUND)
    assert clamd.scan([gzip.compress(EICAR)]) == Reply("found", FOUND)
    assert clamd.scan([ustar.member("1", b"x"), ustar.member("2", EICAR)]).kind == "found"


def test_a_stream_that_is_too_long_is_not_called_clean(clamd: Clamd) -> None:
    blocks = iter([b"\0" * 500_000] * 100)  # more than sockets hold
    assert clamd.scan(blocks).kind == "limits"
    assert list(blocks), "clamd was sent all of it, though it wanted no more"


def test_it_tells_its_version_and_passes_for_one_that_can_be_believed(clamd: Clamd) -> None:
    assert clamd.version().engine.startswith("ClamAV ")
    found = engine.examine(clamd, max_age=None, allow="")
    assert (found.limits, found.encrypted, found.age) == (True, True, None)


def test_signatures_without_a_date_are_not_young_enough(clamd: Clamd) -> None:
    with pytest.raises(GateRefused, match="have no date that clamd tells: --clamd-max-age is 7"):
        engine.examine(clamd, max_age=7, allow="")


def test_a_file_in_a_layer_is_found_by_its_name_and_the_others_are_cleared(clamd: Clamd) -> None:
    files = {f"usr/lib/{n}": b"%d" % n * 50 for n in range(900)}
    files |= {"opt/virus.com": EICAR, "opt/large": os.urandom(600_000) + WORD, "opt/last": b"x"}
    for data in (tar(files), gzip.compress(tar(files))):
        verdict = inside(clamd, data, 70_001)
        assert verdict.found == {"opt/virus.com": FOUND, "opt/large": "Dray.Test.Word.UNOFFICIAL"}
        assert (verdict.files, verdict.gaps) == (903, {})


def test_a_file_beyond_a_limit_is_a_gap_and_what_follows_is_looked_at(clamd: Clamd) -> None:
    verdict = inside(clamd, tar({"a": b"a", "big": b"\0" * (STREAM + 1), "z": EICAR}), 70_001)
    assert verdict.gaps == {"big": "limits: longer than clamd's StreamMaxLength"}
    assert verdict.found == {"z": FOUND}


def test_what_is_too_deep_or_encrypted_is_a_gap(clamd: Clamd) -> None:
    verdict = inside(clamd, tar({"deep": engine._nested(), "zip": engine._locked(), "a": b"a"}))
    assert verdict.gaps == {
        "deep": "limits: Heuristics.Limits.Exceeded.MaxRecursion",
        "zip": "encrypted: Heuristics.Encrypted.Zip",
    }
    assert not verdict.found


def test_a_finding_that_no_file_has_alone_is_not_lost(faked: tuple[Server, Fake]) -> None:
    server, fake = faked
    fake.spoil = lambda _n, data: b"stream: Odd FOUND\0" if data[257:262] == b"ustar" else None
    found: dict[str, Reply] = {}
    batch = Batch(Clamd(Address(path=str(server.socket))), found.__setitem__)
    for name in "abc":
        batch.add(name, name.encode())
    batch.flush()
    assert found == {"a … c": Reply("found", "Odd")}


def test_a_clamd_without_signatures_is_not_believed() -> None:
    with servers.running(known=False, reports=False) as server:
        clamd = Clamd(Address(path=str(server.socket)))
        with pytest.raises(GateRefused, match="does not find the EICAR test file") as refused:
            engine.examine(clamd, max_age=None, allow="whatever")
    assert refused.value.exit_code == 7
    with pytest.raises(ScannerError, match="no such file or directory") as failed:
        clamd.version()
    assert failed.value.exit_code == 6


def test_a_clamd_that_keeps_quiet_about_its_limits_needs_a_reason() -> None:
    with servers.running(reports=False) as server:
        clamd = Clamd(Address(path=str(server.socket)))
        with pytest.raises(GateRefused, match="calls clean what is beyond its limits") as refused:
            engine.examine(clamd, max_age=None, allow="")
        found = engine.examine(clamd, max_age=None, allow="a reason")
    assert "AlertExceedsMax yes" in refused.value.hint
    assert (found.limits, found.encrypted) == (False, False)


def test_old_signatures_are_refused_where_an_age_is_named(faked: tuple[Server, Fake]) -> None:
    server, fake = faked
    fake.version = b"ClamAV 1.4.6/27500/Mon Nov  2 08:30:00 2020"
    clamd = Clamd(Address(path=str(server.socket)))
    age = engine.examine(clamd, max_age=None, allow="").age
    assert age is not None
    with pytest.raises(GateRefused, match=rf"are {age.days} days old: --clamd-max-age is 30"):
        engine.examine(clamd, max_age=30, allow="")
    assert engine.examine(clamd, max_age=age.days, allow="").version.database == "27500"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"stream: OK",
        b"stream: OK\0stream: OK\0",
        b"stream: ok\0",
        b"stream:  FOUND\0",
        b"stream: A\nB FOUND\0",
        b"\xff\0",
        b"COMMAND READ TIMED OUT\0",
        b"stream: OK" * 1000,
        b"1: stream: OK\0",
    ],
)
def test_an_answer_that_is_none_is_no_verdict(faked: tuple[Server, Fake], said: bytes) -> None:
    server, fake = faked
    fake.spoil = lambda _number, _data: said
    with pytest.raises(ScannerError) as failed:
        Clamd(Address(path=str(server.socket))).scan([b"x"])
    assert failed.value.hint


def test_silence_ends(faked: tuple[Server, Fake]) -> None:
    server, fake = faked
    fake.spoil = lambda _number, _data: __import__("time").sleep(1) or b""
    with pytest.raises(ScannerError, match="no answer in time"):
        Clamd(Address(path=str(server.socket)), patience=0.2).scan([b"x"])


def test_what_listens_there_is_no_clamd(faked: tuple[Server, Fake]) -> None:
    server, fake = faked
    for said in (b"SSH-2.0-OpenSSH", b"", b"ClamAV", b"ClamAV 1/x/y", b"ClamAV 1/2/3\0more"):
        fake.version = said
        with pytest.raises(ScannerError):
            Clamd(Address(path=str(server.socket))).version()
