"""A spec against the emulated NGC, with a key of choice, and what the doctor says of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundler import spec
from bundler.doctor.run import Examination
from bundler.resolve import Upstreams

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from bundle.digest import Digest
    from bundler.doctor.findings import Finding, Report
    from fixtures.ngc import Catalogue, EmulatedNgc

CUDA = "nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04"
DETECTOR = "nvcr.io/abc123xyz/vision/detector:1.0"
NIM = "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0"
OLD_NIM = "nvcr.io/nim/meta/llama3-8b-instruct:1.0.0"
CITRINET = "nvidia/riva/speechtotext_en_us_citrinet_1024_gamma_0_25"
WEIGHTS = "abc123xyz/vision/detector_weights:1.0"
LLAMA = "nim/meta/llama3-8b-instruct:hf"
GPU_OPERATOR = "{repo: https://helm.ngc.nvidia.com/nvidia, name: gpu-operator, version: v25.3.0}"
PRIVATE_CHART = (
    "{repo: https://helm.ngc.nvidia.com/abc123xyz/vision, name: llm-stack, version: 1.0.0}"
)


@dataclass
class Ward:
    """The emulated NGC and this host's set-up, both to be broken by a test."""

    ngc: EmulatedNgc
    home: Path
    monkeypatch: pytest.MonkeyPatch
    key_file: Path | None = None
    require_auth: bool = False
    to: tuple[Path, ...] = ()
    locked: dict[str, Digest] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    """Entries of ``registries:`` in place of those of the emulator."""

    @property
    def catalogue(self) -> Catalogue:
        return self.ngc.catalogue

    def key(self, name: str) -> str:
        """Set the key of this name, or none."""
        self.monkeypatch.delenv("NGC_API_KEY", raising=False)
        if not name:
            return ""
        secret = self.catalogue.keys[name].secret
        self.monkeypatch.setenv("NGC_API_KEY", secret)
        return secret

    def config(self, text: str) -> Path:
        """Write NGC's configuration file."""
        file = self.home / ".ngc" / "config"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def registries(self) -> str:
        known: Mapping[str, str] = {
            host: f'{{endpoint: "{entry["endpoint"]}", ca: "{entry["ca"]}"}}'
            for host, entry in self.ngc.registries.items()
        } | self.own
        return "".join(f'  "{host}": {entry}\n' for host, entry in known.items())

    def spec_text(self, **entries: str) -> str:
        """Return a spec; each keyword is a list of the spec, one entry a line."""
        rows = ["apiVersion: dray/v1", "stream: example", "nodes: {os: [ubuntu22.04]}"]
        for key, lines in entries.items():
            rows += [f"{key}:", *(f"  - {line}" for line in lines.splitlines())]
        return "\n".join(rows) + "\nregistries:\n" + self.registries()

    def examine(self, **entries: str) -> Report:
        """Return what the doctor finds; he never waits."""
        loaded = spec.parse(self.spec_text(**entries).encode(), self.home / "dray.yaml")
        upstreams = Upstreams(
            loaded, lambda _text: None, self.key_file, self.require_auth, retries=1
        )
        upstreams.http.sleep = lambda _seconds: None
        try:
            return Examination(loaded, upstreams, self.locked, self.to).run()
        finally:
            upstreams.close()


def text_of(finding: Finding) -> str:
    """Return what people read of a finding."""
    return f"{finding.message} {finding.hint}"


def of(report: Report, item: str, check: str = "") -> list[Finding]:
    """Return the findings about an item that is called so, or in part."""
    return [
        finding
        for finding in report.findings
        if item in f"{finding.group} {finding.item}" and check in {"", finding.check}
    ]


def everything(report: Report) -> str:
    """Return all that is said, for what must not be in it."""
    return repr(report) + "".join(text_of(finding) for finding in report.findings)


def secrets(catalogue: Catalogue) -> list[str]:
    """Return what must never be printed."""
    found = [key.secret for key in catalogue.keys.values()]
    return found + [value for name, value in os.environ.items() if name.endswith("API_KEY")]
