"""The command ``dray serve``: options to a server, and what it says while it runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import MediaIncomplete, NotTrusted, UsageError
from bundle.options import FILE, command, emit, option, say, shown, stoppable, trust_options, warn
from importer import opening
from importer.option import decrypt_options, override_options

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from bundle.artifact import Artifact
    from bundle.manifest import Manifest
    from bundle.media import Media
    from bundle.reader import Reader
    from bundle.unseal import Sealed
    from importer.admission import Overrides
    from importer.option import Decryption
    from importer.serve.answer import Registry
    from importer.serve.catalogue import Catalogue
    from importer.serve.server import Entry, Server
    from importer.serve.store import Blobs


@command("serve", short_help="Serve a bundle, or what was imported, as a read-only registry.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--listen",
    default="127.0.0.1:5000",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where to listen; port 0 takes one that is free.",
)
@option("--tls-cert", type=FILE, help="Certificate and what is between it and its CA (PEM).")
@option("--tls-key", type=FILE, help="Private key of the certificate (PEM).")
@option(
    "--tls-client-ca", type=FILE, help="Let in only clients with a certificate of this CA (PEM)."
)
@option("--plain-http", is_flag=True, help="Serve other hosts without TLS.")
@option(
    "--htpasswd", type=FILE, help="Users who may pull: lines of user:HASH, by openssl passwd -6."
)
@option("--access-log", is_flag=True, help="Print a line for each request on standard error.")
@option(
    "--by-receipt",
    "brought",
    type=FILE,
    multiple=True,
    help="Receipt that vouches for a folder [default: those of this host]; repeatable.",
)
@option(
    "--receipt-pub",
    "pubs",
    type=FILE,
    multiple=True,
    help="Public key (PEM) of who signed it; repeatable.",
)
@trust_options
@override_options
@decrypt_options
def serve(  # noqa: PLR0913, PLR0917
    folders: tuple[Path, ...],
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    htpasswd: Path | None,
    brought: tuple[Path, ...],
    pubs: tuple[Path, ...],
    trust: Path | None,
    pub: Path | None,
    decryption: Decryption,
    *,
    overrides: Overrides,
    plain_http: bool,
    access_log: bool,
    as_json: bool,
) -> None:
    """Serve the bundle in FOLDERS as a read-only OCI registry until it is interrupted.

    The signature is verified first, by the rules of verify and import. Every byte is verified while
    it is read: a client never completes what is not as it was signed.

    One folder that dray import has filled is served in the same way. Receipts vouch for it.
    """
    from importer.serve import listening, warehouse
    from importer.serve.passwords import Passwords
    from importer.serve.server import Server

    address = listening.address_of(listen)
    tls = listening.tls_of(tls_cert, tls_key, tls_client_ca)
    listening.check_open(address[0], tls=tls is not None, plain_http=plain_http)
    passwords = Passwords.load(htpasswd) if htpasswd else None
    if passwords and not tls and not listening.is_loopback(address[0]):
        warn("passwords cross the network as plain text")
    if any(map(warehouse.is_one, folders)):
        offer = _of_warehouse(folders, brought, pubs)
    else:
        offer = _of_bundle(folders, trust, pub, decryption, overrides)
    with stoppable() as stop:
        catalogue, registry = _registry(offer, stop)
        log = _Log(everything=access_log)
        server = Server(address, registry, tls=tls, passwords=passwords, log=log)
        _say(offer, catalogue, server, as_json=as_json)
        _run(server, stop)


@dataclass(frozen=True)
class _Offer:
    """What is served: artifacts, names that they have already, blobs, and words about it."""

    artifacts: Iterable[Artifact]
    names: Mapping[str, str]
    blobs: Blobs
    line: str
    about: dict[str, Any]


def _of_bundle(
    folders: tuple[Path, ...],
    trust: Path | None,
    pub: Path | None,
    decryption: Decryption,
    overrides: Overrides,
) -> _Offer:
    from bundle.reader import Reader

    media, sealed, trusted = opening.unsealed(folders, trust, pub)
    opening.admission(sealed, overrides).judge()
    reader = Reader(sealed.manifest, media, opening.recipient(sealed, trusted, decryption))
    _check_media(sealed, media, reader)
    name, signers = sealed.manifest.name, sealed.signers.names
    line = f"{name}: signed by {', '.join(signers)}, manifest {sealed.digest}"
    about = {"bundle": name, "manifestDigest": str(sealed.digest), "signers": list(signers)}
    _tell_left_out(sealed.manifest)
    return _Offer(sealed.manifest.artifacts, {}, reader, line, about)


def _tell_left_out(manifest: Manifest) -> None:
    """Say what a delta does not bring: images with it cannot be pulled from here."""
    from bundle.required import REQUIRED

    bases = ", ".join(base.name for base in manifest.bases)
    left = [blob.digest for blob in manifest.blobs if blob.encoding == REQUIRED]
    for user in sorted({user for digest in left for user in manifest.users[digest]}):
        warn(f"{user} is not whole here: {manifest.name} builds on {bases}, which has the rest")


def _of_warehouse(
    folders: tuple[Path, ...], brought: tuple[Path, ...], pubs: tuple[Path, ...]
) -> _Offer:
    from bundle.progress import counted
    from importer.serve import vouching
    from importer.serve.warehouse import Warehouse

    if len(folders) != 1:
        raise UsageError("one folder at a time", hint="serve each at a port of its own")
    found = vouching.receipts(brought, pubs, warn)
    house = Warehouse.open(folders[0], found)
    for line in house.left:
        warn(f"not served: {line}")
    if not house.artifacts:
        raise NotTrusted(
            f"no receipt names what is in {folders[0]}",
            hint="serve it where and as whom it was imported; or name a receipt: --by-receipt",
        )
    bundles = sorted({receipt.bundle.name for receipt in found})
    line = f"{folders[0]}: {counted(len(house.artifacts), 'artifact')}, vouched for by receipts of "
    about = {"warehouse": str(folders[0]), "receipts": bundles}
    return _Offer(house.artifacts, house.names, house, line + ", ".join(bundles), about)


def _registry(offer: _Offer, stop: threading.Event) -> tuple[Catalogue, Registry]:
    from importer.serve import catalogue as catalogues
    from importer.serve.answer import Registry
    from importer.serve.store import Store

    catalogue = catalogues.build(offer.artifacts, offer.names)
    for reason in catalogue.left:
        warn(f"not served by a short name: {reason}")
    for name in catalogue.contested:
        warn(f"{name} is of two sources: it is served with the source's host in front alone")
    return catalogue, Registry(catalogue, Store(offer.blobs, stop.is_set))


def _check_media(sealed: Sealed, media: Media, reader: Reader) -> None:
    """Look at names, sizes and ends of what is here; what is missing is not served."""
    from bundle.required import left_out
    from bundle.verify import verify

    if sealed.manifest.recipients:
        reader.views.require()
    report = verify(sealed.manifest, media, deep=False, parity=False, recipient=reader.recipient)
    missing, report.missing = report.missing, []
    report.raise_for_findings()
    if len(missing) >= len(sealed.manifest.chunks) > 0:
        report.missing = missing
        report.raise_for_findings()
    if text := left_out(sealed.manifest):
        warn(f"{text.partition(':')[0]}, and not served: serve the bundle that has them instead")
    for finding in missing:
        warn(f"{finding.file}: {finding.message}: {finding.hint or 'what is in it is not served'}")


def _say(offer: _Offer, catalogue: Catalogue, server: Server, *, as_json: bool) -> None:
    names = {name: sorted(catalogue.repositories[name].tags) for name in sorted(catalogue.short)}
    if as_json:
        emit({**offer.about, "url": server.url, "tags": names})
    else:
        say(offer.line)
        for name, tags in names.items():
            say(f"  {name}: {', '.join(tags) or 'no tags'}")
        say(f"serving read-only at {server.url}")
    sys.stdout.flush()


def _run(server: Server, stop: threading.Event) -> None:
    import threading

    thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
    thread.start()
    while not stop.wait(1) and thread.is_alive():
        pass
    server.end()


class _Log:
    """Requests, if they are wanted; and always what is wrong with the media."""

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything

    def __call__(self, entry: Entry) -> None:
        if entry.fault:
            about = "" if isinstance(entry.fault, MediaIncomplete) else f"; {entry.fault.hint}"
            warn(f"{entry.request}: {entry.fault.message}{about}")
        if self._everything:
            numbers = f"{entry.status} {entry.sent} {entry.seconds:.3f}s"
            click.echo(shown(f"{entry.client} {entry.request} {numbers}"), err=True)
