"""Asks NGC as whom it is asked, for the record that a bundle carries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle import instant
from bundle.account import GUEST, Account, is_of_ngc
from bundle.errors import DrayError
from bundler.sources import ngc_caller

if TYPE_CHECKING:
    from bundler.lock import Lock
    from bundler.resolve import Upstreams

_KIND = r"[a-z][a-z0-9_-]{0,39}"


def of(upstreams: Upstreams, lock: Lock) -> Account | None:
    """Return the account of an export, None where nothing is of NGC, or where NGC cannot be asked.

    An export does not fail over it: what cannot be pulled fails by itself, and says more.
    """
    if not any(is_of_ngc(locked.artifact) for locked in lock.artifacts):
        return None
    checked = instant.spell(instant.now())
    try:
        if not upstreams.keys.known().key:
            return Account(GUEST, checked)
        caller = ngc_caller.ask(upstreams.http, upstreams.authorization)
    except DrayError as error:
        upstreams.warn(f"the bundle does not say whose key it was pulled with: {error.message}")
        return None
    if caller.rejected or not re.fullmatch(_KIND, caller.kind):
        return None
    return Account(caller.kind, checked, caller.org[:255], tuple(caller.products or ()))
