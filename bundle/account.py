"""As whom the low side asked NGC: what kind of account, never a key or a part of one.

It is what NGC said when the export began, and the word of whoever signed the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from bundle.decode import Fields

SERVICE, PERSONAL, LEGACY, GUEST = "service", "personal", "legacy", "guest"
_HOSTS = ("nvcr.io/", "ngc/", "helm.ngc.nvidia.com/")
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"


@dataclass(frozen=True, slots=True)
class Account:
    """``kind`` is :data:`SERVICE`, :data:`PERSONAL`, :data:`LEGACY`, :data:`GUEST` or NGC's word.

    A service key belongs to an org and to no person. ``org`` is the one that the key was made in,
    ``products`` the services that it is for, as NGC calls them; ``checked`` is when NGC was asked.
    """

    kind: str
    checked: str
    org: str = ""
    products: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the manifest and of receipts."""
        body: dict[str, Any] = {"kind": self.kind, "checked": self.checked}
        body |= {"org": self.org} if self.org else {}
        return body | ({"products": list(self.products)} if self.products else {})

    @classmethod
    def read(cls, fields: Fields) -> Account:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            kind=fields.text("kind", pattern=r"[a-z][a-z0-9_-]{0,39}"),
            checked=fields.text("checked", pattern=_TIME),
            org=fields.text("org", "", limit=255),
            products=fields.texts("products"),
        )


def is_of_ngc(artifact: Artifact) -> bool:
    """Whether an artifact comes from NGC, by its name."""
    return artifact.name.startswith(_HOSTS) or artifact.repository.startswith(_HOSTS)
