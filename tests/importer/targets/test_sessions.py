"""What is kept of uploads to registries between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.sessions import Session
from importer.targets.sessions import FileSessions

if TYPE_CHECKING:
    from pathlib import Path

SESSION = Session("https://harbor.example.com/v2/a/b/blobs/uploads/1?_state=x", 268_435_456)


def test_a_session_comes_back_until_it_is_dropped(tmp_path: Path) -> None:
    sessions = FileSessions(tmp_path / "registry")
    assert sessions.load("one") is None
    sessions.save("one", Session(SESSION.location, 5))
    sessions.save("one", SESSION)
    again = FileSessions(tmp_path / "registry")
    assert (again.load("one"), again.load("two")) == (SESSION, None)
    again.drop("one")
    again.drop("one")
    assert again.load("one") is None
    assert list((tmp_path / "registry").iterdir()) == []


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    sessions = FileSessions(tmp_path / "registry")
    sessions.save("one", SESSION)
    (path,) = (tmp_path / "registry").iterdir()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"location": "https://h.test/x"}',
        '{"location": "https://h.test/x", "offset": -1}',
        '{"location": "https://h.test/x", "offset": "1"}',
        '{"location": "file:///etc/passwd", "offset": 1}',
        '{"location": "https://u:p@h.test/x", "offset": 1}',
        '{"location": "https://h.test/x", "offset": 1, "offset": 2}',
    ],
)
def test_what_cannot_be_a_session_is_none(tmp_path: Path, text: str) -> None:
    sessions = FileSessions(tmp_path)
    sessions.save("one", SESSION)
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert sessions.load("one") is None


def test_a_folder_that_cannot_be_written_costs_only_work(tmp_path: Path) -> None:
    (tmp_path / "registry").write_text("a file")
    sessions = FileSessions(tmp_path / "registry")
    sessions.save("one", SESSION)
    assert sessions.load("one") is None
