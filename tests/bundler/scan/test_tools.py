"""What a scanner is told, and what it may know of its surroundings."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.errors import UsageError
from bundler.scan import tools
from bundler.scan.door import Login
from bundler.scan.tools import Tool

LOGIN = Login("127.0.0.1:5000", "dray", "s3cret")
OUTER = {
    "PATH": "/usr/bin",
    "HOME": "/home/a",
    "HTTPS_PROXY": "http://proxy:3128",
    "NGC_API_KEY": "hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "DRAY_KEY_PASSPHRASE": "hunter2",
    "TRIVY_CACHE_DIR": "/cache/trivy",
    "GRYPE_DB_CACHE_DIR": "/cache/grype",
    "NO_PROXY": "example.com",
}


@pytest.mark.parametrize("name", tools.NAMES)
def test_it_gets_what_is_its_own_and_no_secret_of_others(name: str) -> None:
    made = Tool(name, f"/bin/{name}").environment(OUTER, LOGIN, Path("/work"))
    assert "hunter2" not in made.values()
    assert (made["PATH"], made["HTTPS_PROXY"]) == ("/usr/bin", "http://proxy:3128")
    assert ("TRIVY_CACHE_DIR" in made) == (name == "trivy")
    assert ("GRYPE_DB_CACHE_DIR" in made) == (name == "grype")
    assert "s3cret" in made.values()
    assert made["DOCKER_CONFIG"] == "/work"
    assert "127.0.0.1" in made["NO_PROXY"]


@pytest.mark.parametrize("name", tools.NAMES)
@pytest.mark.parametrize("sbom", tools.FORMATS)
def test_no_secret_stands_in_what_it_is_told(name: str, sbom: str) -> None:
    commands = Tool(name, f"/bin/{name}").commands("127.0.0.1:5000/a@sha256:1", Path("/w"), sbom)
    words = [word for command in commands for word in command]
    assert not any("s3cret" in word for word in words)
    assert any("127.0.0.1:5000/a@sha256:1" in word for word in words)


def test_what_cannot_be_had_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="grype writes no SPDX"):
        tools.check(["grype"], tools.SPDX)
    tools.check(["grype", "syft"], tools.SPDX)
    with pytest.raises(UsageError, match="syft makes nothing but SBOMs"):
        tools.check(["syft"], "")
    (tmp_path / "trivy").write_text("no program")
    for path in (tmp_path, tmp_path / "trivy", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="is no program"):
            tools.find("trivy", path)
