"""Strategies for the documents that bundles consist of: manifests and locks, as odd as allowed."""

from __future__ import annotations

import copy
import unicodedata
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from bundle import segments, ustar
from bundle.account import Account
from bundle.artifact import MANIFEST_ROLES, Artifact, Content, path_fault
from bundle.chunks import Chunk, Inner, Part, StoredBlob, chunk_name, index_json, prefix
from bundle.digest import Digest
from bundle.manifest import File, Manifest, Medium, Previous, bundle_name
from bundle.parity import Group, ParityFile, list_name, list_size, parity_name
from bundle.required import REQUIRED, Base, BaseBundle
from bundle.upstream.record import FINGERPRINT, KEY_NAME, METHODS, Proof, Record
from bundler.lock import ORIGINS, Lock, LockedArtifact, LockedContent, Origin

Place = tuple[str | int, ...]


def text(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


# Words that one YAML reader or another takes for a number, a date, a truth value or nothing.
ODD_WORDS = ["1e5", "1.10", "017", "0o17", "1_000", "no", "on", "null", "~", "true", "2026-01-01"]
ODD_WORDS += [
    "1.5e3",
    "+1e5",
    ".5e3",
    "1.e3",
    "123e4567",
    "1:30",
    "0x1F",
    "-1",
    "+1",
    ".5",
    "1.",
    "=",
    "<<",
    "y",
    "123",
    ".inf",
    ".nan",
]
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest("sha256:" + raw.hex()))
STREAMS = text("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
SIZES = st.integers(0, 2000) | st.sampled_from([0, 511, 512, 513, 2**33 - 1, 2**33, 2**40])
MOMENTS = text("20[0-9]{2}-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9]Z")
NAMES = text("[!-~]{1,12}") | st.sampled_from([*ODD_WORDS, "nvcr.io/nvidia/cuda:12.6.0"])
_STEP = "[a-z0-9]{1,3}([._-]{1,2}[a-z0-9]{1,2}){0,2}"
REPOSITORIES = text(f"{_STEP}(:[0-9]{{1,4}})?(/{_STEP}){{0,2}}") | st.sampled_from(["1e5", "no"])
TAGS = text("[A-Za-z0-9_][A-Za-z0-9._-]{0,6}") | st.sampled_from(["1e5", "1.10", "no", "017", "y"])
MEDIA_TYPES = text("[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,4}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,4}")
PLATFORMS = st.just("") | text(r"[a-z0-9._-]{1,5}/[a-z0-9._-]{1,5}(/[a-z0-9._-]{1,3})?")
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=12
) | st.sampled_from(["", *ODD_WORDS, " #", "a: b", "\u0085", "\ufeff"])
PATHS = (
    st.text(min_size=1, max_size=12).map(lambda path: unicodedata.normalize("NFC", path))
    | st.sampled_from([*ODD_WORDS, "weights/model-00001.safetensors", " ", "-", "a: b", "#"])
).filter(lambda path: not path_fault(path))


PROOFS = st.builds(
    Proof,
    st.sampled_from(METHODS),
    text(KEY_NAME),
    text(FINGERPRINT),
    DIGESTS,
    st.just("") | text("[!-~]{1,9}"),
)
RECORDS = st.sampled_from([Record("unsigned"), Record("unchecked")]) | st.lists(
    PROOFS, min_size=1, max_size=2
).map(lambda proofs: Record("verified", tuple(proofs)))


ACCOUNTS = st.builds(
    Account,
    st.sampled_from(["service", "personal", "legacy", "guest", "other_key"]),
    MOMENTS,
    st.sampled_from(["", "acme", "0123456789"]),
    st.lists(st.sampled_from(["artifact-catalog", "x"]), max_size=2).map(tuple),
)


@st.composite
def artifacts(draw: st.DrawFn, sizes: dict[Digest, int]) -> Artifact:
    """Return an artifact; ``sizes`` is of every digest so far, and grows: artifacts share blobs."""
    root = draw(DIGESTS)
    sizes.setdefault(root, draw(SIZES))
    contents = draw(st.lists(contents_of(sizes), max_size=4))
    tags = tuple(draw(st.lists(TAGS, max_size=2)))
    role = draw(st.sampled_from(["index", "manifest"]))
    contents = [content for content in contents if content.digest != root]
    contents.append(Content(role, draw(MEDIA_TYPES), root, sizes[root], draw(PLATFORMS), "", tags))
    made = Artifact(
        kind=draw(st.sampled_from(["image", "chart", "model", "resource", "file"])),
        name="x",
        repository=draw(REPOSITORIES),
        version=draw(TEXTS),
        root=root,
        contents=tuple(contents),
        notes=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        upstream=draw(st.none() | RECORDS),
    )
    return made if not made.fault() else with_own_paths(made)


def with_own_paths(artifact: Artifact) -> Artifact:
    """Return the artifact with paths that are not in each other's way."""
    contents = tuple(
        replace(content, path=f"{number}") if content.path else content
        for number, content in enumerate(artifact.contents)
    )
    return replace(artifact, contents=contents)


@st.composite
def contents_of(draw: st.DrawFn, sizes: dict[Digest, int]) -> Content:
    known = [st.sampled_from(sorted(sizes))] if sizes else []
    digest = draw(st.one_of(DIGESTS, *known))
    sizes.setdefault(digest, draw(SIZES))
    role = draw(st.sampled_from(["index", "manifest", "config", "layer", "file"]))
    tagged = role in {"index", "manifest"}
    return Content(
        role=role,
        media_type=draw(MEDIA_TYPES),
        digest=digest,
        size=sizes[digest],
        platform=draw(PLATFORMS),
        path=draw(PATHS) if role == "file" else "",
        tags=tuple(draw(st.lists(TAGS, max_size=2))) if tagged else (),
        subject=draw(st.none() | DIGESTS) if tagged else None,
    )


@st.composite
def several_artifacts(draw: st.DrawFn) -> tuple[Artifact, ...]:
    sizes: dict[Digest, int] = {}
    found = [draw(artifacts(sizes)) for _ in range(draw(st.integers(0, 3)))]
    return tuple({artifact.name: artifact for artifact in found}.values())  # a name is there once


@st.composite
def stored(draw: st.DrawFn, digest: Digest, size: int, chunks: int) -> StoredBlob:
    """Return a blob in any encoding and number of parts; the offsets are put in later."""
    encoding = draw(st.sampled_from(["identity", "identity", "zstd"]))
    total = size if encoding == "identity" else draw(SIZES)
    cuts = sorted(draw(st.sets(st.integers(1, total - 1), max_size=2))) if total > 1 else []
    edges = [0, *cuts, total]
    whole = encoding == "identity" and not cuts
    parts = tuple(
        Part(draw(st.integers(1, chunks)), 0, end - start, digest if whole else draw(DIGESTS))
        for start, end in pairwise(edges)
    )
    return StoredBlob(digest, size, encoding, parts)


def placed(
    blobs: list[StoredBlob], order: list[tuple[int, int]], start: int, chunks: int
) -> tuple[list[StoredBlob], list[int]]:
    """Put the parts into their chunks one behind the other; return blobs and the chunks' sizes."""
    ends = [start] * chunks
    offsets: dict[tuple[int, int], int] = {}
    for blob, number in order:
        part = blobs[blob].parts[number]
        offsets[blob, number] = ends[part.chunk - 1] + ustar.RECORD
        ends[part.chunk - 1] += ustar.span(part.size)
    made = []
    for index, blob_ in enumerate(blobs):
        parts = tuple(
            Part(part.chunk, offsets[index, number], part.size, part.digest)
            for number, part in enumerate(blob_.parts)
        )
        made.append(StoredBlob(blob_.digest, blob_.size, blob_.encoding, parts, blob_.bases))
    return made, [end + len(ustar.TRAILER) for end in ends]


def encrypted(
    bundle: str, blobs: list[StoredBlob], ends: list[int], start: int
) -> tuple[Chunk, ...]:
    """Return the chunks of these ends, encrypted."""
    sizes = [segments.ends_cost(start)] * len(ends)
    for part in (part for blob in blobs for part in blob.parts):
        sizes[part.chunk - 1] += segments.member_cost(part.size)
    digests = [Digest.of(word) for word in (b"file", b"chunk", b"header")]
    return tuple(
        Chunk(
            number,
            chunk_name(bundle, number, encrypted=True),
            size,
            digests[0],
            Inner(end, digests[1], digests[2]),
        )
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True), start=1)
    )


@st.composite
def groups(
    draw: st.DrawFn, bundle: str, chunks: tuple[Chunk, ...], media: int
) -> tuple[Group, ...]:
    """Return groups of some of the chunks, in any order, with one parity file or two each."""
    numbers = draw(st.permutations([chunk.number for chunk in chunks]))
    cuts = sorted(draw(st.sets(st.integers(0, len(numbers)), max_size=3)))
    made: list[Group] = []
    count = 0
    for first, last in pairwise(cuts):
        members = tuple(numbers[first:last])
        size = max(chunks[number - 1].size for number in members)
        files = []
        for _ in range(draw(st.integers(1, 2))):
            count += 1
            home = draw(st.integers(1, media))
            files.append(ParityFile(parity_name(bundle, count), size, draw(DIGESTS), home))
        made.append(Group(members, tuple(files)))
    return tuple(made)


BASE_BUNDLES = st.builds(BaseBundle, text("[a-z0-9][a-z0-9-]{0,20}"), DIGESTS, DIGESTS)


@st.composite
def some_left_out(
    draw: st.DrawFn, blobs: list[StoredBlob], found: tuple[Artifact, ...]
) -> list[StoredBlob]:
    """Return the blobs, some of them left out: none that an artifact has as a manifest."""
    contents = [(content, artifact) for artifact in found for content in artifact.contents]
    never = {content.digest for content, _ in contents if content.role in MANIFEST_ROLES}
    made = []
    for blob in blobs:
        kinds = sorted({a.kind for content, a in contents if content.digest == blob.digest})
        if blob.digest in never or not draw(st.booleans()):
            made.append(blob)
            continue
        bases = tuple(
            Base(draw(NAMES), kind, draw(REPOSITORIES), draw(TEXTS), draw(st.just("") | PATHS))
            for kind in kinds
        )
        made.append(StoredBlob(blob.digest, blob.size, REQUIRED, (), bases))
    return made


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Return a consistent manifest, whose packing no writer of ours would choose."""
    stream, sequence = draw(STREAMS), draw(st.integers(1, 10**12 - 1))
    name = bundle_name(stream, sequence)
    found = draw(several_artifacts())
    sizes = {content.digest: content.size for a in found for content in a.contents}
    chunks = draw(st.integers(1, 3)) if sizes else draw(st.integers(0, 2))
    blobs = [draw(stored(digest, size, chunks)) for digest, size in sizes.items()]
    blobs = draw(some_left_out(blobs, found))
    builds_on = draw(st.lists(BASE_BUNDLES, min_size=1, max_size=2))
    order = draw(
        st.permutations([(b, p) for b, it in enumerate(blobs) for p in range(len(it.parts))])
    )
    blobs, ends = placed(blobs, order, len(prefix(index_json(found))), chunks)
    media = draw(st.integers(1, 3))
    where = [draw(st.integers(1, media)) for _ in range(chunks)]
    endings = draw(st.sets(st.sampled_from(["sha256sums", "lock.yaml", "label.txt"])))
    files = [f"{name}.{ending}" for ending in sorted(endings)]
    files += draw(st.sampled_from([[], ["README.txt"]]))
    recipients = draw(st.just([]) | st.lists(DIGESTS, unique=True, min_size=1, max_size=20))
    if recipients:
        chunks_made = encrypted(name, blobs, ends, len(prefix(index_json(found))))
    else:
        chunks_made = tuple(
            Chunk(number, chunk_name(name, number), size, draw(DIGESTS))
            for number, size in enumerate(ends, start=1)
        )
    protected = draw(st.just(()) | groups(name, chunks_made, media))
    listed = [File(file, draw(SIZES), draw(DIGESTS)) for file in files]
    if protected:
        length = list_size(chunks_made, protected)
        listed.append(File(list_name(name), length, draw(DIGESTS)))
    return Manifest(
        stream=stream,
        sequence=sequence,
        created=draw(MOMENTS),
        expires=draw(MOMENTS),
        generator=(draw(TEXTS), draw(TEXTS)),
        spec=draw(DIGESTS),
        lock=draw(DIGESTS),
        chunk_size=draw(st.integers(1, 2**53 - 1)),
        artifacts=found,
        blobs=tuple(blobs),
        chunks=chunks_made,
        media=tuple(
            Medium(m, draw(SIZES), tuple(n for n, at in enumerate(where, start=1) if at == m))
            for m in range(1, media + 1)
        ),
        files=tuple(listed),
        previous=draw(st.none() | st.builds(Previous, st.integers(1, 2**53 - 1), DIGESTS)),
        parity=protected,
        recipients=tuple(recipients),
        bases=tuple(builds_on) if any(blob.bases for blob in blobs) else (),
        account=draw(st.none() | ACCOUNTS),
    )


@st.composite
def locked(draw: st.DrawFn, artifact: Artifact) -> LockedArtifact:
    """Return the artifact with an origin, and a source for each of its contents."""
    contents = []
    for content in artifact.contents:
        source = draw(st.sampled_from(["", "url", "text"]))
        url = draw(text("https?://[!-~]{1,9}")) if source == "url" else ""
        body = draw(TEXTS) if source == "text" else None
        contents.append(LockedContent(content, url, body, draw(st.booleans())))
    where = draw(
        st.dictionaries(text("[a-z]{1,6}").filter(lambda k: k != "from"), TEXTS, max_size=3)
    )
    return LockedArtifact(artifact, Origin(draw(st.sampled_from(ORIGINS)), where), tuple(contents))


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    found = draw(several_artifacts())
    tagged: set[tuple[str, str]] = set()
    made = [draw(locked(with_tags_once(artifact, tagged))) for artifact in found]
    return Lock(draw(STREAMS), draw(DIGESTS), tuple(made))


def with_tags_once(artifact: Artifact, tagged: set[tuple[str, str]]) -> Artifact:
    """Return the artifact without the tags of its repository that ``tagged`` has already."""
    contents = []
    for content in artifact.contents:
        mine = [tag for tag in content.tags if (artifact.repository, tag) not in tagged]
        tagged |= {(artifact.repository, tag) for tag in mine}
        contents.append(replace(content, tags=tuple(mine)))
    return replace(artifact, contents=tuple(contents))


def places(value: Any, path: Place = ()) -> list[Place]:
    """Return the path of every value in a document, its own first."""
    found = [path]
    items = value.items() if isinstance(value, dict) else ()
    for key, item in items or (enumerate(value) if isinstance(value, list) else ()):
        found += places(item, (*path, key))
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([2**53 - 1, 2**53, -(2**53), 10**12, 1.5, "", "a\n", "../x", "/x", "x/", "A"]),
    st.sampled_from(
        ["a//b", "c:\\d", "sha256:" + "0" * 64, "sha256:" + "A" * 64, "x" * 41, "e\u0301"]
    ),
    st.sampled_from(["1.7", "2.0", "1.0\n", "zstd", "delta", "index", "identity", "README.txt"]),
    st.text(max_size=4),
    st.lists(st.sampled_from(["zstd", "delta", 1, 2]), max_size=2),
    st.dictionaries(st.sampled_from(["a", "from", "digest"]), st.just("b"), max_size=2),
)
KEYS = st.sampled_from(
    ["extra", "path", "tags", "platform", "subject", "features", "text", "url", "a\n"]
)


def value_at(document: Any, place: Place) -> Any:
    """Return the value at a place."""
    for step in place:
        document = document[step]
    return document


@st.composite
def mutations(draw: st.DrawFn, base: Any) -> Any:
    """Return the document with one or two values replaced, removed, doubled, swapped or added."""
    document = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 2))):
        found = places(document)[1:]
        if not found:
            break
        place = draw(st.sampled_from(found))
        last: Any = place[-1]
        inner = value_at(document, place[:-1])
        match draw(st.sampled_from(["replace", "remove", "add", "swap", "double"])):
            case "replace":
                inner[last] = draw(JUNK)
            case "remove":
                del inner[last]
            case "swap":
                inner[last] = copy.deepcopy(value_at(document, draw(st.sampled_from(found))))
            case "double" if isinstance(inner, list):
                inner.append(copy.deepcopy(inner[last]))
            case _ if isinstance(inner, dict):
                inner[draw(KEYS)] = draw(JUNK)
            case _:
                inner.append(draw(JUNK))
    return document
