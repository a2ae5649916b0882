"""Opens the bundle that a command is about: its signature, its key, and whether it may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.options import ask, find_trust, warn

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.envelope import Recipient
    from bundle.media import Media
    from bundle.trust import Trust
    from bundle.unseal import Sealed
    from importer.admission import Admission, Overrides
    from importer.option import Decryption


def unsealed(
    folders: tuple[Path, ...], trust: Path | None, pub: Path | None
) -> tuple[Media, Sealed, Trust]:
    """Return the bundle's files, its manifest once its signature was verified, and whom that is by.

    Raises as :func:`bundle.unseal.unseal` and :func:`bundle.options.find_trust`.
    """
    from bundle import instant
    from bundle.media import Media
    from bundle.unseal import unseal
    from importer.trust.notice import newer

    media = Media.find(folders)
    trusted = find_trust(trust, pub, media.folders, folders)
    if told := newer(media, trusted):
        warn(told)
    return media, unseal(media, trusted, instant.now()), trusted


def recipient(sealed: Sealed, trusted: Trust, decryption: Decryption) -> Recipient | None:
    """Return the key that opens the chunks; a passphrase is asked for only when they are closed.

    Raises :class:`bundle.errors.UsageError` for a key, or a command, that opens nothing.
    """
    if decryption.is_empty or not sealed.manifest.recipients:
        return None
    if decryption.command:
        return _decryptor(trusted, decryption)
    assert decryption.key is not None  # one of the two is there  # noqa: S101
    from bundle.secretfile import DECRYPTION, Passphrase
    from importer import decryptkey

    passphrase = Passphrase(ask=ask, variable=DECRYPTION)
    key, warning = decryptkey.load(decryption.key, trusted, passphrase=passphrase)
    if warning:
        warn(warning)
    return key


def _decryptor(trusted: Trust, decryption: Decryption) -> Recipient:
    from bundle.keycommand import Command
    from importer import decryptor

    command = Command.parse(decryption.command, decryption.timeout, role=decryptor.ROLE)
    return decryptor.load(command, decryption.pub, trusted)


def admission(sealed: Sealed, overrides: Overrides) -> Admission:
    """Return the bundle at the door of this host, whose ledger knows what came before."""
    from importer.admission import Admission
    from importer.ledger.book import Ledger

    return Admission(sealed, Ledger.open(), overrides, warn)
