"""Manifests that are signed, well formed, and lie about places, sizes and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.refusals.edits import OTHER, add, again, lie, put, remove
from tests.refusals.table import VERIFY, VERIFY_FIRST, Lie, check, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle
    from tests.refusals.edits import Body


def cut_blob(body: Body) -> Body:
    """Return the blob that is in several parts."""
    return next(blob for blob in body["blobs"] if len(blob["parts"]) > 1)


def whole(body: Body) -> Body:
    return next(blob for blob in body["blobs"] if len(blob["parts"]) == 1)


def swap_offsets(body: Body) -> None:
    first = [blob for blob in body["blobs"] if blob["parts"][0]["chunk"] == 5][:2]
    one, other = (blob["parts"][0] for blob in first)
    one["offset"], other["offset"] = other["offset"], one["offset"]


PLACES = (
    Lie(
        "a part overlaps the one before",
        add("blobs", 0, "parts", 0, "offset", amount=-512),
        3,
        "gap or overlap",
    ),
    Lie(
        "a part leaves a gap",
        add("blobs", 0, "parts", 0, "offset", amount=512),
        3,
        "gap or overlap",
    ),
    Lie(
        "a part begins amid a record",
        add("blobs", 0, "parts", 0, "offset", amount=1),
        3,
        "gap or overlap",
    ),
    Lie(
        "a part begins before the file",
        put("blobs", 0, "parts", 0, "offset", value=-512),
        3,
        "not from 0",
    ),
    Lie(
        "two parts are in one place",
        lie(lambda b: whole(b)["parts"].append(whole(b)["parts"][0])),
        3,
        "do not add up",
    ),
    Lie("two blobs have each other's place", lie(swap_offsets), 3, "gap or overlap"),
    Lie(
        "a part is in a chunk that is not listed",
        put("blobs", 0, "parts", 0, "chunk", value=99),
        3,
        "lies in chunk 99, which is not listed",
    ),
    Lie(
        "a part is in another chunk",
        put("blobs", 0, "parts", 0, "chunk", value=2),
        3,
        "is not as long as its contents",
    ),
    Lie("a part is larger", add("blobs", 0, "parts", 0, "size", amount=1), 3, "do not add up"),
    Lie(
        "a part is as large as numbers go",
        put("blobs", 0, "parts", 0, "size", value=2**53 - 1),
        3,
        "do not add up",
    ),
    Lie(
        "parts are one byte apart",
        lie(
            lambda b: [
                part.update(size=part["size"] + n)
                for part, n in zip(cut_blob(b)["parts"], (1, -1), strict=False)
            ]
        ),
        3,
        "is not as long as its contents",
    ),
    Lie("a blob has no parts", put("blobs", 0, "parts", value=[]), 3, "has no parts"),
    Lie(
        "a blob's only part has another digest",
        lie(lambda b: whole(b)["parts"][0].update(digest=OTHER)),
        3,
        "one part with another digest",
    ),
    Lie(
        "a part of a cut blob has another digest",
        lie(lambda b: cut_blob(b)["parts"][1].update(digest=OTHER)),
        3,
        "other bytes than were signed",
        inside=True,
        ways=(VERIFY, VERIFY_FIRST),
    ),
    Lie(
        "the parts are in another order",
        lie(lambda b: cut_blob(b)["parts"].reverse()),
        3,
        "",
        inside=True,
    ),
    Lie("a blob is larger", add("blobs", 0, "size", amount=1), 3, "lacks sha256:"),
    Lie("a blob is there twice", again("blobs"), 3, "names a blob twice"),
    Lie("a blob is missing", remove("blobs", 0), 3, "lacks sha256:"),
    Lie(
        "a blob is not needed",
        again("blobs", digest=OTHER),
        3,
        "holds a blob that no artifact needs",
    ),
    Lie("a blob has another digest", put("blobs", 0, "digest", value=OTHER), 3, "lacks sha256:"),
    Lie(
        "a blob is encoded in another way",
        put("blobs", 0, "encoding", value="delta"),
        3,
        "encoding is 'delta'",
    ),
    Lie(
        "a plain blob is said to be encoded",
        lie(lambda b: whole(b).update(encoding="zstd")),
        3,
        "",
        inside=True,
    ),
    Lie(
        "a chunk is longer",
        add("chunks", 0, "size", amount=512),
        3,
        "is not as long as its contents",
    ),
    Lie(
        "a chunk is shorter",
        add("chunks", 0, "size", amount=-512),
        3,
        "is not as long as its contents",
    ),
    Lie(
        "a chunk is missing in the list",
        remove("chunks", 5),
        3,
        "lies in chunk 6, which is not listed",
    ),
    Lie(
        "the chunks are not numbered from 1",
        put("chunks", 0, "number", value=2),
        3,
        "is not numbered from 1",
    ),
    Lie("a chunk has number 0", put("chunks", 0, "number", value=0), 3, "is 0, not from 1"),
)

NAMES = (
    Lie(
        "a chunk has another one's name",
        put("chunks", 1, "name", value="prod-000007.chunk-00001.tar"),
        3,
        "names a file twice",
    ),
    Lie(
        "a chunk is outside",
        put("chunks", 0, "name", value="../prod-000007.chunk-00001.tar"),
        3,
        "name is not allowed",
    ),
    Lie(
        "a chunk has an absolute name",
        put("chunks", 0, "name", value="/etc/passwd"),
        3,
        "name is not allowed",
    ),
    Lie(
        "a chunk is of another bundle",
        put("chunks", 0, "name", value="prod-000006.chunk-00001.tar"),
        3,
        "which is not of prod-000007",
    ),
    Lie(
        "a chunk is a signature file",
        put("chunks", 0, "name", value="prod-000007.manifest.json.dray.sig"),
        3,
        "which cannot pin itself",
    ),
    Lie("a file is outside", put("files", 0, "name", value="../../x"), 3, "name is not allowed"),
    Lie(
        "a file is the manifest",
        put("files", 0, "name", value="prod-000007.manifest.json"),
        3,
        "which cannot pin itself",
    ),
    Lie("a file is there twice", again("files"), 3, "names a file twice"),
    Lie(
        "a file has a chunk's name",
        again("files", name="prod-000007.chunk-00001.tar"),
        3,
        "names a file twice",
    ),
    Lie(
        "a file is of another bundle",
        again("files", name="other.txt"),
        3,
        "which is not of prod-000007",
    ),
    Lie("a file has another size", add("files", 0, "size", amount=1), 3, "bytes long"),
    Lie(
        "a file has another digest",
        put("files", 0, "digest", value=OTHER),
        3,
        "has other bytes than were signed",
    ),
    Lie("a file is not there", again("files", name="prod-000007.more"), 4, "prod-000007.more"),
    Lie(
        "a medium lacks a chunk",
        remove("media", 0, "chunks", 0),
        3,
        "does not place every chunk on exactly one medium",
    ),
    Lie(
        "a chunk is on two media",
        lie(lambda b: b["media"][0]["chunks"].append(1)),
        3,
        "exactly one medium",
    ),
    Lie(
        "a medium has number 2",
        put("media", 0, "number", value=2),
        3,
        "media is not numbered from 1",
    ),
    Lie(
        "a medium holds true",
        put("media", 0, "chunks", 0, value=True),
        3,
        "must be a chunk's number",
    ),
    Lie("there are no media", put("media", value=[]), 3, "exactly one medium"),
)


@rows(PLACES, NAMES)
def test_a_signed_lie_about_places_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)
