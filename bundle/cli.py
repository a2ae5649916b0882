"""The command `dray`: one group, to which each installed side adds its commands."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from importlib.util import find_spec

import click

import bundle
from bundle.errors import EXIT_CODES, DrayError, UsageError
from bundle.options import begin, emit, fail, merge

_ON = frozenset({"1", "true", "t", "yes", "y", "on"})
SIDES = {
    "Low side": ("init", "adopt", "doctor", "lock", "scan", "export", "sign", "policy"),
    "High side": (
        "verify",
        "import",
        "promote",
        "checklist",
        "relocate",
        "repair",
        "serve",
        "status",
        "ledger",
        "harbor",
    ),
    "Either side": ("inspect", "keygen", "trust", "receipt", "kit"),
}
"""Where each command is used, in the order of use."""
ORDER = [name for names in SIDES.values() for name in names]


class Group(click.Group):
    """Lists the commands by side, in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of use; those of no side come last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: (name not in ORDER, *_place(name)))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each side of which there are commands."""
        left = dict.fromkeys(self.list_commands(ctx))
        for side, names in (*SIDES.items(), ("Others", tuple(left))):
            rows = [
                (name, command.get_short_help_str(formatter.width - 14))
                for name in names
                if name in left and (command := self.get_command(ctx, name))
            ]
            for name, _text in rows:
                del left[name]
            if rows:
                with formatter.section(side):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        formatter.write(f"\n{EXIT_CODES}\n")


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else 0, name)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bundle.__version__, prog_name="dray")
def dray() -> None:
    """Carry NVIDIA NGC content across an air gap: pinned, signed, checkable by anyone."""


def build() -> click.Group:
    """Return the group with the commands of every side that is installed."""
    for side in ("bundler", "importer"):
        if find_spec(side) is not None:
            for found in import_module(f"{side}.cli").commands():
                merge(dray, found)
    return dray


def main() -> None:
    """Run the command line; every failure ends here, once."""
    as_json = "--json" in sys.argv or os.environ.get("DRAY_JSON", "").lower() in _ON
    begin()
    try:
        build().main(prog_name="dray", standalone_mode=False)
    except DrayError as error:
        fail(error, as_json=as_json)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("dray: interrupted", err=True)
        sys.exit(8)
    except click.ClickException as error:
        if as_json:
            emit({"error": UsageError(error.format_message()).to_dict()})
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001, RUF100  (the last line of defence: no traceback)
        if os.environ.get("DRAY_DEBUG"):
            raise
        name = type(error).__name__
        hint = "set DRAY_DEBUG=1 and run again for the details to report"
        fail(
            DrayError(f"unexpected: {name}: {_without_secrets(error)}", hint=hint), as_json=as_json
        )


def _without_secrets(error: Exception) -> str:
    """Return the text of an error that nobody of dray wrote: a URL in it may be signed."""
    text = re.sub(r"(://)[^/\s@]*@", r"\1", str(error))
    return re.sub(r"\?[^\s'\")]*[=&][^\s'\")]*", "?…", text)
