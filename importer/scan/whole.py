"""A whole bundle scanned where it lies, for verify: nothing is sent anywhere but to clamd."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bundle.errors import DrayError
from bundle.progress import bar
from bundle.required import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.chunks import StoredBlob
    from bundle.reader import Reader
    from importer.scan.scanner import Scanner

WORKERS = 2


def whole(scanner: Scanner, reader: Reader, *, quiet: bool) -> DrayError | None:
    """Scan every blob that the bundle has, and return why it cannot come in, the worst first.

    A delta's other blobs are at the target, and no business of a medium's.
    """
    here = [blob for blob in reader.manifest.blobs if blob.encoding != REQUIRED]
    total = sum(blob.size for blob in here)
    with bar(total, "scanning", quiet=quiet) as on_bytes, ThreadPoolExecutor(WORKERS) as pool:

        def look(blob: StoredBlob) -> DrayError | None:
            return _look(scanner, reader, blob, on_bytes)

        errors = [error for error in pool.map(look, here) if error]
    return min(errors, key=lambda error: error.case != "malware", default=None)


def _look(
    scanner: Scanner, reader: Reader, blob: StoredBlob, on_bytes: Callable[[int], object]
) -> DrayError | None:
    try:
        scanner.conclude(reader.blob(blob.digest), None)
    except DrayError as error:
        return error
    on_bytes(blob.size)
    return None
