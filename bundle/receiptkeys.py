"""The trust file's ``receipts``: whose receipts of imports the low side believes, by site.

These keys stand apart from those that sign: whoever vouches for what arrived must not be able to
vouch for what is sent. Format: ``schemas/README.md``, "Trust file".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle import signature
from bundle.errors import NotTrusted, UsageError
from bundle.signature import SIGNER, PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields

MAX_KEYS = 64


@dataclass(frozen=True, slots=True)
class ReceiptKeys:
    """Public keys of high sides, by name. ``sites`` says whose a key is, by the key's name.

    A key that ``sites`` lacks is of a site of its own name. Two keys of one site are there while a
    key is being replaced by the next.
    """

    keys: Mapping[str, PublicKey] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)

    def site(self, key: PublicKey) -> str:
        """Return the site that a key is of; empty for a key that is none of these."""
        name = next((name for name, known in self.keys.items() if known == key), "")
        return self.sites.get(name, name)

    def require(self) -> Mapping[str, PublicKey]:
        """Return the keys; raise :class:`NotTrusted` when there are none."""
        if not self.keys:
            raise NotTrusted(
                "the trust file names no key that signs receipts",
                hint="dray trust add receipt.pub --receipts --name SITE; or name one: "
                "--receipt-pub receipt.pub",
            )
        return self.keys

    def to_list(self) -> list[dict[str, str]]:
        """Return the list of the trust file."""
        return [
            {"name": name, "pem": key.pem}
            | ({"site": site} if (site := self.sites.get(name, "")) else {})
            for name, key in self.keys.items()
        ]

    def add(self, name: str, key: PublicKey, site: str = "") -> ReceiptKeys:
        """Return them with one more; raise :class:`UsageError` for a name or key that is there."""
        for other, known in self.keys.items():
            if other == name or known == key:
                raise UsageError(
                    f"{other!r} is a key for receipts in the trust file already",
                    hint="give another name with --name; a key has one",
                )
        sites = {**self.sites, **({name: site} if site else {})}
        return ReceiptKeys({**self.keys, name: key}, sites)

    def without(self, name: str) -> ReceiptKeys:
        """Return them without the key of this name."""
        keys = {other: key for other, key in self.keys.items() if other != name}
        return ReceiptKeys(keys, {k: site for k, site in self.sites.items() if k != name})


def read(fields: Fields, signing: Mapping[str, PublicKey]) -> ReceiptKeys:
    """Read ``receipts`` of a trust file; ``signing`` are its other keys, none of which may be here.

    Raises what ``fields`` raises.
    """
    found, sites = ReceiptKeys(), {}
    for item in fields.objects("receipts"):
        name, key = item.text("name", pattern=SIGNER), read_key(item)
        for other, known in {**signing, **found.keys}.items():
            if other == name:
                raise item.wrong("name", f"{name!r} is there twice")
            if known == key:
                hint = "whoever signs receipts signs nothing else, and has one name"
                raise item.wrong("pem", f"is the key of {other!r} again", hint)
        if "site" in item:
            sites[name] = item.text("site", pattern=SIGNER)
        item.done(("name", "pem", "site"))
        found = ReceiptKeys({**found.keys, name: key}, sites)
    if len(found.keys) > MAX_KEYS:
        raise fields.wrong("receipts", f"has more than {MAX_KEYS} keys")
    return found


def read_key(item: Fields) -> PublicKey:
    """Read a public key of a trust file, in PEM."""
    pem = item.text("pem", limit=signature.MAX_PEM)
    try:
        return PublicKey.from_pem(pem, what="the key")
    except UsageError as error:
        raise item.wrong("pem", f"{error.message}", error.hint) from None
