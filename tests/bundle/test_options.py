"""What commands print: names from elsewhere cannot move a cursor, and JSON is always JSON."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from bundle import options
from bundle.errors import NotTrusted, SourceError, UsageError
from tests import keys


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("models/é/模型.bin", "models/é/模型.bin"),
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
    out, err = printed(text, capsys)
    assert out == f"{shown}\n"
    assert err == (
        f"dray: warning: {shown}\ndray: error (low side): {shown}\ndray: hint: {shown}\n"
    )


def test_a_name_of_two_lines_cannot_pass_for_a_line_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, err = printed("a\ndray: verified\n  b\n\nc", capsys)
    assert out == "a\\ndray: verified\\n  b\\n\\nc\n"
    two = "a\n  dray: verified\n  b\n\n  c"
    assert err == f"dray: warning: {two}\ndray: error (low side): {two}\ndray: hint: {two}\n"


def printed(text: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    options.say(text)
    options.warn(text)
    with pytest.raises(SystemExit) as end:
        options.fail(SourceError(text, hint=text), as_json=False)
    assert end.value.code == 6
    return tuple(capsys.readouterr())  # type: ignore[return-value]  # (two texts)


def test_json_that_is_looked_at_on_a_terminal_does_not_move_the_cursor_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = {"\x9bname": "\u202egnp.exe \x7f\x1b[2J \u2028 \U000e0001 é 模型\n"}
    options.emit(document)
    out, _err = capsys.readouterr()
    assert json.loads(out) == document
    assert out.replace("\n", "").isprintable()
    assert "é 模型" in out


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


def test_nor_is_one_that_was_copied_with_the_bundle_to_this_disk(stick: Path) -> None:
    copied = stick.parent / "copied"
    shutil.copytree(stick, copied)
    os.chdir(copied)
    for named in (copied, Path(), Path("../copied")):
        with pytest.raises(NotTrusted, match="lies on the medium with the bundle"):
            options.find_trust(None, None, [copied / "prod-000001"], [named])
    assert options.find_trust(None, None, [copied / "prod-000001"], [Path("prod-000001")]).keys


def test_nor_is_one_that_a_link_on_the_medium_leads_to(stick: Path) -> None:
    (stick / "deeper").mkdir()
    (stick / "trust.json").rename(stick / "deeper/trust.json")
    (stick / "trust.json").symlink_to("deeper/trust.json")
    with pytest.raises(NotTrusted, match="lies on the medium with the bundle"):
        options.find_trust(None, None, [stick / "prod-000001"])


@pytest.mark.parametrize(("mode", "above", "owner"), [(0o666, 0o755, 0), (0o644, 0o1777, 4711)])
def test_nor_is_one_that_anybody_may_have_put_there(
    mode: int,
    above: int,
    owner: int,
    tmp_path: Path,
    stick: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (stick / "trust.json").chmod(mode)
    stick.chmod(above)
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    if owner and not os.getuid():
        os.chown(stick / "trust.json", 815, 815)
    with pytest.raises(NotTrusted, match="may be anybody's"):
        options.find_trust(None, None, [tmp_path])
    assert options.find_trust(stick / "trust.json", None, [tmp_path]).keys
