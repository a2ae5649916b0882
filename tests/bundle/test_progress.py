"""Progress is for people: on a terminal only, and in their units."""

from __future__ import annotations

import io
import threading
from contextlib import redirect_stderr
from typing import Any

import pytest
import tqdm

from bundle.progress import bar, counted, human


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_label_share_and_amount() -> None:
    with redirect_stderr(Terminal()) as terminal, bar(2_000_000, "exporting") as advance:
        advance(500_000)
    assert "exporting" in terminal.getvalue()
    assert "/2.00M" in terminal.getvalue()


def test_bytes_come_from_any_thread_and_may_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tqdm.tqdm[Any]] = []

    class Watched(tqdm.tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            drawn.append(self)

    monkeypatch.setattr(tqdm, "tqdm", Watched)
    with redirect_stderr(Terminal()), bar(80_000, "exporting") as advance:

        def work() -> None:
            for _ in range(100):
                advance(100)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        advance(-40_000)
        assert drawn[0].n == 40_000


@pytest.mark.parametrize("quiet", [False, True])
def test_nothing_is_drawn_where_no_person_looks(
    capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    with bar(100, "exporting", quiet=quiet) as advance:
        advance(50)
    assert capsys.readouterr() == ("", "")


def test_a_quiet_run_draws_nothing_on_a_terminal() -> None:
    with redirect_stderr(Terminal()) as terminal, bar(100, "exporting", quiet=True) as advance:
        advance(50)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000_000, "1.5 GB"),
        (2_000_000_000_000_000, "2000.0 TB"),
    ],
)
def test_bytes_are_written_as_people_write_them(count: int, text: str) -> None:
    assert human(count) == text


def test_things_are_counted_in_words() -> None:
    assert [counted(n, "chunk") for n in (0, 1, 2)] == ["0 chunks", "1 chunk", "2 chunks"]
