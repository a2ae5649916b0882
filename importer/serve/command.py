"""The command ``dray serve``: options to a server, and what it says while it runs."""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundle.errors import MediaIncomplete, UsageError
from bundle.options import FILE, command, emit, option, say, shown, stoppable, trust_options, warn
from bundle.required import left_out
from importer import opening
from importer.option import decrypt_option, override_options

if TYPE_CHECKING:
    import ssl
    import threading

    from bundle.media import Media
    from bundle.reader import Reader
    from bundle.unseal import Sealed
    from importer.admission import Overrides
    from importer.serve.answer import Registry
    from importer.serve.catalogue import Catalogue
    from importer.serve.server import Entry, Server

DEFAULT = "127.0.0.1:5000"
_LISTEN = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9A-Za-z.-]+)):([0-9]{1,5})")


@command("serve", short_help="Serve a bundle as a read-only registry, straight from its media.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--listen",
    default=DEFAULT,
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where to listen; port 0 takes one that is free.",
)
@option("--tls-cert", type=FILE, help="Certificate and what is between it and its CA (PEM).")
@option("--tls-key", type=FILE, help="Private key of the certificate (PEM).")
@option("--plain-http", is_flag=True, help="Serve other hosts without TLS.")
@option(
    "--htpasswd", type=FILE, help="Users who may pull: lines of user:HASH, by openssl passwd -6."
)
@option("--access-log", is_flag=True, help="Print a line for each request on standard error.")
@trust_options
@override_options
@decrypt_option
def serve(  # noqa: PLR0913, PLR0917
    folders: tuple[Path, ...],
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    htpasswd: Path | None,
    trust: Path | None,
    pub: Path | None,
    decrypt_key: Path | None,
    *,
    overrides: Overrides,
    plain_http: bool,
    access_log: bool,
    as_json: bool,
) -> None:
    """Serve the bundle in FOLDERS as a read-only OCI registry until it is interrupted.

    The signature is verified first, by the rules of verify and import. Every byte is verified while
    it is read: a client never completes what is not as it was signed.
    """
    from bundle.reader import Reader
    from importer.serve.passwords import Passwords
    from importer.serve.server import Server

    address = _address(listen)
    tls = _tls(tls_cert, tls_key)
    _check_open(address[0], tls=tls is not None, plain_http=plain_http)
    passwords = Passwords.load(htpasswd) if htpasswd else None
    if passwords and not tls and not _loopback(address[0]):
        warn("passwords cross the network as plain text")
    media, sealed, trusted = opening.unsealed(folders, trust, pub)
    opening.admission(sealed, overrides).judge()
    reader = Reader(sealed.manifest, media, opening.recipient(sealed, trusted, decrypt_key))
    _check_media(sealed, media, reader)
    with stoppable() as stop:
        catalogue, registry = _registry(reader, stop)
        log = _Log(everything=access_log)
        server = Server(address, registry, tls=tls, passwords=passwords, log=log)
        _say(sealed, catalogue, server, as_json=as_json)
        _run(server, stop)


def _registry(reader: Reader, stop: threading.Event) -> tuple[Catalogue, Registry]:
    from importer.serve import catalogue as catalogues
    from importer.serve.answer import Registry
    from importer.serve.store import Store

    catalogue = catalogues.build(reader.manifest.artifacts)
    for reason in catalogue.left:
        warn(f"not served by a short name: {reason}")
    for name in catalogue.contested:
        warn(f"{name} is of two sources: it is served with the source's host in front alone")
    return catalogue, Registry(catalogue, Store(reader, stop.is_set))


def _check_media(sealed: Sealed, media: Media, reader: Reader) -> None:
    """Look at names, sizes and ends of what is here; what is missing is not served."""
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


def _address(text: str) -> tuple[str, int]:
    match = _LISTEN.fullmatch(text)
    if not match or int(match[3]) > 65535:
        hint = f"write ADDRESS:PORT, as {DEFAULT} or [::1]:5000"
        raise UsageError(f"--listen: not an address and a port: {text!r}", hint=hint)
    return match[1] or match[2], int(match[3])


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_open(host: str, *, tls: bool, plain_http: bool) -> None:
    if tls and plain_http:
        raise UsageError("--plain-http and --tls-cert exclude each other")
    if not tls and not plain_http and not _loopback(host):
        hint = "name a certificate with --tls-cert and --tls-key, or say --plain-http"
        raise UsageError(f"{host} can be reached from other hosts, and there is no TLS", hint=hint)


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    import ssl

    if cert is None or key is None:
        if cert or key:
            raise UsageError("--tls-cert and --tls-key are needed both")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without this, OpenSSL would ask for a passphrase on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        # SSLError is an OSError with a reason of its own.
        reason = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM")
        hint = "both are PEM files, and the key has no passphrase"
        raise UsageError(f"{cert} and {key} cannot be used: {reason.lower()}", hint=hint) from None
    return context


def _say(sealed: Sealed, catalogue: Catalogue, server: Server, *, as_json: bool) -> None:
    names = {name: sorted(catalogue.repositories[name].tags) for name in sorted(catalogue.short)}
    if as_json:
        body = {"bundle": sealed.manifest.name, "manifestDigest": str(sealed.digest)}
        emit({**body, "signers": list(sealed.signers.names), "url": server.url, "tags": names})
    else:
        signers = ", ".join(sealed.signers.names)
        say(f"{sealed.manifest.name}: signed by {signers}, manifest {sealed.digest}")
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
