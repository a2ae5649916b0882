"""What is renamed in a folder outlives a crash, where the file system can do that."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from bundle.durable import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def _failing(number: int) -> object:
    def fsync(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_syncs_no_folders_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", _failing(number))
    sync_folder(tmp_path)


def test_a_medium_that_fails_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_folder(tmp_path)
