"""Verification finds every bad byte, names file, range and artifacts, and changes nothing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bundle import trust
from bundle import verify as module
from bundle.errors import MediaIncomplete, VerificationError
from bundle.instant import now
from bundle.media import Media
from bundle.signaturefiles import check_signatures
from bundle.unseal import Sealed, unseal
from bundle.verify import Finding, Report, verify
from tests.factory import Bundle, build, packable

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.chunks import StoredBlob


def copied(made: Bundle, folder: Path) -> Bundle:
    root = made.folder.parent if len(made.folders) > 1 else made.folder
    shutil.copytree(root, folder / root.name)
    several = len(made.folders) > 1
    folders = tuple(
        folder / root.name / one.name if several else folder / root.name for one in made.folders
    )
    return Bundle(made.name, folders, made.trust)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(tmp_path_factory.mktemp("sample"), media=(60_000, 10**8))


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(tmp_path_factory.mktemp("encoded"), packable, compress=True)


@pytest.fixture
def bundle(sample: Bundle, tmp_path: Path) -> Bundle:
    """Images and a model on two media, to be damaged."""
    return copied(sample, tmp_path)


def sealed(bundle: Bundle, *folders: Path) -> tuple[Sealed, Media]:
    media = Media.find(folders or bundle.folders)
    return unseal(media, trust.load(bundle.trust), now()), media


def report(bundle: Bundle, *folders: Path, deep: bool = True, workers: int | None = None) -> Report:
    found, media = sealed(bundle, *folders)
    return verify(found.manifest, media, deep=deep, workers=workers)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def whole_and_cut(bundle: Bundle) -> tuple[StoredBlob, StoredBlob]:
    blobs = bundle.manifest.blobs
    whole = max((blob for blob in blobs if len(blob.parts) == 1), key=lambda blob: blob.size)
    return whole, next(blob for blob in blobs if len(blob.parts) > 1)


def test_a_good_bundle_has_no_findings_and_every_byte_of_it_is_counted(bundle: Bundle) -> None:
    counted: list[int] = []
    found, media = sealed(bundle)
    before = {p: p.stat().st_mtime_ns for folder in bundle.folders for p in folder.iterdir()}
    made = verify(found.manifest, media, on_bytes=counted.append)
    check_signatures(found, media, made)
    assert (made.bad, made.missing, made.notes) == ([], [], [])
    assert sum(counted) == sum(blob.stored_size for blob in found.manifest.blobs)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    made.raise_for_findings()


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_byte_names_file_range_and_artifacts(
    bundle: Bundle, which: int, workers: int
) -> None:
    blob = whole_and_cut(bundle)[which]
    part = blob.parts[-1]
    path = bundle.chunk(part.chunk)
    flip(path, part.offset + part.size // 2)
    (finding,) = report(bundle, workers=workers).bad
    assert (finding.kind, finding.file) == ("bad", str(path))
    assert finding.message == (
        f"bytes {part.offset}-{part.offset + part.size - 1}: other bytes than were signed"
    )
    assert finding.artifacts == bundle.manifest.users[blob.digest]
    assert "copy this file again" in finding.hint


def test_every_byte_of_a_chunk_is_covered(bundle: Bundle) -> None:
    number = whole_and_cut(bundle)[1].parts[-1].chunk
    path, found = bundle.chunk(number), sealed(bundle)
    good = path.read_bytes()
    for at in {*range(0, len(good), 97), *range(0, 600, 7), *range(len(good) - 1100, len(good), 7)}:
        data = bytearray(good)
        data[at] ^= 0x80
        path.write_bytes(data)
        bad = verify(found[0].manifest, found[1]).bad
        assert {finding.file for finding in bad} == {str(path)}, at


def test_every_byte_of_an_encoded_chunk_is_covered(encoded: Bundle, tmp_path: Path) -> None:
    bundle = copied(encoded, tmp_path)
    found = sealed(bundle)
    assert {blob.encoding for blob in found[0].manifest.blobs} == {"identity", "zstd"}
    for chunk in found[0].manifest.chunks:
        path = bundle.chunk(chunk.number)
        good = path.read_bytes()
        for at in range(0, len(good), 499):
            data = bytearray(good)
            data[at] ^= 0x80
            path.write_bytes(data)
            assert verify(found[0].manifest, found[1]).bad, at
        path.write_bytes(good)


@pytest.mark.parametrize("change", [-1, 1, -5000])
@pytest.mark.parametrize("deep", [True, False])
def test_a_file_of_another_length_is_told_by_how_much(
    bundle: Bundle, change: int, deep: bool
) -> None:
    path = bundle.chunk(1)
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    first = report(bundle, deep=deep).bad[0]
    assert first.file == str(path)
    assert f"is {abs(change)} bytes {'short' if change < 0 else 'too long'}" in first.message


def test_a_missing_chunk_is_told_with_its_medium_and_its_artifacts(bundle: Bundle) -> None:
    number = bundle.manifest.media[1].chunks[0]
    bundle.chunk(number).unlink()
    made = report(bundle)
    (finding,) = made.missing
    assert (finding.kind, finding.hint) == ("missing", "it belongs on medium 2 of 2")
    assert finding.artifacts
    assert made.bad == []
    with pytest.raises(MediaIncomplete, match="is missing"):
        made.raise_for_findings()


def test_media_are_verified_one_at_a_time(bundle: Bundle) -> None:
    for medium, folder in zip(bundle.manifest.media, bundle.folders, strict=True):
        made = report(bundle, folder)
        assert made.bad == []
        assert len(made.missing) == len(bundle.manifest.chunks) - len(medium.chunks)


def test_a_bad_file_on_one_medium_is_found_without_the_others(bundle: Bundle) -> None:
    cut = whole_and_cut(bundle)[1]
    part = next(part for part in cut.parts if part.chunk in bundle.manifest.media[1].chunks)
    flip(bundle.chunk(part.chunk), part.offset + 3)
    (finding,) = report(bundle, bundle.folders[1]).bad
    assert f"bytes {part.offset}-" in finding.message


def test_swapped_chunks_are_told_from_damaged_ones(bundle: Bundle) -> None:
    one, two = bundle.chunk(1), bundle.chunk(2)
    other = one.with_name("other")
    one.rename(other)
    two.rename(one)
    other.rename(two)
    bad = report(bundle).bad
    assert {finding.kind for finding in bad} == {"swapped"}
    messages = {finding.file: finding.message for finding in bad}
    assert f"holds the bytes of {two.name}" in messages[str(one)]
    assert f"holds the bytes of {one.name}" in messages[str(two)]


def test_a_foreign_file_is_bad_and_what_a_system_drops_is_noted(bundle: Bundle) -> None:
    (bundle.folder / "setup.exe").write_bytes(b"x")
    (bundle.folder / ".DS_Store").write_bytes(b"x")
    made = report(bundle)
    assert [(finding.kind, finding.file) for finding in made.bad] == [
        ("foreign", str(bundle.folder / "setup.exe"))
    ]
    assert any(".DS_Store" in note for note in made.notes)


@pytest.mark.parametrize("ending", ["lock.yaml", "sha256sums"])
def test_the_small_files_are_checked_without_the_chunks(bundle: Bundle, ending: str) -> None:
    flip(bundle.path(ending), 5)
    (finding,) = report(bundle, deep=False).bad
    assert finding.file == str(bundle.path(ending))


def test_a_second_copy_of_a_chunk_is_checked_too(bundle: Bundle) -> None:
    cut = whole_and_cut(bundle)[1]
    part = cut.parts[0]
    path = bundle.chunk(part.chunk)
    other = next(folder for folder in bundle.folders if folder != path.parent) / path.name
    shutil.copy(path, other)
    assert report(bundle).bad == []
    flip(other, part.offset + 1)
    assert {finding.file for finding in report(bundle).bad} == {str(other)}


def test_a_raw_signature_that_is_another_ones_is_found(bundle: Bundle) -> None:
    path = next(bundle.folder.glob("*.sig"))
    flip(path, -1)
    found, media = sealed(bundle)
    made = verify(found.manifest, media, deep=False)
    check_signatures(found, media, made)
    (finding,) = made.bad
    assert (finding.file, finding.message) == (
        str(path),
        "is not the signature of the .sigstore.json beside it",
    )


def test_what_is_worse_is_raised_and_the_rest_counted() -> None:
    made = Report()
    made.missing.append(Finding("missing", "a", "is missing"))
    made.bad += [Finding("bad", "b", "is bad", "mend"), Finding("bad", "c", "is bad")]
    with pytest.raises(VerificationError, match=r"b: is bad \(and 1 more\)") as caught:
        made.raise_for_findings()
    assert caught.value.hint == "mend"


def test_a_finding_is_an_object_for_machines() -> None:
    assert Finding("bad", "f", "m", "h", ("a",)).to_dict() == {
        "kind": "bad",
        "file": "f",
        "message": "m",
        "hint": "h",
        "artifacts": ["a"],
    }
    assert "hint" not in Finding("bad", "f", "m").to_dict()


def test_a_bug_in_a_thread_is_not_lost(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module._Run, "_part", broken)
    with pytest.raises(ZeroDivisionError):
        report(bundle)
