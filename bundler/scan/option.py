"""The options of a scan, and what they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import UsageError
from bundle.options import option

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from bundler.lock import Lock
    from bundler.resolve import Upstreams
    from bundler.scan.run import Row
    from bundler.scan.tools import Tool
    from bundler.spec import Spec

DEFAULTS = ("trivy", "grype")
"""What is looked for on PATH when nobody named a scanner, in this order."""
_ANY = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the options say. ``sbom`` is a form, ``none``, or empty: not said."""

    names: tuple[str, ...] = ()
    sbom: str = ""
    path: Path | None = None
    seconds: int = 0

    def of(self, spec: Spec) -> Chosen:
        """Return the options with what the spec says where they say nothing; no SBOM is empty."""
        sbom = "" if self.sbom == "none" else self.sbom or spec.scans.sbom
        return replace(self, names=self.names or spec.scans.tools, sbom=sbom)

    def tools(self, stop: threading.Event) -> list[Tool]:
        """Return the scanners, each asked for its version.

        Raises :class:`UsageError` for one that is not there, and
        :class:`bundle.errors.ScannerError` for one that does not say.
        """
        import shutil  # noqa: PLC0415

        from bundler.scan import tools  # noqa: PLC0415  (not for --help)
        from bundler.scan.run import ask_version  # noqa: PLC0415

        names = self.names or tuple(name for name in DEFAULTS if shutil.which(name))[:1]
        if not names:
            raise UsageError(
                "there is no scanner on PATH: neither trivy nor grype",
                hint="install one, or name it: --with trivy --scanner-path FILE",
            )
        if self.path and len(names) > 1 and not self.path.is_dir():
            raise UsageError(
                f"{self.path} is one program, and {len(names)} scanners are named",
                hint="name the folder that holds them",
            )
        tools.check(names, self.sbom)
        found = {name: tools.find(name, self.path) for name in dict.fromkeys(names)}
        return [ask_version(name, path, self.seconds, stop) for name, path in found.items()]

    def scan(
        self,
        lock: Lock,
        spec: Spec,
        upstreams: Upstreams,
        stop: threading.Event,
        tell: Callable[[Row], object],
        *,
        missing: bool,
    ) -> Lock:
        """Scan the images of a lock; write the lock and its documents, and return it."""
        from bundler import kept, locked  # noqa: PLC0415  (not for --help)
        from bundler.finish import put  # noqa: PLC0415
        from bundler.scan.run import Scan  # noqa: PLC0415

        chosen = self.of(spec)
        run = Scan(
            spec.path,
            chosen.tools(stop),
            upstreams.opener,
            chosen.sbom,
            self.seconds,
            stop,
            tell,
            missing=missing,
        )
        made = run.run(lock)
        if made != lock:
            put(locked.lock_path(spec.path), made.text)
            contents = [item for one in made.artifacts for item in one.contents]
            kept.sweep(spec.path, {i.content.digest.hex for i in contents if i.kept})
        return made


def scanner_options(flag: str, words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds ``flag`` and what belongs to it; the command takes ``scan``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def chosen(
            *arguments: Any,
            scanners: tuple[str, ...],
            sbom: str | None,
            scanner_path: Path | None,
            scan_timeout: int,
            **named: Any,
        ) -> Any:
            made = Chosen(scanners, sbom or "", scanner_path, scan_timeout)
            return function(*arguments, scan=made, **named)

        for add in reversed(_options(flag, words)):
            chosen = add(chosen)
        return chosen

    return decorate


def _options(flag: str, words: str) -> tuple[Callable[[Any], Any], ...]:
    return (
        option(
            flag,
            "scanners",
            type=click.Choice(["trivy", "grype", "syft"]),
            multiple=True,
            help=words,
        ),
        option(
            "--sbom",
            type=click.Choice(["cyclonedx", "spdx", "none"]),
            help="The form of the SBOM that goes along [default: the spec's, or cyclonedx].",
        ),
        option(
            "--scanner-path",
            type=_ANY,
            help="The scanner's program, or a folder with several [default: on PATH].",
        ),
        option(
            "--scan-timeout",
            type=click.IntRange(1, 86400),
            default=1800,
            show_default=True,
            metavar="SECONDS",
            help="What a scanner may take for one image.",
        ),
    )
