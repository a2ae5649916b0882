"""Chunks made again are the same bytes or get no name; a second host signs the same bytes only."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from bundle.errors import SourceError, UsageError
from bundle.http import Interrupted
from bundler import encode
from bundler.again import numbers
from bundler.lock import Lock
from bundler.resolve import Upstreams
from bundler.signers import Chosen
from tests import factory, keys
from tests.refusals.table import Answer, dray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.chunks import Part, StoredBlob
    from bundler.lock import LockedArtifact, LockedContent
    from tests.factory import Bundle, Contents


@dataclass
class Low:
    """The low side's desk: spec, lock, key, trust; an upstream; and a bundle exported before."""

    folder: Path
    bundle: Bundle
    kept: Contents
    gone: set[Digest] = field(default_factory=set)
    lies: set[Digest] = field(default_factory=set)
    cuts: int = 0
    asked: list[tuple[Digest, int]] = field(default_factory=list)

    def opener(self, _artifact: LockedArtifact, content: LockedContent) -> Any:
        digest = content.content.digest

        @contextmanager
        def open_at(offset: int) -> Iterator[Iterator[bytes]]:
            self.asked.append((digest, offset))
            if digest in self.gone:
                raise SourceError("the upstream says no")
            data = self.kept[digest]
            data = bytes(len(data)) if digest in self.lies else data
            yield self.blocks(data, offset)

        return open_at

    def blocks(self, data: bytes, offset: int) -> Iterator[bytes]:
        for start in range(offset, len(data), 4096):
            if self.cuts and start > offset:
                self.cuts -= 1
                raise Interrupted("cut")
            yield data[start : start + 4096]

    def dray(self, *arguments: object, code: int = 0) -> Answer:
        answer = dray(*arguments, folder=self.folder)
        assert answer.code == code, answer
        assert "Traceback" not in answer.text
        return answer

    def again(self, chunks: str, *options: object, code: int = 0, of: object = None) -> Answer:
        of = of or self.bundle.folder
        to = ("--to", self.folder / "again")
        return self.dray(
            "export", "dray.yaml", "--chunks", chunks, "--of", of, *to, *options, code=code
        )

    def cosign(self, *options: object, code: int = 0, of: object = None) -> Answer:
        of = of or self.bundle.folder
        return self.dray("export", "dray.yaml", "--cosign-of", of, *options, code=code)

    def made(self) -> dict[str, bytes]:
        folder = self.folder / "again" / self.bundle.name
        return {path.name: path.read_bytes() for path in folder.glob("*.tar*")}

    def good(self, *numbers_: int) -> dict[str, bytes]:
        paths = [self.bundle.chunk(number) for number in numbers_]
        return {path.name: path.read_bytes() for path in paths}


SPEC = "apiVersion: dray/v1\nstream: prod\nimages: [nvcr.io/nvidia/cuda:12.6]\n"


def low_side(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    artifacts: Callable[[Contents], tuple[LockedArtifact, ...]] = factory.sample,
    **options: Any,
) -> Low:
    kept = factory.Contents()
    found = artifacts(kept)
    bundle = factory.build(folder / "drive", artifacts, spec=SPEC.encode(), **options)
    desk = folder / "desk"
    desk.mkdir()
    (desk / "dray.yaml").write_text(SPEC)
    (desk / "dray.lock.yaml").write_bytes(Lock("prod", Digest.of(SPEC.encode()), found).text)
    shutil.copy(bundle.trust, desk / "trust.json")
    monkeypatch.setattr(Chosen, "signers", lambda *_a, **_k: [keys.signer("bob")])
    made = Low(desk, bundle, kept)
    monkeypatch.setattr(Upstreams, "opener", lambda _self, a, c: made.opener(a, c))
    monkeypatch.setattr("bundle.transfer.backoff", lambda *_: 0)
    return made


def parts(low: Low, number: int) -> list[tuple[StoredBlob, int, Part]]:
    return list(low.bundle.manifest.parts_of(number))


@pytest.fixture
def low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Low:
    return low_side(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "found"), [("3", [3]), ("1,3", [1, 3]), ("4-6,1", [1, 4, 5, 6]), (" 2 , 2", [2])]
)
def test_what_chunks_can_be_named(text: str, found: list[int]) -> None:
    assert numbers(text, 6) == found


@pytest.mark.parametrize("text", ["", "0", "7", "3-2", "1,,2", "a", "1-9", "-1", "99999999999"])
def test_what_is_no_chunk_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        numbers(text, 6)


def test_each_chunk_made_again_is_the_same_bytes(low: Low) -> None:
    count = len(low.bundle.manifest.chunks)
    for number in range(1, count + 1):
        low.again(str(number))
    assert low.made() == low.good(*range(1, count + 1))


def test_only_what_the_chunk_needs_is_fetched(low: Low) -> None:
    low.again("2")
    wanted = {blob.digest for blob, _, _ in parts(low, 2)}
    assert {digest for digest, _offset in low.asked} <= wanted
    (blob, number, _part) = next(row for row in parts(low, 2) if len(row[0].parts) > 1)
    start = sum(part.size for part in blob.parts[:number])
    assert (blob.digest, start) in low.asked


def test_a_manifest_file_is_enough_when_the_lock_is_still_the_specs(low: Low) -> None:
    alone = low.folder / "mail"
    alone.mkdir()
    for path in low.bundle.folder.glob("*.manifest.json*"):
        shutil.copy(path, alone)
    shutil.copy(low.bundle.folder / "README.txt", alone)
    low.again("1", of=alone / f"{low.bundle.name}.manifest.json")
    assert low.made() == low.good(1)


def test_the_bundles_own_lock_serves_when_the_spec_has_moved_on(low: Low) -> None:
    (low.folder / "dray.lock.yaml").unlink()
    low.again("1")
    assert low.made() == low.good(1)


def test_without_the_lock_it_says_which_one_is_needed(low: Low) -> None:
    (low.folder / "dray.lock.yaml").unlink()
    low.bundle.path("lock.yaml").unlink()
    said = low.again("1", code=2)
    assert f"put {low.bundle.name}.lock.yaml beside the manifest" in said.err


def test_a_cut_connection_is_gone_on_with(low: Low) -> None:
    low.cuts = 3
    low.again("1-6")
    assert low.made() == low.good(*range(1, 7))


def test_an_upstream_that_lies_gets_no_chunk_named(low: Low) -> None:
    blob, _number, _part = parts(low, 1)[0]
    low.lies.add(blob.digest)
    said = low.again("1", code=6)
    assert "has other bytes than sha256" in said.err
    assert [name for name in low.made() if not name.endswith(".partial")] == []


def test_what_is_gone_upstream_comes_from_another_bundle(low: Low, tmp_path: Path) -> None:
    low.gone = set(low.kept)
    assert "the upstream says no" in low.again("1", code=6).err
    other = factory.build(tmp_path / "other", factory.sample, chunk_size=30_000, sequence=9)
    low.again("1-6", "--from", other.folder)
    assert low.made() == low.good(*range(1, 7))


def test_what_a_killed_run_left_is_not_fetched_again(low: Low) -> None:
    blob, _number, _part = parts(low, 3)[-1]
    low.gone.add(blob.digest)
    low.again("3", code=6)
    low.gone.clear()
    asked = len(low.asked)
    low.again("3")
    assert {digest for digest, _ in low.asked[asked:]} == {blob.digest}
    assert low.made() == low.good(3)
    low.again("3")
    assert len(low.asked) == asked + 1


def test_what_failed_is_named_and_the_others_are_made(low: Low) -> None:
    blob, _number, _part = parts(low, 5)[0]
    low.gone.add(blob.digest)
    said = low.again("1-2,5", "--json", code=6)
    body = json.loads(said.out)
    assert low.bundle.chunk(5).name in body["error"]["message"]
    assert len(body["made"]) == 2


def test_with_the_chunks_the_folder_repairs_the_medium(low: Low) -> None:
    low.again("2,5")
    lost = low.good(2, 5)
    for name in lost:
        (low.bundle.folder / name).write_bytes(b"")
    low.dray("repair", low.bundle.folder, "--from", "again")
    assert low.good(2, 5) == lost


def test_compressed_chunks_are_made_again_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = low_side(tmp_path, monkeypatch, factory.packable, compress=True)
    count = len(low.bundle.manifest.chunks)
    low.again(f"1-{count}")
    assert low.made() == low.good(*range(1, count + 1))


def test_another_zstandard_is_said_to_be_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = low_side(tmp_path, monkeypatch, factory.packable, compress=True)
    packed = next(blob for blob in low.bundle.manifest.blobs if blob.encoding == "zstd")
    monkeypatch.setattr(encode, "LEVEL", 3)
    said = low.again(str(packed.parts[0].chunk), code=6)
    assert "compresses it to other bytes than the export's did" in said.err
    low.lies.add(packed.digest)
    said = low.again(str(packed.parts[0].chunk), code=6)
    assert "compresses it to other bytes" not in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--chunks", "1"), "belong together"),
        (("--of", "x"), "belong together"),
        (("--chunks", "1", "--of", "x", "--to", "a", "--to", "b"), "belong together"),
        (("--chunks", "1", "--of", "x", "--to", "a", "--new"), "--new does not go with"),
        (("--chunks", "1", "--of", "x", "--to", "a", "--media", "1GB"), "--media does not go"),
        (("--cosign-of", "x", "--to", "a"), "excludes"),
        (("--to", "a", "--from", "b"), "--from is for a bundle that exists"),
        ((), "'--to'"),
        (("--chunks", "1", "--of", "nowhere", "--to", "a"), "does not exist"),
        (("--chunks", "77", "--of", ".", "--to", "a"), "no bundle in"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    low: Low, options: tuple[str, ...], says: str
) -> None:
    code = 4 if says == "no bundle in" else 2
    assert says in low.dray("export", "dray.yaml", *options, code=code).err


def test_a_manifest_that_nobody_trusts_is_not_made_again(low: Low) -> None:
    low.bundle.lie(lambda body: body, "stranger")
    low.again("1", code=5)
    assert low.made() == {}


def test_what_is_encrypted_is_not_made_again_nor_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = low_side(tmp_path, monkeypatch, recipients=[keys.recipient("high").public_key])
    for said in (low.again("1", code=2), low.cosign(code=2)):
        assert "is encrypted: no host can make the same bytes again" in said.err
    assert low.made() == {}


# -- a second host --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"media": (200_000, 200_000)}, {"parity": "2"}])
def test_the_same_lock_and_upstream_get_a_second_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    low = low_side(tmp_path, monkeypatch, **options)
    before = {
        path: path.read_bytes() for path in low.bundle.folder.parent.rglob("*.*") if path.is_file()
    }
    of = low.bundle.folder.parent if "media" in options else low.bundle.folder
    said = low.cosign(of=of)
    assert "made again here, the same bytes" in said.out
    two = factory.trust_file(low.folder / "two.json", "dray", "bob", threshold=2)
    assert "signed by bob, dray" in low.dray("verify", of, "--trust", two).out
    assert {path: path.read_bytes() for path in before} == before
    new = {path.name for path in low.bundle.folder.iterdir()} - {path.name for path in before}
    assert new == {
        f"{low.bundle.name}.manifest.json.bob.sig",
        f"{low.bundle.name}.manifest.json.bob.sigstore.json",
    }


def test_nothing_but_the_signature_is_written(low: Low) -> None:
    before = set(low.folder.rglob("*"))
    low.cosign()
    assert set(low.folder.rglob("*")) == before


def test_an_upstream_with_other_bytes_gets_no_signature(low: Low) -> None:
    blob, _number, _part = parts(low, 4)[0]
    low.lies.add(blob.digest)
    said = low.cosign(code=3)
    assert "is not what this host's upstream gives" in said.err
    assert not list(low.bundle.folder.glob("*bob*"))


def test_an_upstream_that_fails_gets_no_signature(low: Low) -> None:
    low.gone = set(low.kept)
    low.cosign(code=6)
    assert not list(low.bundle.folder.glob("*bob*"))


def change(*path: Any, value: Any) -> Callable[[dict[str, Any]], object]:
    def does(body: Any) -> None:
        for step in path[:-1]:
            body = body[step]
        body[path[-1]] = value

    return does


def another_chunk(body: dict[str, Any]) -> None:
    body["chunks"][2]["digest"] = "sha256:" + "1" * 64
    body["files"] = [file for file in body["files"] if not file["name"].endswith("sha256sums")]


@pytest.mark.parametrize(
    ("lie", "says", "code"),
    [
        (change("spec", value="sha256:" + "1" * 64), "was made from another spec", 3),
        (change("lock", value="sha256:" + "1" * 64), "was made from another lock", 3),
        (change("artifacts", 0, "notes", value={"a": "b"}), "other artifacts than its lock", 3),
        (change("artifacts", 0, "name", value="other"), "other artifacts than its lock: ", 3),
        (another_chunk, "is not the tar of its parts", 3),
        (change("expires", value="2020-01-01T00:00:00Z"), "expired", 5),
        (change("files", 0, "digest", value="sha256:" + "1" * 64), "has another ", 3),
        (change("files", 1, "digest", value="sha256:" + "1" * 64), "has another ", 3),
        (change("files", 3, "digest", value="sha256:" + "1" * 64), "has another ", 3),
    ],
)
def test_a_manifest_that_this_host_would_not_make_is_not_signed(
    low: Low, lie: Callable[[dict[str, Any]], object], says: str, code: int
) -> None:
    low.bundle.lie(lie)
    assert says in low.cosign(code=code).err
    assert not list(low.bundle.folder.glob("*bob*"))


def test_a_spec_without_its_lock_signs_nothing(low: Low) -> None:
    (low.folder / "dray.lock.yaml").unlink()
    assert "review the lock first" in low.cosign(code=2).err


def test_a_manifest_without_any_trusted_signature_is_not_even_read(low: Low) -> None:
    low.bundle.lie(lambda body: body, "stranger")
    low.cosign(code=5)


def test_a_host_that_exported_another_bundle_of_this_number_signs_no_second(
    low: Low, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bundle import instant
    from bundle.state import State, StateFolder, default_folder

    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    other = State("prod", 0, 1, Digest.of(b"other"), instant.now())
    StateFolder(default_folder(), "export").record(other)
    assert "this host has exported another bundle as prod-000001" in low.cosign(code=5).err
