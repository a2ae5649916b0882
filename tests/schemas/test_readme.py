"""The worked example of the format's text is a bundle: built from the text alone, it verifies."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

import bundle.manifest
import schemas
from bundle import decode, encoding, instant, media, segments, signature, trust, ustar
from bundle.artifact import REPOSITORY, TAG
from bundle.chunks import LAYOUT, index_json, prefix
from bundle.digest import Digest
from bundle.manifest import Manifest
from bundle.media import Media
from bundle.signaturefiles import check_signatures
from bundle.unseal import Sealed, unseal
from bundle.verify import Report, verify
from bundler import encode, lock, packing, paperwork, plan
from bundler.sources import fileset

README = Path(schemas.__file__).with_name("README.md")
TEXT = README.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?\n)```$", re.DOTALL | re.MULTILINE)
BLOCKS: dict[str, str] = dict(BLOCK.findall(TEXT))
NAME = "demo-000001"
DOCUMENT = f"{NAME}.manifest.json"
SIGSTORE = f"{DOCUMENT}.alice.sigstore.json"
NOW = instant.parse("2026-02-01T00:00:00Z")
HELLO = b"hello\n"


def unbroken(name: str) -> bytes:
    """Return a block whose lines are broken for reading only."""
    return BLOCKS[name].replace("\n", "").encode()


def member(name: str, data: bytes) -> bytes:
    """Write a member as section 6 says, without the program."""
    header = bytearray(512)
    fields = {0: name.encode(), 100: b"0000644", 108: b"0000000", 116: b"0000000"}
    fields |= {124: b"%011o" % len(data), 136: b"0" * 11, 148: b" " * 8, 156: b"0"}
    fields |= {257: b"ustar\x0000", 329: b"0000000", 337: b"0000000"}
    for place, content in fields.items():
        header[place : place + len(content)] = content
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def chunk() -> bytes:
    """Write the chunk of the example as the text says, without the program."""
    blobs = sorted([unbroken("oci-manifest"), HELLO, b"{}"], key=len, reverse=True)
    members = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')]
    members.append(("index.json", unbroken("index.json")))
    members += [(f"blobs/sha256/{hashlib.sha256(data).hexdigest()}", data) for data in blobs]
    return b"".join(member(name, data) for name, data in members) + bytes(1024)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Write the example's files into a folder."""
    for name, text in BLOCKS.items():
        if name.startswith(f"{NAME}."):
            (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / f"{NAME}.chunk-00001.tar").write_bytes(chunk())
    claimed = json.loads(BLOCKS[SIGSTORE])["messageSignature"]["signature"]
    (tmp_path / f"{DOCUMENT}.alice.sig").write_bytes(base64.b64decode(claimed))
    return tmp_path


def opened(folder: Path) -> Sealed:
    return unseal(Media.find([folder]), trust.read(BLOCKS["trust.json"].encode()), NOW)


def test_the_example_is_signed_complete_and_good(written: Path) -> None:
    sealed = opened(written)
    found = verify(sealed.manifest, Media.find([written]))
    check_signatures(sealed, Media.find([written]), found)
    assert (found.bad, found.missing, found.notes) == ([], [], [])
    assert sealed.signers.names == ("alice",)


def test_the_example_is_no_longer_good_with_another_byte(written: Path) -> None:
    path = written / f"{NAME}.chunk-00001.tar"
    path.write_bytes(path.read_bytes().replace(HELLO, b"hallo\n"))
    report: Report = verify(opened(written).manifest, Media.find([written]))
    assert [finding.file for finding in report.bad] == [str(path)]


def test_the_documents_of_the_example_obey_their_schemas() -> None:
    schemas.validate("manifest", json.loads(BLOCKS[DOCUMENT]))
    schemas.validate("trust", json.loads(BLOCKS["trust.json"]))
    read = lock.parse(BLOCKS[f"{NAME}.lock.yaml"].encode(), Path(f"{NAME}.lock.yaml"))
    assert read.text.decode() == BLOCKS[f"{NAME}.lock.yaml"]


def test_the_manifest_is_as_the_program_writes_it() -> None:
    read = Manifest.from_bytes(BLOCKS[DOCUMENT].encode())
    assert read.to_bytes().decode() == BLOCKS[DOCUMENT]
    assert read.index == unbroken("index.json") == index_json(read.artifacts)
    assert chunk().startswith(prefix(read.index))


def test_the_manifest_is_of_the_lock(written: Path) -> None:
    manifest = opened(written).manifest
    pinned = lock.load(written / f"{NAME}.lock.yaml")
    assert (manifest.lock, manifest.spec) == (pinned.digest, pinned.spec)
    assert manifest.artifacts == tuple(locked.artifact for locked in pinned.artifacts)
    assert pinned.source_fault() == ""


def test_the_program_makes_the_artifact_and_the_packing_of_the_example(written: Path) -> None:
    pinned = lock.load(written / f"{NAME}.lock.yaml")
    (only,) = pinned.artifacts
    a = only.artifact
    again = fileset.build(
        fileset.Identity(a.kind, a.name, a.repository, a.version),
        [fileset.File("hello.txt", len(HELLO), Digest.of(HELLO), url=a.name)],
        origin=only.origin,
        notes={},
    )
    assert again == only
    assert again.contents[-1].text == unbroken("oci-manifest").decode()
    made = plan.make(pinned, plan.Options((written,), 1 << 20))
    assert made.packing.sizes == (len(chunk()),)
    manifest = Manifest.from_bytes(BLOCKS[DOCUMENT].encode())
    places = {p[0].digest: p[0].offset for p in made.packing.pieces().values()}
    assert places == {blob.digest: blob.parts[0].offset for blob in manifest.blobs}


def test_the_header_shown_is_the_one_that_is_written() -> None:
    shown = bytearray(512)
    for line in BLOCKS["header"].splitlines():
        place, digits, letters = re.split("  ", line, maxsplit=2)
        row = bytes.fromhex(digits)
        shown[int(place, 16) : int(place, 16) + 16] = row
        assert letters == "".join(chr(b) if 32 <= b < 127 else "." for b in row)
    assert bytes(shown) == ustar.header("oci-layout", len(LAYOUT)) == chunk()[:512]


def test_the_table_of_the_chunk_is_right() -> None:
    data, rows = (
        chunk(),
        re.findall(r"^\| (\d+) \| (\d+) \+ (\d+) \+ (\d+) \| (.*) \|$", TEXT, re.M),
    )
    assert len(rows) == 5
    for at, head, size, padding, what in rows:
        place, inside = int(at), int(at) + int(head)
        name = data[place : place + 100].rstrip(b"\0").decode()
        shown = re.findall(r"`([^`…]+)…?`", what)[0]
        assert name.startswith(shown)
        assert data[place:inside] == ustar.header(name, int(size))
        assert (int(head), int(padding)) == (ustar.RECORD, ustar.padding(int(size)))
        assert "data at" not in what or what.endswith(f"data at {inside}")
    assert f"the file ends at {len(data)}" in TEXT


@pytest.mark.parametrize("block", ["oci-manifest", "index.json"])
def test_the_sizes_in_the_text_are_right(block: str) -> None:
    assert f"{len(unbroken(block))} bytes" in TEXT
    assert decode.compact_json(json.loads(unbroken(block))) == unbroken(block)


def test_the_small_files_are_as_the_program_writes_them() -> None:
    manifest = Manifest.from_bytes(BLOCKS[DOCUMENT].encode())
    rows = [(one.name, one.digest) for one in manifest.chunks]
    rows += [(file.name, file.digest) for file in manifest.files[:-1]]
    assert paperwork.sha256sums(rows).decode() == BLOCKS[f"{NAME}.sha256sums"]
    assert paperwork.TRUSTED_ROOT.decode() == BLOCKS[f"{NAME}.trusted-root.json"]


def test_the_signature_file_is_as_the_program_writes_it() -> None:
    data, parsed = BLOCKS[DOCUMENT].encode(), signature.parse_sigstore(BLOCKS[SIGSTORE].encode())
    key = trust.read(BLOCKS["trust.json"].encode()).keys["alice"]
    assert signature.to_sigstore(data, parsed.signature, key).decode() == BLOCKS[SIGSTORE]


def test_no_block_of_the_example_is_unchecked() -> None:
    endings = ("lock.yaml", "sha256sums", "trusted-root.json", "manifest.json")
    files = {f"{NAME}.{ending}" for ending in endings} | {SIGSTORE, "trust.json"}
    encrypted = {"encrypted-header", "encrypted-segments"}
    assert BLOCKS.keys() == files | encrypted | {"oci-manifest", "index.json", "header"}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (bundle.manifest.MAX_BYTES, "{:,} bytes"),
        (media.SIGNATURE_LIMIT, "at most {:,} bytes"),
        (signature.MAX_BYTES, "at most {:,} bytes"),
        (encoding.FRAME, "{:,} bytes"),
        (encoding.WINDOW, "{:,} bytes"),
        (segments.SEGMENT, "every {:,} bytes"),
        (segments.HEADER, "has {} bytes"),
        (segments.MAX_RECIPIENTS, "a list of 1 to {} digests"),
        (trust.MAX_SIGNATURES, "at most {} files"),
        (trust.MAX_KEYS, "1 to {} objects"),
        (packing.MAX_PARTS, "{:,} parts"),
        (packing.PRESETS["fat32"], "{:,} bytes"),
        (decode.MAX_DEPTH, "{} levels of nesting"),
        (encode.GAIN, "shorter than {} of it"),
    ],
)
def test_the_limits_in_the_text_are_those_of_the_program(number: float, words: str) -> None:
    flat = " ".join(TEXT.split())
    assert words.format(number) in flat


def test_the_patterns_in_the_text_are_those_of_the_program() -> None:
    """Written there without groups that do not capture, which change nothing."""
    known = {bundle.manifest.STREAM, signature.SIGNER, REPOSITORY, TAG, r"[0-9]+\.[0-9]+"}
    for pattern in known:
        assert f"`{pattern.replace('(?:', '(')}`" in TEXT


def test_every_field_of_the_manifest_is_in_the_text() -> None:
    schema = schemas.load("manifest")
    inner = {name for kind in schema["$defs"].values() for name in kind.get("properties", ())}
    for name in {*schema["properties"], *inner}:
        assert re.search(rf"`([a-z]+\[\]\.)?{name}`", TEXT), name


def test_the_links_of_the_text_lead_somewhere() -> None:
    headings = re.findall(r"^#{2,3} (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}
    prose = re.sub(r"`[^`\n]*`", "", TEXT)
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert len(links) > 16
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else README.with_name(link).is_file()
