"""The scanners that are known: how each is found, asked for its version, and told what to do.

Source: their own help (`trivy image --help` 0.74, `grype --help` 0.121, `syft scan --help` 1.57).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.scan.door import Login

CYCLONEDX, SPDX = FORMATS = ("cyclonedx", "spdx")
SBOM_TYPES = {CYCLONEDX: "application/vnd.cyclonedx+json", SPDX: "application/spdx+json"}
"""The media types of SBOMs, which are the artifact types of their referrers too."""
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")
_BASICS = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
"""What every scanner needs of the environment, for its database among others."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A scanner. ``program`` is its path, ``version`` what it calls itself, maybe nothing."""

    name: str
    program: str
    version: str = ""

    @property
    def reports(self) -> bool:
        """Whether it looks for vulnerabilities; Syft only lists what is there."""
        return self.name != "syft"

    @property
    def report_type(self) -> str:
        """The media type of its reports, in its own form."""
        return f"application/vnd.dray.{self.name}-report.v1+json"

    def writes(self, sbom: str) -> bool:
        """Whether it writes SBOMs of a format; Grype has no SPDX."""
        return not (self.name == "grype" and sbom == SPDX)

    def commands(self, reference: str, folder: Path, sbom: str) -> list[list[str]]:
        """Return what is run, one after the other, to write report.json and sbom.json there.

        None of it quietly: its words are wanted when it fails. ``reference`` is
        ``HOST/REPOSITORY@DIGEST``; ``sbom`` is a format, empty for none.
        """
        report, bom = str(folder / "report.json"), str(folder / "sbom.json")
        if self.name == "trivy":
            whole = ["--format", "json", "--list-all-pkgs", "--scanners", "vuln"]
            made = [self.program, "image", "--no-progress", "--image-src", "remote", *whole]
            made += ["--output", report, reference]
            form = {CYCLONEDX: "cyclonedx", SPDX: "spdx-json"}.get(sbom, "")
            # Out of the report: the image is read once.
            turn = [self.program, "convert", "--format", form, "--output", bom, report]
            return [made, turn] if form else [made]
        target = f"registry:{reference}"
        if self.name == "grype":
            also = ["-o", f"cyclonedx-json={bom}"] if sbom == CYCLONEDX else []
            return [[self.program, target, "-o", f"json={report}", *also]]
        form = {CYCLONEDX: "cyclonedx-json", SPDX: "spdx-json"}[sbom]
        return [[self.program, "scan", target, "-o", f"{form}={bom}"]]

    def environment(self, outer: Mapping[str, str], login: Login, folder: Path) -> dict[str, str]:
        """Return what it gets of the environment: the basics, its own settings, and the login.

        No credential of anybody's: what it scans comes from dray, which has them.
        """
        own = f"{self.name.upper()}_"
        kept = {key: value for key, value in outer.items() if key in _BASICS or key.startswith(own)}
        kept |= {"DOCKER_CONFIG": str(folder), "NO_PROXY": f"{login.address},127.0.0.1"}
        if self.name == "trivy":
            kept |= {"TRIVY_SKIP_VERSION_CHECK": "true", "TRIVY_DISABLE_TELEMETRY": "true"}
            return {**kept, "TRIVY_USERNAME": login.user, "TRIVY_PASSWORD": login.password}
        registry = f"{own}REGISTRY_"
        return {
            **kept,
            f"{registry}AUTH_AUTHORITY": login.address,
            f"{registry}AUTH_USERNAME": login.user,
            f"{registry}AUTH_PASSWORD": login.password,
            f"{registry}INSECURE_USE_HTTP": "true",
            f"{own}CHECK_FOR_APP_UPDATE": "false",
        }


NAMES = ("trivy", "grype", "syft")


def check(names: Sequence[str], sbom: str) -> None:
    """Refuse what the scanners cannot do together; raise :class:`UsageError`."""
    if "grype" in names and sbom == SPDX and not {"trivy", "syft"} & set(names):
        raise UsageError("grype writes no SPDX", hint="--sbom cyclonedx, or --with syft beside it")
    if "syft" in names and not sbom:
        raise UsageError("syft makes nothing but SBOMs", hint="leave --sbom none out")


def find(name: str, path: Path | None) -> str:
    """Return the program of a scanner: ``path``, a file or a folder with it, or on PATH.

    Raises :class:`UsageError` when it is not there.
    """
    if path is None:
        found = shutil.which(name)
    elif path.is_dir():
        found = shutil.which(name, path=str(path.absolute()))
    else:
        found = str(path.absolute()) if os.access(path, os.X_OK) and path.is_file() else None
    if not found:
        where = f"{path} is no program" if path else f"there is no {name} on PATH"
        raise UsageError(where, hint=f"install {name}, or name it with --scanner-path FILE")
    return found


def version_of(text: str) -> str:
    """Return the version in what a program says of itself, or nothing."""
    match = _VERSION.search(text[:2000])
    return match[0][:60] if match else ""
