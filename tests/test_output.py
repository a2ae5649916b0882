"""What the commands print: one JSON object whatever happens, and media in a line each."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bundle.cli import main
from bundler import countersign
from tests import factory, keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle

MEDIA = (150_000, 150_000)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return factory.build(tmp_path / "made", media=MEDIA)


@pytest.fixture
def dray(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["dray", *map(str, words)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int)
        return code, capsys.readouterr().out

    return run


def test_a_bad_byte_is_one_object_with_its_error(bundle: Bundle, dray: Any) -> None:
    chunk = bundle.chunk(1)
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    code, said = dray("verify", *bundle.folders, "--trust", bundle.trust, "--json")
    report = json.loads(said)
    assert (code, report["ok"], report["error"]["exitCode"]) == (3, False, 3)
    assert report["bad"][0]["file"] == str(chunk)


def test_an_expired_bundle_is_not_ok(tmp_path: Path, dray: Any) -> None:
    bundle = factory.build(tmp_path / "made", media=MEDIA, lifetime=-factory.YEAR)
    code, said = dray("verify", *bundle.folders, "--trust", bundle.trust, "--json")
    report = json.loads(said)
    assert (code, report["ok"], report["bad"]) == (5, False, [])
    assert "expired" in report["error"]["message"]


def test_a_failure_before_any_report_is_one_object_too(
    bundle: Bundle, dray: Any, tmp_path: Path
) -> None:
    # In one process, after a command that has printed its object.
    assert dray("verify", *bundle.folders, "--trust", bundle.trust, "--json")[0] == 0
    code, said = dray("verify", tmp_path / "nowhere", "--trust", bundle.trust, "--json")
    assert json.loads(said)["error"]["exitCode"] == code == 2


def test_an_import_that_fails_is_one_object(bundle: Bundle, dray: Any, tmp_path: Path) -> None:
    chunk = bundle.chunk(1)
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    words = ["--to", tmp_path / "warehouse", "--trust", bundle.trust, "--json"]
    code, said = dray("import", *bundle.folders, *words)
    outcome = json.loads(said)
    assert (code, outcome["error"]["exitCode"], outcome["published"]) == (3, 3, [])


def test_what_is_missing_is_one_line_for_each_medium(bundle: Bundle, dray: Any) -> None:
    there, away = bundle.folders
    shutil.move(away, away.with_name("away"))
    count = len(bundle.manifest.media[1].chunks)
    code, said = dray("verify", there, "--trust", bundle.trust)
    assert code == 4
    assert said.count("MISSING") == 1
    assert f"MISSING medium 2 of 2: {count} of {count} chunk" in said
    assert f"verified: {len(bundle.manifest.media[0].chunks)} of " in said


def test_a_second_signature_is_the_same_on_every_medium(bundle: Bundle) -> None:
    root = bundle.folders[0].parent
    written = countersign.add(countersign.read(root, bundle.trust, None), keys.signer("second"))
    assert sorted(path.parent for path in written) == sorted(bundle.folders * 2)
    for name in {path.name for path in written}:
        assert len({(folder / name).read_bytes() for folder in bundle.folders}) == 1
