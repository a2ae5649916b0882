"""The options that commands of the high side share."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from bundle.options import FILE, option

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., object])


def policy_option(function: F) -> F:
    """Add ``--policy``."""
    added: F = option(
        "--policy",
        type=FILE,
        help="Policy file: whose signatures must be on what, and which gates it must pass.",
    )(function)
    return added


def quarantine_option(function: F) -> F:
    """Add ``--quarantine``."""
    added: F = option(
        "--quarantine",
        default="",
        metavar="NAME",
        help="Put everything into this project (of a Harbor) or below this name, for `dray promote`"
        " [default: what the target file says].",
    )(function)
    return added


def override_options(function: Callable[..., None]) -> Any:
    """Add the options that let a rule be, for a reason that goes into the ledger."""

    @wraps(function)
    def with_reasons(
        *arguments: Any, allow_rollback: str, allow_expired: str, **named: Any
    ) -> None:
        from importer.admission import Overrides

        mirror = named.pop("ignore_mirror", "").strip()
        reasons = Overrides(allow_rollback.strip(), allow_expired.strip(), mirror)
        function(*arguments, overrides=reasons, **named)

    rollback = option(
        "--allow-rollback",
        default="",
        metavar="REASON",
        help="Accept a bundle that is older than the last one.",
    )
    expired = option(
        "--allow-expired", default="", metavar="REASON", help="Accept an expired bundle."
    )
    return rollback(expired(with_reasons))


decrypt_option = option(
    "--decrypt-key", type=FILE, help="Private key (PEM) that opens the chunks, if encrypted."
)
