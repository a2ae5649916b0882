"""What is in a blob gets to clamd whole: packed in any way, hidden in any way; damage is a gap."""

from __future__ import annotations

import gzip
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.scan import forward, inside
from importer.scan.inside import Inside, Verdict
from importer.scan.reply import Reply
from tests.importer.scan.test_clamd import tar

if TYPE_CHECKING:
    from collections.abc import Iterable

EVIL = b"evil"


class Sees:
    """Stands for clamd: remembers what it was sent, and finds one word."""

    def __init__(self) -> None:
        self.sent = b""

    def scan(self, blocks: Iterable[bytes]) -> Reply:
        data = b"".join(blocks)
        self.sent += data
        return Reply("found", "Evil") if EVIL in data else Reply("clean")


def scan(data: bytes, step: int = 777) -> tuple[Verdict, bytes]:
    sees = Sees()
    blocks = (data[at : at + step] for at in range(0, len(data), step))
    verdict = Inside(sees).scan(blocks)  # type: ignore[arg-type]
    return verdict, sees.sent


PACKED = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip in members": lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
    "gzip and zeros": lambda data: gzip.compress(data) + bytes(700),
    "zstd": zstandard.compress,
    "zstd in frames": lambda data: zstandard.compress(data[:50]) + zstandard.compress(data[50:]),
    "zstd behind a skippable frame": lambda data: (
        b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstandard.compress(data)
    ),
    "zstd in gzip": lambda data: gzip.compress(zstandard.compress(data)),
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_layer_is_unpacked_however_it_is_packed(pack: object) -> None:
    files = {"a": b"one", "b/c": b"with evil in it", "n" * 300: b"a long name"}
    verdict, sent = scan(pack(tar(files)))  # type: ignore[operator]
    assert verdict == Verdict(3, 29, {"b/c": "Evil"})
    assert all(data in sent for data in files.values())


def test_a_file_that_is_no_archive_goes_as_it_is() -> None:
    assert scan(b"evil weights" * 100_000)[0].found == {"": "Evil"}
    assert scan(zstandard.compress(b"evil weights" * 1000))[0].found == {"": "Evil"}
    assert scan(b"")[0] == Verdict()


def test_a_file_in_a_layer_that_clamd_cannot_unpack_is_unpacked_for_it() -> None:
    verdict, _ = scan(tar({"lib/module.ko.zst": zstandard.compress(b"an evil module"), "a": b"a"}))
    assert verdict.found == {"lib/module.ko.zst": "Evil"}
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0evil"
    assert scan(tar({"s": skipped}))[0].found == {"s": "Evil"}
    twice = zstandard.compress(zstandard.compress(b"evil"))
    assert "more than once" in scan(tar({"t": twice}))[0].gaps["t"]


def hidden() -> dict[str, bytes]:
    good = tar({"a": b"innocent"})
    other = tar({"b": b"an evil file"})
    link = tarfile.TarInfo("link")
    link.type, link.linkname, link.size = b"\x39", "a", 0
    odd = tarfile.TarInfo("odd")
    odd.type, odd.size = b"Q", 12
    return {
        "a second archive behind the end": good + other,
        "behind the end and many zeros": good + bytes(50_000) + other,
        "behind one zero record": good[:1024] + bytes(512) + other,
        "behind a damaged header": good[:1024] + b"\1" * 512 + other,
        "in the place of a header": good[:1024] + EVIL.ljust(512, b"\1"),
        "in a member of an unknown type": odd.tobuf() + b"an evil file".ljust(512, b"\0"),
        "in the last record, cut": good[:1024] + b"evil",
    }


@pytest.mark.parametrize("data", hidden().values(), ids=hidden())
def test_what_another_reader_of_the_archive_may_see_is_scanned(data: bytes) -> None:
    assert list(scan(data)[0].found.values()) == ["Evil"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(tar({"a": b"a" * 5000}))[:-20], "ends in the middle"),
        (gzip.compress(tar({"a": b"a"})) + b"rubbish", "incorrect header check"),
        (zstandard.compress(b"a" * 5000)[:-4], "ends in the middle"),
        (zstandard.compress(b"a" * 5000) + b"rubbish", "Unknown frame descriptor"),
        (tar({"a": b"\x28\xb5\x2f\xfd"}), "ends in the middle"),
        (tar({"a": b"a" * 5000})[:2000], "unexpected end of data"),
    ],
    ids=range(6),
)
def test_what_cannot_be_unpacked_is_a_gap(data: bytes, reason: str) -> None:
    verdict, _ = scan(data)
    assert any(reason in text for text in verdict.gaps.values())


def test_a_bomb_ends_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "UNPACKED", 5 << 20)
    verdict, sent = scan(gzip.compress(tar({"zeros": bytes(20 << 20), "b": b"evil"})))
    assert "unpacks to more than 5242880 bytes" in verdict.gaps[""]
    assert len(sent) < 6 << 20


def test_what_unpacks_to_many_times_its_size_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "FREE", 1 << 20)
    zeros = tar({"zeros": bytes(20 << 20), "b": b"evil"})
    verdict, sent = scan(gzip.compress(zeros))
    assert "unpacks to more than 100 times its size" in verdict.gaps[""]
    assert len(sent) < 10 << 20
    assert not scan(zeros)[0].gaps, "its own size is no bomb"


def test_more_files_than_an_archive_of_its_size_has_are_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inside, "ENTRIES", 20)
    names = {f"file{number}": b"" for number in range(200)}
    verdict, _ = scan(gzip.compress(tar(names)))
    assert "more files than an archive of its size" in verdict.gaps[""]
    assert not scan(tar(names))[0].gaps, "200 bytes for each are enough"


def test_a_window_that_wants_more_memory_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "WINDOW", 1 << 20)
    params = zstandard.ZstdCompressionParameters(window_log=23, write_content_size=False)
    made = zstandard.ZstdCompressor(compression_params=params).compressobj()
    data = made.compress(bytes(100)) + made.flush()
    assert "cannot be unpacked" in scan(data)[0].gaps[""]


def test_a_header_that_asks_for_memory_is_a_gap() -> None:
    long = tarfile.TarInfo("x")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    assert "header in it has more than" in scan(long.tobuf() + bytes(4096))[0].gaps[""]


def test_a_name_moves_no_cursor() -> None:
    (name,) = scan(tar({"a\x1b[2J\nb": EVIL}))[0].found
    assert name.isprintable()


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text("abc/", min_size=1, max_size=120),
        st.binary(max_size=3000).filter(lambda data: not data.startswith(inside._ZSTD)),
        min_size=1,
    ),
    st.sampled_from(sorted(PACKED)),
    st.integers(1, 4000),
)
def test_every_byte_of_every_file_is_sent(files: dict[str, bytes], how: str, step: int) -> None:
    pack: object = PACKED[how]
    verdict, sent = scan(pack(tar(files)), step)  # type: ignore[operator]
    assert all(data in sent for data in files.values())
    assert verdict.files == sum(bool(data) for data in files.values())
    assert verdict.size == sum(map(len, files.values()))
    assert not verdict.gaps


@settings(max_examples=100)
@given(st.binary(max_size=3000), st.integers(1, 4000))
def test_any_bytes_end_in_a_verdict(data: bytes, step: int) -> None:
    verdict, sent = scan(data, step)
    assert verdict.gaps or not data or data in sent or not data.strip(b"\0")


@settings(max_examples=100)
@given(st.data(), st.sampled_from(sorted(PACKED)))
def test_a_damaged_layer_ends_in_a_verdict(data: st.DataObject, how: str) -> None:
    pack: object = PACKED[how]
    whole = bytearray(pack(tar({"a": b"one" * 300, "b": b"two" * 20})))  # type: ignore[operator]
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    scan(bytes(whole))


def test_it_reads_all_that_it_is_given() -> None:
    left = iter([tar({"a": b"a" * 5000})[:700], b"x" * 5000, b"y" * 5000])
    Inside(Sees()).scan(left)  # type: ignore[arg-type]
    assert next(left, None) is None
