"""The fuzz targets: each takes any bytes, and fails when a parser does more than refuse them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from base64 import encodebytes
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from bundle import auth, refusals, secretfile, signature, state, strictyaml, trust, trustchain
from bundle import envelope as header
from bundle.decode import parse_json
from bundle.digest import verified
from bundle.encoding import decode
from bundle.errors import DrayError, NotTrusted
from bundle.http import ERROR_BODY, Response
from bundle.kit import document
from bundle.manifest import Manifest
from bundle.media import Media
from bundle.reader import Reader
from bundle.secretfile import Passphrase
from bundle.verify import verify
from bundler import cosignkey, lock, oci, spec
from bundler.adopt import files as adopted
from bundler.adopt import write
from bundler.adopt.found import Found
from bundler.sources import chartfile, helmindex, ngc_answers, ngc_listing
from bundler.sources.ngc_api import Item
from importer import destinations
from importer.ledger.chain import BrokenChain, Chain
from importer.ledger.entry import BrokenEntry
from importer.ledger.head import Head
from importer.ledger.streams import Standings
from importer.serve import answer, catalogue, server
from importer.serve import request as http
from importer.targets import layout, marker
from tests import factory, keys
from tests.fuzz import (
    contenttargets,
    gatetargets,
    recordtargets,
    relocatetargets,
    scantargets,
    servertargets,
    sourcetargets,
    storetargets,
    vendortargets,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.manifest import Manifest as Signed
    from bundler.sources.ngc_api import NgcApi
    from importer.serve.store import Store

    Target = Callable[[bytes], object]

SECONDS = 5.0
"""Processor time that one input may cost. A parser that takes linear time stays far below."""
HERE = Path("some.yaml")
OCI_TYPES = sorted(oci.INDEXES | oci.MANIFESTS)
PLAIN = 1 << 20
"""Bytes that the blob of the Zstandard target is said to have."""


class TooSlow(AssertionError):
    """An input cost more than :data:`SECONDS`."""


def check(target: Target, data: bytes) -> None:
    """Give ``data`` to a target: it may refuse it, and nothing else."""
    started = time.process_time()
    with suppress(DrayError):
        target(data)
    spent = time.process_time() - started
    if spent > SECONDS:
        message = f"{spent:.1f} s for {len(data)} bytes"
        raise TooSlow(message)


def manifest(data: bytes) -> None:
    """Whatever is read as a manifest reads back from what it writes."""
    read = Manifest.from_bytes(data)
    assert Manifest.from_bytes(read.to_bytes()) == read


def envelope(data: bytes) -> None:
    """A signature file that nobody trusted made is never counted, and no key is read from one."""
    parsed = signature.parse_sigstore(data)
    assert not signature.verify(keys.signer("nobody").public_key, parsed.signature, b"document")


def public_key(data: bytes) -> None:
    """What is read as a public key is written in one way."""
    read = signature.PublicKey.from_pem(data)
    assert signature.PublicKey.from_pem(read.pem) == read


def trust_policy(data: bytes) -> None:
    """Whatever is read as a trust file reads back from what it writes."""
    read = trust.read(data)
    assert trust.read(read.to_bytes()) == read


def kit_document(data: bytes) -> None:
    """The document of a kit that somebody signed: what is read of it is written again the same."""
    found = document.read(data)
    assert document.read(found.to_bytes()) == found
    assert document.is_name(found.name)


def trust_chain(data: bytes) -> None:
    """Whatever is read as a chain reads back; and nobody's chain is ever accepted."""
    read = trustchain.read(data)
    assert trustchain.read(trustchain.to_bytes(read)) == read
    root = keys.trust(keys.signer("nobody"), version=1)
    with suppress(NotTrusted):
        assert trustchain.walk(root, read) == []


def cosign_key(data: bytes) -> None:
    """The body of a key file of cosign: what opens is what the seed holds, and nothing else."""
    label, data = "ENCRYPTED SIGSTORE PRIVATE KEY", data[: secretfile.MAX_BYTES // 2]
    pem = f"-----BEGIN {label}-----\n{encodebytes(data).decode()}-----END {label}-----\n"
    phrase = Passphrase(environ={"DRAY_KEY_PASSPHRASE": "secret"})
    assert cosignkey.open_key(HERE, pem.encode(), phrase) == b"hello"


def memory(data: bytes) -> None:
    """The state of a stream."""
    state._read(data, HERE, "import", "prod")


def ledger(data: bytes) -> None:
    """A ledger: what is read of it is exactly what is there, and stands for something."""
    try:
        chain = Chain().extend(data)
    except BrokenChain as error:
        chain = Chain(error.good)
    else:
        assert b"".join(one.line + b"\n" for one in chain.entries) + chain.torn == data
    with suppress(BrokenEntry):
        known = Standings()
        for one in chain.entries:
            known.learn(one)
        known.opening()


def ledger_head(data: bytes) -> None:
    """Whatever is read as a ledger's head reads back from what it writes."""
    head = Head.read(data, NotTrusted)
    assert Head.read(head.to_bytes(), NotTrusted) == head


def yaml(data: bytes) -> None:
    """A YAML document, and the place of everything in it."""
    document = strictyaml.parse(data, name="some.yaml")
    assert all(number >= 1 for number in document.mark(("a", 0, "b")))


def spec_file(data: bytes) -> None:
    """A spec."""
    spec.parse(data, HERE)


def adopt(data: bytes) -> None:
    """A list of another tool: what is read of it makes a spec, or is refused."""
    found = Found()
    comments = adopted.read(data, "list.yaml", found)
    found.check()
    spec.parse(write.text(found, comments, write.Wish("lab", (), "seen")).encode(), HERE)


def lock_file(data: bytes) -> None:
    """Whatever is read as a lock reads back from what it writes."""
    read = lock.parse(data, HERE)
    assert lock.parse(read.text, HERE) == read
    read.source_fault()


def target_file(data: bytes) -> None:
    """A target file."""
    destinations.parse_file(data, HERE)


def image(data: bytes) -> None:
    """An OCI or Docker manifest or index; the first byte chooses what the registry calls it."""
    kind = OCI_TYPES[data[0] % len(OCI_TYPES)] if data else OCI_TYPES[0]
    oci.config_platform(data[1:])
    oci.parse(data[1:], kind, "image")


def helm_index(data: bytes) -> None:
    """The index of a classic Helm repository."""
    helmindex.find(data, "https://charts.example", "app", "1.0.0")


def chart(data: bytes) -> None:
    """A chart's archive."""
    with suppress(ValueError):
        chartfile.metadata(data)


def ngc(data: bytes) -> None:
    """NGC's answers: facts of a version, its files, the versions, and failures of any shape."""
    response = Response(404, {}, data[:ERROR_BODY], "https://api.ngc.nvidia.com/")
    assert all(isinstance(text, str) for text in ngc_answers.told(response))
    try:
        body = ngc_answers.read_object(data)
    except ValueError:
        return
    item = Item("models", "nvidia", "", "riva", "1.0")
    api = cast("NgcApi", SimpleNamespace(guest=True, get=lambda *_: body))
    for ask in (
        lambda: ngc_listing.version_facts(api, item),
        lambda: ngc_listing.listing(api, item, ngc_listing.Facts(None, None)),
        lambda: ngc_listing.status_fault(api, item),
    ):
        with suppress(DrayError):
            ask()


def refusal(data: bytes) -> None:
    """A registry's refusal, and the challenge of its header: one line each, with no escape."""
    response = Response(403, {}, data, "https://nvcr.io/")
    for text in refusals.told(response):
        assert text.isprintable()
    auth.challenges(data.decode("latin-1"))


def json(data: bytes) -> None:
    """JSON, which raises ``ValueError`` and nothing else."""
    with suppress(ValueError):
        parse_json(data, limit=1 << 20)


def warehouse(data: bytes) -> None:
    """What lies in a folder on the high side: its index, and the markers of its models."""
    with suppress(DrayError):
        layout._parse(data, "index.json")
    marker.read(data, "marker")


def request(data: bytes) -> None:
    """A request to the registry that serves a bundle: one answer, whose headers are ours alone."""
    try:
        data = data[: http.HEAD_LIMIT]  # the server reads no more
        read = http.parse(data.removesuffix(b"\r\n\r\n") + b"\r\n\r\n")
        with suppress(ValueError):
            http.one_range(read.headers.get("range", ""), 1000)
        answered = _registry().answer(read)
    except http.BadRequest as bad:
        answered = answer.Refused(bad.status, "UNSUPPORTED", bad.reason).answer()
    except answer.Refused as refused:
        answered = refused.answer()
    head = server.spelt(answered, keep=False)
    names = [line.partition(b": ")[0] for line in head.split(b"\r\n")[1:-2]]
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\n") == head.count(b"\r\n")
    assert len(names) == len(set(names))


@cache
def _registry() -> answer.Registry:
    store = SimpleNamespace(
        small=lambda _digest: b"{}",
        whole=lambda _digest: (),
        check=lambda _digest: None,
        ranged=lambda *_range: (),
    )
    image = factory.image(factory.Contents(), "nvcr.io/nvidia/cuda:12.6", [b""])
    return answer.Registry(catalogue.build([image.artifact]), cast("Store", store))


def zstd(data: bytes) -> None:
    """A stored blob's frames: never more bytes than were signed, and never another's."""
    blocks = [data[:7], data[7:]] if len(data) > 7 else [data]
    plain, seen = decode(blocks, "zstd", size=PLAIN, what="blob"), 0
    for block in plain:
        seen += len(block)
    assert seen <= PLAIN


def encrypted_header(data: bytes) -> None:
    """The header of an encrypted chunk: one spelling of its rows, and a key for nobody's bytes."""
    try:
        rows = header.decode(data)
    except ValueError:
        return
    assert header.encode(list(rows.values())) == data
    with suppress(ValueError, LookupError):
        header.file_key(data, "prod-000001.chunk-00001.tar.enc", keys.recipient("fuzz"))
        raise AssertionError


def chunk(data: bytes) -> None:
    """A chunk file of any bytes: every one that differs is found, and none of them is used."""
    place = _place()
    if place.path.read_bytes() != data:
        place.path.write_bytes(data)
    found = verify(place.manifest, place.media, workers=1)
    assert bool(found.bad) == (data != place.good), found
    assert not found.missing
    reader = Reader(place.manifest, place.media)
    for blob, expected in place.blobs.items():
        with suppress(DrayError):
            assert b"".join(reader.blob(blob).blocks()) == expected


class _Place:
    """A bundle in a folder of its own, one chunk of which is the input."""

    def __init__(self, folder: Path) -> None:
        made = factory.build(folder, _content)
        self.manifest: Signed = made.manifest
        self.media = Media.find(made.folders)
        self.path = made.chunk(2)
        self.good = self.path.read_bytes()
        reader = Reader(self.manifest, self.media)
        self.blobs = {
            blob.digest: b"".join(
                verified(
                    reader.blob(blob.digest).blocks(),
                    digest=blob.digest,
                    size=blob.size,
                    what="blob",
                )
            )
            for blob in self.manifest.blobs
        }


def _content(kept: factory.Contents) -> Any:
    layers = [factory.noise("one", 3001), factory.noise("two", 500)]
    files = {"model.bin": factory.noise("cut", 17_000), "config.json": b"{}"}
    return (
        factory.image(kept, "nvcr.io/nvidia/cuda:12.6", layers),
        factory.model(kept, "nvidia/riva", "1.0", files),
    )


@cache
def _place() -> _Place:
    folder = Path(tempfile.mkdtemp(prefix="dray-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _Place(folder)


TARGETS: dict[str, Target] = {
    "manifest": manifest,
    "envelope": envelope,
    "public-key": public_key,
    "trust-policy": trust_policy,
    "trust-chain": trust_chain,
    "kit": kit_document,
    "cosign-key": cosign_key,
    "state": memory,
    "ledger": ledger,
    "ledger-head": ledger_head,
    "yaml": yaml,
    "spec": spec_file,
    "adopt": adopt,
    "lock": lock_file,
    "target-file": target_file,
    "image": image,
    "helm-index": helm_index,
    "chart": chart,
    "ngc": ngc,
    "refusal": refusal,
    "json": json,
    "warehouse": warehouse,
    "request": request,
    "zstd": zstd,
    "chunk": chunk,
    "encrypted-header": encrypted_header,
    **vendortargets.TARGETS,
    **gatetargets.TARGETS,
    **scantargets.TARGETS,
    **relocatetargets.TARGETS,
    **servertargets.TARGETS,
    **contenttargets.TARGETS,
    **storetargets.TARGETS,
    **recordtargets.TARGETS,
    **sourcetargets.TARGETS,
}
