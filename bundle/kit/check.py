"""Verifies a kit: whose signatures count for one, every byte, and whether it goes back in time."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.digest import BLOCK, Digest
from bundle.errors import MediaIncomplete, NotTrusted, UsageError, VerificationError
from bundle.kit.document import MAX_BYTES, KitDocument, is_name, read
from bundle.kit.versions import older
from bundle.media import SIGNATURE_LIMIT, Media, litter, read_at
from bundle.quorum import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from bundle.kit.document import Pinned
    from bundle.quorum import Signers
    from bundle.trust import Trust, Verified

STREAM = "dray-kit"
"""The stream of a trust file whose keys sign kits; where there is none, the root role does."""
_COPY = "copy this file again from the low side"


@dataclass(frozen=True)
class Checked:
    """A kit that is as it was signed. ``older`` says what in it is older than what runs here."""

    folder: Path
    kit: KitDocument
    digest: Digest
    signers: Signers
    older: tuple[str, ...] = ()


def find(paths: Sequence[Path]) -> list[Path]:
    """Return the folders of kits: those named, and those below a medium's folder."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            what = "is not a folder" if path.exists() else "does not exist"
            raise UsageError(f"{path} {what}", hint="name the folder of the kit")
        inner = [one for one in sorted(path.iterdir()) if is_name(one.name) and one.is_dir()]
        for one in [path] if _documents(path) else inner:
            found[one] = None
        if not inner and not _documents(path):
            raise MediaIncomplete(
                f"no kit in {path}", hint="a kit's folder holds dray-kit-VERSION-PLATFORM.json"
            )
    return list(found)


def check(folder: Path, trust: Trust, now: datetime, installed: Mapping[str, str]) -> Checked:
    """Verify one kit's folder.

    (1) signatures over the document's exact bytes; (2) parse it; (3) count who signed; (4) every
    file that it pins; (5) nothing else is there. ``installed`` are the versions of this host's
    packages. Raises :class:`NotTrusted`, :class:`VerificationError` or :class:`MediaIncomplete`.
    """
    names = _documents(folder)
    if len(names) != 1:
        what = "no document of a kit" if not names else f"{len(names)} documents of kits"
        raise MediaIncomplete(f"{what} in {folder}", hint="a kit has a folder of its own")
    name = names[0].removesuffix(".json")
    media = Media(name, (folder,), {})
    data = media.read(folder / names[0], MAX_BYTES)
    verified = _verified(trust, data, _signatures(media, folder, names[0]), name)
    kit = read(data, what=name)
    if kit.name != name:
        message = f"the files are named {name}, but what was signed is {kit.name}"
        raise VerificationError(message, hint="a kit cannot be renamed: copy it again")
    signers = require(trust, verified, now, name)
    for pinned in kit.files:
        _compare(media, folder / pinned.name, pinned)
    _nothing_else(folder, kit)
    return Checked(folder, kit, Digest.of(data), signers, tuple(older(kit.versions, {**installed})))


def require(trust: Trust, verified: Verified, now: datetime, name: str) -> Signers:
    """Return who signed when they are enough for a kit; raise :class:`NotTrusted`.

    A kit is the program that verifies, so those sign it who decide about trust: the stream
    ``dray-kit`` of the trust file, and where it names none, the root role.
    """
    trust.check_current(now)
    stream = trust.streams.get(STREAM, trust.anywhere) or Stream((trust.root,))
    ballot = trust.ballot(stream.roles, verified)
    if not ballot.is_enough():
        whose = f"the stream {STREAM!r}" if STREAM in trust.streams else "the root role"
        error = ballot.too_few(f"{name}, a kit, which takes {whose},", verified.ignored)
        again = "dray kit make with that key, which makes the same file"
        raise NotTrusted(error.message, hint=error.hint.replace("dray sign DIR", again))
    return ballot.signers(stream.epoch)


def refuse_older(found: Checked, reason: str) -> None:
    """Raise :class:`NotTrusted` for a kit with older packages, unless a reason was given."""
    if found.older and not reason:
        more = f"; and {len(found.older) - 3} more" if len(found.older) > 3 else ""
        raise NotTrusted(
            f"{found.kit.name} is older than what is here: {'; '.join(found.older[:3])}{more}",
            hint="an old kit may bring back holes that were mended; --allow-older REASON takes it",
        )


def _documents(folder: Path) -> list[str]:
    names = (one.name for one in folder.iterdir())
    return sorted(name for name in names if name.endswith(".json") and is_name(name[:-5]))


def _signatures(media: Media, folder: Path, document: str) -> dict[str, bytes]:
    paths = sorted(folder.glob(f"{document}.*.sigstore.json"))
    return {path.name: media.read(path, SIGNATURE_LIMIT) for path in paths[:64]}


def _verified(trust: Trust, data: bytes, signatures: Mapping[str, bytes], name: str) -> Verified:
    try:
        return trust.verified_by(data, signatures)
    except NotTrusted as error:
        hint = error.hint.replace("the manifest", f"{name}.json")
        raise NotTrusted(f"{name}: {error.message}", hint=hint) from None


def _compare(media: Media, path: Path, pinned: Pinned) -> None:
    if not os.path.lexists(path):
        raise MediaIncomplete(f"{path} is missing", hint="copy the kit's whole folder again")
    sha, done = hashlib.sha256(), 0
    with media.open(path) as handle:
        size = os.fstat(handle).st_size
        if size != pinned.size:
            message = f"{path} has {size} bytes, not the {pinned.size} that were signed"
            raise VerificationError(message, hint=_COPY)
        while done < size and (block := read_at(handle, path, min(BLOCK, size - done), done)):
            sha.update(block)
            done += len(block)
    if sha.hexdigest() != pinned.digest.hex:
        raise VerificationError(f"{path} holds other bytes than were signed", hint=_COPY)


def _nothing_else(folder: Path, kit: KitDocument) -> None:
    known = {f"{kit.name}.json", *(file.name for file in kit.files)}
    for path in sorted(folder.iterdir()):
        signature = path.name.startswith(f"{kit.name}.json.") and path.suffix in {".sig", ".json"}
        if path.name not in known and not litter(path.name) and not signature:
            shown = path if str(path).isprintable() else ascii(str(path))
            raise VerificationError(f"{shown} is not of the kit", hint="remove it, or copy it anew")
