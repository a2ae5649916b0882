"""OpenSSL's FIPS provider as Debian has it, and a configuration in which nothing else computes."""

from __future__ import annotations

import fcntl
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.servers import debian, programs

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "openssl-provider-fips"
SUITE = "trixie"
"""The first release of Debian that has the package."""

CONFIGURATION = """\
config_diagnostics = 1
openssl_conf = openssl_init
.include {folder}/fipsmodule.cnf

[openssl_init]
providers = provider_sect
alg_section = algorithm_sect

[provider_sect]
fips = fips_sect
base = base_sect

[base_sect]
activate = 1

[algorithm_sect]
default_properties = fips=yes
"""


def environment() -> dict[str, str]:
    """Return the variables with which OpenSSL has the FIPS provider alone; or skip, with why."""
    folder = programs.TOOLS / "fips"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "openssl.cnf").exists():
            try:
                _make(folder)
            except debian.AptError as error:
                pytest.skip(f"{PACKAGE}: {error}")
    return {
        "OPENSSL_CONF": str(folder / "openssl.cnf"),
        "OPENSSL_MODULES": str(_modules(folder)),
        "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1",
    }


def _modules(folder: Path) -> Path:
    (found,) = folder.glob("root/usr/lib/**/ossl-modules")
    return found


def _make(folder: Path) -> None:
    debian.unpack_from(SUITE, PACKAGE, folder, programs.ENVIRONMENT)
    subprocess.run(
        [
            programs.require("openssl"),
            "fipsinstall",
            "-module",
            _modules(folder) / "fips.so",
            "-out",
            folder / "fipsmodule.cnf",
        ],
        check=True,
        capture_output=True,
    )
    text = CONFIGURATION.format(folder=folder)
    assert re.search(r"^\.include /", text, re.MULTILINE)
    (folder / "openssl.cnf").write_text(text)
