"""How every command ends: one message, a hint, an exit code; never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from bundle import cli, errors
from bundle.errors import EXIT_CODES, DrayError
from bundle.options import command, emit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that does as the test says: code, standard output, standard error."""

    def started(does: Callable[[], object], *arguments: str) -> tuple[int, str, str]:
        @command("do")
        def do(*, as_json: bool) -> None:
            """Do it."""
            does()

        group = click.Group("dray", commands=[do])
        monkeypatch.setattr(cli, "build", lambda: group)
        monkeypatch.setattr(sys, "argv", ["dray", "do", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return started


def raises(error: BaseException) -> Callable[[], object]:
    def does() -> None:
        raise error

    return does


KINDS = [
    (errors.DrayError, 1),
    (errors.UsageError, 2),
    (errors.VerificationError, 3),
    (errors.MediaIncomplete, 4),
    (errors.NotTrusted, 5),
    (errors.SourceError, 6),
    (errors.NotFound, 6),
    (errors.TargetError, 6),
    (errors.GateRefused, 7),
    (errors.PartlyDone, 8),
]


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_every_failure_has_its_exit_code_its_message_and_its_hint(
    run: Run, kind: type[DrayError], code: int
) -> None:
    found, out, err = run(raises(kind("it broke", hint="mend it")))
    side = f" ({kind.side})" if kind.side else ""
    assert (found, out) == (code, "")
    assert err == f"dray: error{side}: it broke\ndray: hint: mend it\n"


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_machines_get_one_object_with_the_error(run: Run, kind: type[DrayError], code: int) -> None:
    found, out, err = run(raises(kind("it broke", hint="mend it")), "--json")
    assert found == code
    assert json.loads(out) == {
        "error": {"kind": kind.kind, "exitCode": code, "message": "it broke", "hint": "mend it"}
    }
    assert "it broke" in err


def test_every_exit_code_is_in_the_help() -> None:
    for _kind, code in KINDS:
        assert f"{code} " in EXIT_CODES


def test_a_variable_asks_for_json_as_the_option_does(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_JSON", "true")
    _code, out, _err = run(raises(errors.UsageError("it broke")))
    assert json.loads(out)["error"]["message"] == "it broke"


def test_a_command_that_printed_its_object_prints_no_second_one(run: Run) -> None:
    def does() -> None:
        emit({"done": 1})
        raise errors.PartlyDone("not all")

    code, out, err = run(does, "--json")
    assert (code, json.loads(out)) == (8, {"done": 1})
    assert "not all" in err


def test_what_nobody_expected_is_no_traceback(run: Run) -> None:
    code, _out, err = run(raises(ZeroDivisionError("by zero")))
    assert code == 1
    assert "dray: error: unexpected: ZeroDivisionError: by zero" in err
    assert "DRAY_DEBUG=1" in err
    assert "Traceback" not in err


def test_who_debugs_gets_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(raises(ZeroDivisionError()))


@pytest.mark.parametrize(
    "text",
    [
        "Max retries exceeded with url: /blob?X-Amz-Signature=SECRET&X-Amz-Date=1 (Caused by x)",
        "GET https://user:SECRET@up.example/a failed",
        "bad response for https://up.example/file?token=SECRET",
    ],
)
def test_an_unexpected_error_tells_no_secret(run: Run, text: str) -> None:
    _code, out, err = run(raises(RuntimeError(text)), "--json")
    assert "SECRET" not in out + err
    assert "unexpected: RuntimeError" in err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_an_interrupt_ends_quietly(run: Run, error: BaseException) -> None:
    code, _out, err = run(raises(error))
    assert code == 8
    assert err.strip() == "dray: interrupted"


def test_a_bad_option_is_usage_for_people_and_for_machines(run: Run) -> None:
    code, out, err = run(lambda: None, "--nope")
    assert (code, out) == (2, "")
    assert "Usage: dray do" in err
    code, out, err = run(lambda: None, "--nope", "--json")
    assert code == 2
    assert json.loads(out)["error"]["kind"] == "usage"


def dray(*arguments: str, cwd: Path, **streams: object) -> subprocess.CompletedProcess[str]:
    code = "from bundle.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environment,
        text=True,
        check=False,
        **streams,
    )


def test_help_lists_the_commands_in_the_order_of_their_use(isolated: Path) -> None:
    done = dray("--help", cwd=isolated, capture_output=True)
    assert done.returncode == 0
    assert "Exit codes:" in done.stdout
    places = [done.stdout.index(f"\n  {name} ") for name in ("init", "lock", "export", "import")]
    assert places == sorted(places)


def test_a_reader_that_goes_away_is_no_error_to_talk_about(isolated: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = dray("--help", cwd=isolated, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
