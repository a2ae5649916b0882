"""Bundles that leave out what the high side has: imported there, refused everywhere else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from bundle.errors import MediaIncomplete
from bundle.media import Media
from bundle.reader import Reader
from bundle.required import REQUIRED, SMALLEST
from importer.targets.folder import Folder
from tests import delta, factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factory import Bundle
    from tests.refusals.table import Answer


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def bring(bundle: Bundle, *more: object, to: str = "warehouse") -> Answer:
    arguments = ("--trust", bundle.trust, "--to", to, bundle.folder, *more)
    return dray("import", *arguments, folder=Path.cwd())


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Bundle, Bundle]:
    """The first bundle, imported, and the second, which builds on its receipt."""
    one = delta.whole(tmp_path / "one")
    assert bring(one, "--receipt", "receipt.json").code == 0
    return one, delta.since(tmp_path / "two", Path("receipt.json"))


def layout_bytes(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".dray" not in path.relative_to(root).parts
    }


def test_a_delta_gives_what_the_whole_bundle_gives(
    pair: tuple[Bundle, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    assert bring(two).code == 0
    by_delta = layout_bytes(Path("warehouse"))
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "other-state"))
    whole = factory.build(tmp_path / "whole", delta.second, sequence=2, chunk_size=delta.CHUNK)
    assert bring(one, to="elsewhere").code == bring(whole, to="elsewhere").code == 0
    assert by_delta == layout_bytes(Path("elsewhere"))


def test_it_is_a_tenth_of_the_size(pair: tuple[Bundle, Bundle]) -> None:
    one, two = (sum(c.size for c in bundle.manifest.chunks) for bundle in pair)
    assert two * 10 < one


def test_the_same_lock_and_receipt_give_the_same_chunks(
    pair: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    again = delta.since(tmp_path / "again", Path("receipt.json"))
    assert [c.digest for c in again.manifest.chunks] == [c.digest for c in pair[1].manifest.chunks]


def test_its_own_receipt_is_good_for_the_next_delta(
    pair: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    assert bring(pair[1], "--receipt", "second.json").code == 0
    three = delta.since(tmp_path / "three", Path("second.json"), sequence=3)
    left = [blob for blob in three.manifest.blobs if blob.encoding == REQUIRED]
    assert {base.artifact for blob in left for base in blob.bases} <= {
        artifact.name for artifact in pair[1].manifest.artifacts
    }
    assert bring(three).code == 0


def test_a_target_without_the_base_is_refused_before_anything_is_written(
    pair: tuple[Bundle, Bundle],
) -> None:
    for more in ((), ("--plan",), ("--verify-first",)):
        done = bring(pair[1], *more, to="elsewhere")
        assert done.code == 4, done
        assert "2 blobs of 700.0 kB" in done.err
        needed = "for nvidia/riva:1.1 at elsewhere, was in nvidia/riva:1.0 of prod-000001"
        assert needed in done.err
        assert "dray export SPEC --to DIR --new" in done.err
        assert not Path("elsewhere").exists()


def test_json_lists_every_blob_that_is_missing_and_where_it_was(
    pair: tuple[Bundle, Bundle],
) -> None:
    done = bring(pair[1], "--json", to="elsewhere")
    error = json.loads(done.out)["error"]
    assert (done.code, error["case"]) == (4, "base-missing"), done
    rows = {(row["artifact"], row["bytes"]): row for row in error["missing"]}
    assert set(rows) == {
        ("nvcr.io/nvidia/cuda:12.7", 400_000),
        ("nvcr.io/nvidia/other:1", 400_000),
        ("nvidia/riva:1.1", 300_000),
    }
    (base,) = rows["nvidia/riva:1.1", 300_000]["bases"]
    assert (base["artifact"], base["path"], base["bundle"]) == (
        "nvidia/riva:1.0",
        "model.bin",
        "prod-000001",
    )


def test_a_long_list_is_cut_for_people_and_whole_for_machines(
    pair: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importer.required.SHOWN", 1)
    done = bring(pair[1], to="elsewhere")
    assert "and 1 more: --json has all" in done.err
    assert done.err.count("sha256:") == 1


def test_a_base_that_has_rotted_is_not_taken(pair: tuple[Bundle, Bundle]) -> None:
    path = Path("warehouse/models/nvidia/riva/1.0/model.bin")
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    done = bring(pair[1])
    assert (done.code, "for nvidia/riva:1.1" in done.err) == (4, True), done
    assert not Path("warehouse/models/nvidia/riva/1.1").exists()


def test_a_base_that_rots_after_it_was_found_is_not_published(
    pair: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importer.session import Session

    plan = Session.plan

    def and_rot(*arguments: Any, **named: Any) -> Any:
        made = plan(*arguments, **named)
        path = Path("warehouse/models/nvidia/riva/1.0/model.bin")
        path.write_bytes(bytes(path.stat().st_size))
        return made

    monkeypatch.setattr(Session, "plan", and_rot)
    done = bring(pair[1])
    assert (done.code, "is not what was imported there" in done.err) == (6, True), done
    assert not Path("warehouse/models/nvidia/riva/1.1/.dray-complete.json").exists()


def test_where_a_stores_word_is_no_proof_what_is_there_is_read_back(
    pair: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bring(pair[1]).code == 0
    path = Path("warehouse/models/nvidia/riva/1.1/sub/model.bin")
    path.write_bytes(bytes(path.stat().st_size))
    monkeypatch.setattr(Folder, "proves", False)
    monkeypatch.setattr(Folder, "has", lambda *_: True)
    done = bring(pair[1])
    assert (done.code, "is not what was imported there" in done.err) == (6, True), done


def test_what_is_left_out_cannot_be_read_from_the_medium(pair: tuple[Bundle, Bundle]) -> None:
    two = pair[1].manifest
    out = next(blob.digest for blob in two.blobs if blob.encoding == REQUIRED)
    with pytest.raises(MediaIncomplete, match=f"is left out of {two.name}, which builds on"):
        Reader(two, Media.find(pair[1].folders)).blob(out)


def test_verify_says_what_it_cannot_check(pair: tuple[Bundle, Bundle]) -> None:
    done = dray("verify", pair[1].folder, "--trust", pair[1].trust, folder=Path.cwd())
    assert done.code == 0, done
    assert "note: 2 blobs of 700.0 kB are left out, and were not checked" in done.out


def test_inspect_names_the_base(pair: tuple[Bundle, Bundle]) -> None:
    done = dray("inspect", pair[1].folder, "--trust", pair[1].trust, folder=Path.cwd())
    assert (done.code, "from prod-000001" in done.out) == (0, True), done
    assert "2 blobs of 700.0 kB are left out: the target has to have them" in done.out
    lines = done.out.splitlines()
    model = next(n for n, line in enumerate(lines) if "nvidia/riva:1.1" in line)
    assert lines[model + 1].strip("│ ") == "left out: 1 blob, 300.0 kB"
    done = dray("inspect", pair[1].folder, "--trust", pair[1].trust, "--files", folder=Path.cwd())
    assert sum(line.endswith("  left out") for line in done.out.splitlines()) == 3, done


def test_readme_says_what_is_left_out_and_where_it_is(pair: tuple[Bundle, Bundle]) -> None:
    one, two = ((bundle.folder / "README.txt").read_text() for bundle in pair)
    assert "NOT WHOLE" not in one
    said = " ".join(two.split())
    assert "it leaves out 2 blobs of 700.0 kB, which the other side has" in said
    assert "from prod-000001." in said


def test_with_its_base_a_delta_is_whole_without_dray(
    pair: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    """README.txt: open the base's media into the same folder first."""
    (tmp_path / "layout").mkdir()
    for bundle in pair:
        for chunk in bundle.manifest.chunks:
            shutil.unpack_archive(bundle.chunk(chunk.number), tmp_path / "layout", "tar")
    for folder in (tmp_path / "layout/parts/sha256").iterdir():
        whole = b"".join(part.read_bytes() for part in sorted(folder.iterdir()))
        (tmp_path / "layout/blobs/sha256" / folder.name).write_bytes(whole)
    blobs = tmp_path / "layout/blobs/sha256"
    for artifact in pair[1].manifest.artifacts:
        for content in artifact.contents:
            assert Digest.of((blobs / content.digest.hex).read_bytes()) == content.digest


def left(body: dict[str, Any]) -> dict[str, Any]:
    """Return the object of the first blob that is left out."""
    found: dict[str, Any] = next(b for b in body["blobs"] if b["encoding"] == REQUIRED)
    return found


LIES: dict[str, tuple[Callable[[dict[str, Any]], object], int, str]] = {
    "no base": (lambda b: left(b).pop("bases"), 3, "is left out, and has no bases"),
    "no base bundle": (lambda b: b.pop("bases"), 3, "do not say the same"),
    "a base of another kind": (
        lambda b: [base.update(kind="chart") for base in left(b)["bases"]],
        3,
        "which no base of",
    ),
    "parts of what is left out": (
        lambda b: left(b).update(parts=b["blobs"][0]["parts"]),
        3,
        "is left out, and has parts",
    ),
    "a manifest left out": (
        lambda b: [
            blob.update(encoding=REQUIRED, parts=[], bases=left(b)["bases"])
            for blob in b["blobs"]
            if blob["digest"] == b["artifacts"][0]["root"]
        ],
        3,
        "leaves out a manifest",
    ),
    "a base that climbs out": (
        lambda b: [base.update(path="../../x") for base in left(b)["bases"]],
        3,
        "segment",
    ),
    "a base of a bundle that is none of the bases": (
        lambda b: [base.update(bundle="prod-000009") for base in left(b)["bases"]],
        3,
        "names the bundle prod-000009, which is none of the bases",
    ),
    "a base that names no file": (
        lambda b: [base.pop("path", None) for base in left(b)["bases"]],
        4,
        "for nvidia/riva:1.1 at warehouse",
    ),
    "a base that was never here": (
        lambda b: [
            base.update(version="9.9") for blob in b["blobs"] for base in blob.get("bases", [])
        ],
        4,
        "for nvidia/riva:1.1 at warehouse",
    ),
    "an older reader": (
        lambda b: b.update(features=["sub-blob-delta"]),
        3,
        "features sub-blob-delta",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_what_is_left_out_is_refused(pair: tuple[Bundle, Bundle], lie: str) -> None:
    before = layout_bytes(Path("warehouse"))
    change, code, message = LIES[lie]
    pair[1].lie(change)
    done = bring(pair[1])
    assert (done.code, message in done.err) == (code, True), done
    assert layout_bytes(Path("warehouse")) == before


def test_manifests_and_small_blobs_and_the_frame_around_files_always_travel(
    pair: tuple[Bundle, Bundle],
) -> None:
    manifest = pair[1].manifest
    roles = {c.digest: c for a in manifest.artifacts for c in a.contents}
    out = [roles[blob.digest] for blob in manifest.blobs if blob.encoding == REQUIRED]
    assert {content.role for content in out} == {"layer", "file"}
    assert min(content.size for content in out) >= SMALLEST


def test_json_of_the_plan_says_what_is_copied(pair: tuple[Bundle, Bundle]) -> None:
    done = bring(pair[1], "--plan", "--json")
    rows = {row["name"]: row for row in json.loads(done.out)["artifacts"]}
    assert (rows["nvidia/riva:1.1"]["copy"], rows["nvidia/riva:1.1"]["send"]) == (300_000, 3)
