"""Around an import: what refuses it or ends it early goes into the ledger and into a receipt."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bundle.errors import DrayError
from bundle.options import emit, say, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.session import Session


@contextmanager
def on_record(run: Session, *, as_json: bool) -> Iterator[None]:
    """Put on record what the import ends with, and let it out: its exit code stays what it is.

    A record that cannot be written is warned of: it must not hide why the bundle was refused.
    """
    from importer.receipts.ending import RECORDED  # noqa: PLC0415  (not for --help)

    try:
        yield
    except RECORDED as error:
        try:
            run.turn_away(error)
        except DrayError as other:
            warn(f"this is not on record: {other.message}")
        _tell(run, error, as_json=as_json)
        raise


def _tell(run: Session, error: DrayError, *, as_json: bool) -> None:
    scribe = run.scribe
    if scribe.written is None:
        return
    if as_json:
        emit({"receipt": scribe.told(), "error": error.to_dict()})
    else:
        say(scribe.line())
