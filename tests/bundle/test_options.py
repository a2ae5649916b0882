"""What commands print: names from elsewhere cannot move a cursor, and JSON is always JSON."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from bundle import options
from bundle.errors import NotTrusted, SourceError, UsageError
from tests import keys

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a mounted stick with a bundle and a trust file on it; it is the current folder."""
    folder = tmp_path / "stick"
    (folder / "prod-000001").mkdir(parents=True)
    (folder / "trust.json").write_bytes(keys.trust(keys.signer("alice")).to_bytes())
    monkeypatch.chdir(folder)
    known = options._device
    device = lambda path: 99 if path.resolve().is_relative_to(folder) else known(path)  # noqa: E731
    monkeypatch.setattr(options, "_device", device)
    return folder


def test_a_trust_file_that_came_with_the_bundle_is_not_trusted(stick: Path) -> None:
    with pytest.raises(NotTrusted, match="lies on the medium with the bundle"):
        options.find_trust(None, None, [stick / "prod-000001"])


def test_it_is_trusted_when_somebody_names_it(stick: Path) -> None:
    assert options.find_trust(stick / "trust.json", None, [stick / "prod-000001"]).keys


@pytest.mark.usefixtures("stick")
def test_a_trust_file_here_is_taken_for_a_bundle_elsewhere(tmp_path: Path) -> None:
    assert options.find_trust(None, None, [tmp_path]).keys


def test_a_trust_file_and_a_public_key_are_told_apart(tmp_path: Path) -> None:
    alice = keys.signer("alice")
    (tmp_path / "alice.pub").write_text(alice.public_key.pem)
    (tmp_path / "trust.json").write_bytes(keys.trust(alice).to_bytes())
    with pytest.raises(UsageError, match=r"trust\.json is no public key") as caught:
        options.find_trust(None, tmp_path / "trust.json")
    assert "--trust" in caught.value.hint
    with pytest.raises(UsageError, match=r"alice\.pub is no trust file") as caught:
        options.find_trust(tmp_path / "alice.pub", None)
    assert "--pub" in caught.value.hint
