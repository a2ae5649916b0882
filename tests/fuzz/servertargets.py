"""The fuzz targets of what servers answer, headers and all, through the real client."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.digest import Descriptor, Digest
from bundle.errors import DrayError, SourceError, TargetError, VerificationError
from bundle.hosts import content_range
from bundle.http import Interrupted, backoff, retry_after
from bundle.registry import Registry
from bundle.upload import Uploads
from bundle.whole import Unranged
from importer.harbor.client import Harbor
from tests.fuzz import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundle.http import Http

REPO = "team/app"
_BLOB = b"blob"
_CONTENT = Descriptor("application/octet-stream", Digest.of(_BLOB), len(_BLOB))
_MANIFEST = b'{"schemaVersion": 2}'
_KIND = "application/vnd.oci.image.manifest.v1+json"


def registry(data: bytes) -> None:
    """A registry's answers to a question that the first byte chooses."""
    http = wire.client(data[1:], TargetError)
    there = Registry(wire.NAME, http, wire.LOGIN)
    _ask(http, there, _QUESTIONS[data[0] % len(_QUESTIONS)] if data else _QUESTIONS[0])


def _ask(http: Http, there: Registry, question: Callable[[Registry], object]) -> None:
    try:
        question(there)
    except Interrupted as pause:  # of an upload's only attempt
        assert str(pause)
    finally:
        http.close()


def _pinned(there: Registry) -> None:
    wanted = Digest.of(_MANIFEST)
    with suppress(VerificationError):
        assert there.manifest(REPO, wanted)[1] == _MANIFEST


def _tags(there: Registry) -> None:
    assert all(tag.isprintable() for tag in there.tags(REPO))


def _opened(there: Registry) -> None:
    with there.opener(REPO, Descriptor(_KIND, _CONTENT.digest, 1000))(10) as blocks:
        for _block in blocks:
            pass


def _ranged(there: Registry) -> None:
    with (
        suppress(Unranged),
        there.opener(REPO, Descriptor(_KIND, _CONTENT.digest, 1000))(10, 20) as blocks,
    ):
        for _block in blocks:
            pass


def _chunked(there: Registry) -> None:
    uploads = Uploads(there.api)
    uploads._most = 2
    uploads.put(REPO, _CONTENT, _blocks)


def _blocks(offset: int = 0, sha: object = None) -> Iterator[bytes]:
    yield _BLOB[offset:]


_QUESTIONS: Sequence[Callable[[Registry], object]] = (
    lambda there: there.resolve(REPO, "v1"),
    lambda there: there.manifest(REPO, "v1"),
    _pinned,
    _tags,
    lambda there: there.referrers(REPO, _CONTENT.digest),
    lambda there: there.has_manifest(REPO, "v1"),
    lambda there: there.mount(REPO, _CONTENT.digest, "team/base"),
    lambda there: there.put_blob(REPO, _CONTENT, _blocks),
    _chunked,
    lambda there: there.put_manifest(REPO, "v1", _MANIFEST, _KIND),
    _opened,
    _ranged,
    lambda there: there.ping(),
)


def harbor(data: bytes) -> None:
    """A Harbor's answers to every call of a preflight and of a look at scans, one after another."""
    http = wire.client(data, TargetError)
    there, digest = Harbor(wire.NAME, http, wire.LOGIN), _CONTENT.digest
    for ask in (
        there.ping,
        there.about,
        there.unhealthy,
        there.is_known,
        there.is_sysadmin,
        lambda: [there.projects.rights(one) for one in (there.projects.get("p"),) if one],
        lambda: there.projects.quota("p"),
        lambda: [rule.holds("p/a", "v1") for rule in there.projects.immutable_rules("p") or ()],
        lambda: there.projects.create("p", {}),
        lambda: there.artifacts.get(REPO, "v1"),
        lambda: there.artifacts.copy("a/b", digest, REPO),
        lambda: there.artifacts.label(1, "dray"),
        lambda: there.scans.start(REPO, digest),
        lambda: there.scans.look(REPO, digest),
        lambda: there.scans.vulnerabilities(REPO, digest),
    ):
        try:
            ask()
        except DrayError as error:
            assert error.message.isprintable(), error.message


def headers(data: bytes) -> None:
    """Single headers, of any text: waits that are bounded, and ranges that are numbers."""
    text = data[: wire.LINE].decode("latin-1")
    one, _, other = text.partition("\n")
    wait = retry_after({"Retry-After": one, "Date": other})
    assert wait is None or 0 <= backoff(1, wait) <= 301
    assert all(-1 <= number < 10**18 for number in content_range(one))
    http = wire.client(b"HTTP/1.1 307\nLocation: " + data + wire.BETWEEN + b" 200", SourceError)
    http.request("GET", f"https://{wire.NAME}/v2/", headers={"Authorization": wire.LOGIN.basic})


TARGETS: dict[str, Callable[[bytes], object]] = {
    "registry": registry,
    "harbor": harbor,
    "headers": headers,
}
