"""What commands print: names from elsewhere cannot move a cursor, and JSON is always JSON."""

from __future__ import annotations

import json
import os

import pytest

from bundle import options
from bundle.errors import SourceError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("models/é/模型.bin", "models/é/模型.bin"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("back\rover", r"back\rover"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        (os.fsdecode(b"\xff"), r"\udcff"),
    ],
)
def test_names_do_not_move_the_cursor(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options.say(text)
    options.warn(text)
    with pytest.raises(SystemExit) as end:
        options.fail(SourceError(text, hint=text), as_json=False)
    assert end.value.code == 6
    out, err = capsys.readouterr()
    assert out == f"{shown}\n"
    assert err == (
        f"dray: warning: {shown}\ndray: error (low side): {shown}\ndray: hint: {shown}\n"
    )


def test_a_name_that_is_not_utf8_is_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"\xff.bin")
    options.emit({"file": name, "other": "é"})
    out, _err = capsys.readouterr()
    assert json.loads(out.encode()) == {"file": name, "other": "é"}
