"""Manifests that are signed and are no documents: doubled keys, numbers, depth, size, versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import factory
from tests.refusals.table import Lie, check, dray, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

STRICT = "is not strict JSON"


def text(old: bytes, new: bytes) -> Tell:
    """Replace something in the manifest's bytes, once, and sign them."""

    def tell(bundle: Bundle) -> None:
        data = bundle.path("manifest.json").read_bytes()
        assert old in data
        bundle.sign(data.replace(old, new, 1))

    return tell


def around(before: bytes, after: bytes = b"") -> Tell:
    return lambda bundle: bundle.sign(before + bundle.path("manifest.json").read_bytes() + after)


def instead(data: bytes) -> Tell:
    return lambda bundle: bundle.sign(data)


def put(**fields: Any) -> Tell:
    return lambda bundle: bundle.lie(lambda body: body.update(fields))


def drop(key: str) -> Tell:
    return lambda bundle: bundle.lie(lambda body: body.pop(key))


def huge(bundle: Bundle) -> None:
    with bundle.path("manifest.json").open("r+b") as file:
        file.truncate((256 << 20) + 1)


def deep(count: int) -> Tell:
    return text(b'"sequence": 7', b'"x": ' + b"[" * count + b"]" * count + b', "sequence": 7')


def unclosed(bundle: Bundle) -> None:
    # Once, this took time that grew with the square of its length.
    bundle.sign(b'{"x": "' + b'\\"' * 30_000)


def doubled(bundle: Bundle) -> None:
    rows = b",".join(b'"k%d":1' % number for number in range(9_000))
    bundle.sign(b"{" + rows + b',"k8999":1}')


def recode(encoding: str) -> Tell:
    return lambda bundle: bundle.sign(
        bundle.path("manifest.json").read_bytes().decode().encode(encoding)
    )


FORM = (
    Lie("a key is doubled", text(b"{", b'{"stream": "x",'), 3, "duplicate key 'stream'"),
    Lie("an inner key is doubled", text(b'"number": 1', b'"number": 1, "number": 2'), 3, STRICT),
    Lie("an escaped key is doubled", text(b"{", rb'{"\u0073tream": "x",'), 3, "duplicate key"),
    Lie("a key of very many is doubled", doubled, 3, "duplicate key 'k8999'"),
    Lie("a number is beyond 2**53", text(b": 7,", b": 9007199254740993,"), 3, "out of range"),
    Lie("a number has a million digits", text(b": 7,", b": 1" + b"0" * 10**6 + b","), 3, "range"),
    Lie("a number is infinite", text(b": 7,", b": 1e999,"), 3, "not an integer"),
    Lie("a number has a fraction", text(b": 7,", b": 7.0,"), 3, "not an integer"),
    Lie("a number is negative", text(b'"capacity": 0', b'"capacity": -1'), 3, "not from 0"),
    Lie("a number is NaN", text(b": 7,", b": NaN,"), 3, "not an integer: NaN"),
    Lie("a number is Infinity", text(b": 7,", b": Infinity,"), 3, "not an integer"),
    Lie("a number is text", put(sequence="7"), 3, "manifest: sequence must be a whole number"),
    Lie("a number is true", put(sequence=True), 3, "manifest: sequence must be a whole number"),
    Lie("a number is nothing", put(sequence=None), 3, "manifest: sequence must be a whole number"),
    Lie("it nests fifty deep", deep(50), 3, "nested deeper than 40"),
    Lie("it nests a hundred thousand deep", deep(100_000), 3, "nested deeper than 40"),
    Lie("a string is never closed", unclosed, 3, STRICT),
    Lie("it has a lone surrogate", text(b'"prod"', rb'"\ud800"'), 3, STRICT),
    Lie("it is UTF-16", recode("utf-16"), 3, STRICT),
    Lie("it has a byte order mark", around(b"\xef\xbb\xbf"), 3, STRICT),
    Lie("it is two documents", around(b"", b"{}"), 3, STRICT),
    Lie("it has a comment", around(b"// signed\n"), 3, STRICT),
    Lie("it is a list", instead(b"[]\n"), 3, "must be a mapping, not a list"),
    Lie("it is a number", instead(b"7\n"), 3, "must be a mapping"),
    Lie("it is empty", instead(b""), 3, STRICT),
    Lie("it is larger than any manifest", huge, 3, "is larger than 268435456 bytes"),
)

NEWER = "install a newer dray"
VERSION = (
    Lie("it needs a feature", put(features=["delta"]), 3, "needs features delta", NEWER),
    Lie("it is of the next major version", put(formatVersion="2.0"), 3, "needs format 2.0", NEWER),
    Lie("it is of no version", put(formatVersion="1"), 3, "formatVersion is not allowed"),
    Lie(
        "it is of another kind", put(mediaType="application/vnd.dray.trust.v1+json"), 3, "mediaType"
    ),
    *(
        Lie(f"{key} is missing", drop(key), 3, f"manifest {key!r} is missing")
        for key in (
            *("mediaType", "formatVersion", "stream", "sequence", "created", "expires", "spec"),
            *("lock", "chunkSize", "artifacts", "blobs", "chunks", "media", "files"),
        )
    ),
    Lie("the stream is no stream", put(stream="../prod"), 3, "stream is not allowed"),
    Lie("the stream is another", put(stream="other"), 3, "which is not of other-000007"),
    Lie("the sequence is another", put(sequence=8), 3, "which is not of prod-000008"),
    Lie("the sequence is zero", put(sequence=0), 3, "sequence is 0, not from 1"),
    Lie("the expiry is no moment", put(expires="tomorrow"), 3, "expires is not allowed"),
    Lie("a digest is of another kind", put(spec="sha512:" + "0" * 128), 3, "must be sha256:"),
    Lie("a digest is in capitals", put(lock="sha256:" + "A" * 64), 3, "must be sha256:"),
)


@rows(FORM, VERSION)
def test_a_manifest_that_is_no_document_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


@pytest.mark.parametrize("fields", [{"formatVersion": "1.9"}, {"more": {"later": [1]}}])
def test_a_later_minor_version_is_read(fields: dict[str, Any], tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "desk", sequence=7)
    put(**fields)(bundle)
    answer = dray("verify", "--trust", bundle.trust, bundle.folder, "--json", folder=tmp_path)
    assert answer.code == 0, answer
    assert json.loads(answer.out)["ok"] is True
