"""Images are scanned before they are exported: reports go along, and gates go by them.

By programs of our own, which pull as the real ones do; by the real ones where they are.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from bundler import lock as locks
from bundler.scan.tools import SBOM_TYPES
from fixtures.content import Held, blob, image
from tests.e2e.foreign import run
from tests.servers import programs, scanners

if TYPE_CHECKING:
    from fixtures.content import Graph
    from tests.e2e.desk import Desk, Done
    from tests.e2e.upstream import Upstream
    from tests.servers.registry import Registry

pytestmark = pytest.mark.server
TRIVY_DB = Path(__file__).parents[2] / "fixtures/trivy/trivy.db.gz"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
STATUS = (
    "Package: openssl\nStatus: install ok installed\nPriority: optional\nSection: utils\n"
    "Maintainer: x <x@example.com>\nArchitecture: amd64\nVersion: 3.0.1-1\nDescription: tls\n\n"
)
FILES = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "var/lib/dpkg/status": STATUS.encode(),
}


def layered(**files: bytes) -> Graph:
    """Return an image whose one layer has these files, with slashes for double underscores."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in {**FILES, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    plain = made.getvalue()
    layer = blob(Held(gzip.compress(plain, mtime=0)), LAYER)
    object.__setattr__(layer, "diff_id", str(Digest.of(plain)))
    return image([layer])


@dataclass
class Low:
    """A low side with an image upstream, and scanners of our own on PATH."""

    desk: Desk
    upstream: Upstream
    bin: Path
    image: Graph

    def spec(self, policy: str = "", name: str = "app") -> None:
        text = "apiVersion: dray/v1\nstream: prod\nplatforms: [linux/amd64]\n"
        text += f"images: [{self.upstream.name(name)}:1.0]\n{policy}"
        (self.desk.folder / "dray.yaml").write_text(text)

    def flaws(self, *rows: tuple[str, ...]) -> None:
        (self.bin / "flaws.json").write_text(json.dumps(rows))

    def how(self, **what: Any) -> None:
        (self.bin / "how.json").write_text(json.dumps(what))

    @property
    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.bin / "seen.json").read_text())
        return found

    @property
    def locked(self) -> locks.LockedArtifact:
        return locks.load(self.desk.folder / "dray.lock.yaml").artifacts[0]

    def scan(self, *more: object, code: int = 0) -> Done:
        return self.desk.dray("scan", "dray.yaml", *more, code=code)


@pytest.fixture
def low(desk: Desk, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Low:
    folder = tmp_path / "scanners"
    scanners.install(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    made = Low(desk, upstream, folder, layered())
    upstream.push("app", made.image, "1.0")
    made.spec()
    return made


def referrers(artifact: locks.LockedArtifact) -> list[dict[str, Any]]:
    return [
        json.loads(item.text) for item in artifact.contents if item.text and item.content.subject
    ]


def test_a_report_and_an_sbom_are_pinned_in_the_lock_as_referrers(low: Low) -> None:
    done = low.scan("--with", "trivy")
    assert "app:1.0: trivy 1.2.3: 1 high, 1 low; SBOM" in done.out
    found = referrers(low.locked)
    assert [one["artifactType"] for one in found] == [
        "application/vnd.dray.trivy-report.v1+json",
        "application/vnd.cyclonedx+json",
    ]
    assert {one["subject"]["digest"] for one in found} == {str(low.image.digest)}
    assert {one["annotations"]["com.nvidia.dray.scanner"] for one in found} == {"trivy 1.2.3"}
    for one in found:
        (layer,) = one["layers"]
        path = low.desk.folder / "dray.scans" / f"{layer['digest'][7:]}.json"
        assert Digest.of(path.read_bytes()) == layer["digest"]
    names = {part["name"] for part in json.loads(path.read_bytes())["components"]}
    assert names == set(FILES), "the scanner saw the files of the image"


@pytest.mark.parametrize("name", ["grype", "syft"])
def test_other_scanners_do_as_well(low: Low, name: str) -> None:
    low.scan("--with", name)
    types = [one["artifactType"] for one in referrers(low.locked)]
    assert types[-1] == "application/vnd.cyclonedx+json"
    assert len(types) == (2 if name == "grype" else 1)
    low.scan("--with", name, "--sbom", "spdx", code=2 if name == "grype" else 0)


def test_another_scan_takes_the_place_of_the_one_before_and_leaves_others(low: Low) -> None:
    low.scan("--with", "trivy", "--with", "syft")
    before = {path.name for path in (low.desk.folder / "dray.scans").iterdir()}
    low.flaws()
    done = low.scan("--with", "trivy", "--sbom", "none")
    assert "trivy 1.2.3: nothing found" in done.out
    tools = [one["annotations"]["com.nvidia.dray.scanner"] for one in referrers(low.locked)]
    assert tools == ["syft 1.2.3", "trivy 1.2.3"]
    after = {path.name for path in (low.desk.folder / "dray.scans").iterdir()}
    assert len(after) == 2
    assert len(before & after) == 1
    assert "nothing to scan" in low.scan("--with", "trivy", "--missing").out


def test_what_is_exported_depends_on_the_lock_alone_and_arrives_as_referrers(
    low: Low, registry: Registry
) -> None:
    low.scan("--with", "trivy")
    low.flaws(("CVE-2026-0003", "critical"))  # the scanner says otherwise by now
    chunks = []
    for name in ("one", "two"):
        low.desk.dray("export", "dray.yaml", "--to", name, "--new")
        chunks.append(next((low.desk.folder / name).rglob("*.chunk-*.tar")).read_bytes())
    assert chunks[0] == chunks[1]
    bundle = next((low.desk.folder / "one").iterdir())
    prefix = registry.repository("high").rpartition("/")[0]
    target = f"registry://{registry.host}/{prefix}"
    low.desk.dray("import", bundle, "--to", target, "--trust", "trust.json")
    place = f"{registry.host}/{prefix}/{low.upstream.prefix}/app"
    said = run("oras", "discover", "--plain-http", "--format", "json", f"{place}:1.0")
    found = json.loads(said)
    rows = found.get("referrers", found.get("manifests"))
    assert {row["artifactType"] for row in rows} == {
        "application/vnd.dray.trivy-report.v1+json",
        "application/vnd.cyclonedx+json",
    }


def test_a_report_that_is_gone_or_changed_gets_into_no_bundle(low: Low) -> None:
    low.scan("--with", "trivy", "--sbom", "none")
    (path,) = (low.desk.folder / "dray.scans").iterdir()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CVE-2026-0001", b"CVE-2026-9999"))
    assert "other bytes than" in low.desk.dray("export", "dray.yaml", "--to", "x", code=6).err
    path.unlink()
    assert "dray scan" in low.desk.dray("export", "dray.yaml", "--to", "x", code=6).err


POLICY = "policy: {max-severity: medium, reports: {max-age: 7d}}\n"


def test_the_gates_refuse_by_what_was_found_with_the_list(low: Low) -> None:
    low.spec(POLICY)
    done = low.desk.dray("export", "dray.yaml", "--to", "out", code=7)
    assert "no report" in done.err
    assert "dray scan" in done.err
    done = low.scan("--with", "trivy", code=7)
    assert "CVE-2026-0001 high openssl 3.0.1" in done.err
    assert "CVE-2026-0002" not in done.err
    done = low.desk.dray("export", "dray.yaml", "--to", "out", code=7)
    assert "CVE-2026-0001" in done.err
    assert not (low.desk.folder / "out").exists()
    body = low.desk.dray("scan", "dray.yaml", "--missing", "--with", "trivy", "--json", code=7).json
    assert body["gates"][0]["result"] == "fail"
    low.flaws(("CVE-2026-0002", "low"))
    low.scan("--with", "trivy")
    low.desk.dray("export", "dray.yaml", "--to", "out")


def test_export_scans_what_has_no_report_yet(low: Low) -> None:
    low.spec(POLICY)
    done = low.desk.dray("export", "dray.yaml", "--to", "out", "--scan", "grype", code=7)
    assert "CVE-2026-0001" in done.err
    low.flaws()
    low.scan("--with", "grype")
    done = low.desk.dray("export", "dray.yaml", "--to", "out", "--scan", "grype")
    assert "grype 1.2.3:" not in done.out, "there is a report already"
    low.desk.dray("export", "dray.yaml", "--to", "plan", "--scan", "trivy", "--plan")
    assert len(referrers(low.locked)) == 2


def test_a_spec_says_who_scans_and_every_export_does(low: Low) -> None:
    low.spec("scan: {with: [syft, grype], sbom: spdx}\n")
    done = low.desk.dray("export", "dray.yaml", "--to", "out", code=0)
    types = [one["artifactType"] for one in referrers(low.locked)]
    assert types == ["application/spdx+json", "application/vnd.dray.grype-report.v1+json"]
    assert "syft 1.2.3: SBOM" in done.out
    low.scan("--sbom", "none", "--with", "trivy")
    assert len(referrers(low.locked)) == 3
    low.spec("scan: {with: [nessus]}\n")
    low.scan(code=2)


def test_the_scanner_gets_no_secret_of_ours(low: Low, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NGC_API_KEY", "AWS_SECRET_ACCESS_KEY", "DRAY_KEY_PASSPHRASE", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "hunter2")
    low.scan("--with", "trivy")
    env = low.seen["env"]
    assert "hunter2" not in env.values()
    assert not Path(env["DOCKER_CONFIG"], "config.json").exists()
    low.how(fail=True)
    done = low.scan("--with", "trivy", code=6)
    assert "exit code 5" in done.err
    assert "FATAL no database" in done.err
    assert low.seen["env"]["TRIVY_PASSWORD"] not in done.err
    assert low.seen["env"]["TRIVY_PASSWORD"] not in str(low.seen["argv"])


def test_a_scanner_that_takes_too_long_is_ended(low: Low) -> None:
    low.how(sleep=30)
    done = low.scan("--with", "syft", "--scan-timeout", "1", code=6)
    assert "syft took longer than 1 seconds" in done.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"matches": 3}'])
def test_what_is_no_report_is_refused(low: Low, text: str) -> None:
    low.how(text=text or " ")
    done = low.scan("--with", "grype", code=6)
    assert "what grype wrote" in done.err
    assert not referrers(low.locked)
    assert not (low.desk.folder / "dray.scans").exists()


def test_a_scanner_that_is_not_there_is_named(low: Low, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--with", "trivy", "--scanner-path", "nowhere"], []):
        with monkeypatch.context() as empty:
            empty.setenv("PATH", "/nowhere")
            done = low.scan(*arguments, code=2)
        assert "trivy" in done.err
    assert low.scan("--with", "trivy", "--scanner-path", low.bin).code == 0
    assert low.scan("--with", "trivy", "--scanner-path", low.bin / "trivy").code == 0
    low.scan("--with", "trivy", "--with", "grype", "--scanner-path", low.bin / "trivy", code=2)


def test_the_real_syft_lists_what_is_in_the_image(low: Low) -> None:
    low.scan("--with", "syft", "--scanner-path", programs.require("syft"))
    (one,) = referrers(low.locked)
    path = low.desk.folder / "dray.scans" / f"{one['layers'][0]['digest'][7:]}.json"
    parts = json.loads(path.read_bytes())["components"]
    assert "openssl" in {part["name"] for part in parts}


def test_the_real_trivy_finds_what_its_database_has(
    low: Low, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, cache = programs.require("trivy"), tmp_path / "trivy"
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(cache))
    monkeypatch.setenv("TRIVY_SKIP_DB_UPDATE", "true")
    low.upstream.push("deb", layered(**{"etc/debian_version": b"12.5\n"}), "1.0")
    low.spec(POLICY, "deb")
    done = low.scan("--with", "trivy", "--scanner-path", program, code=6)
    assert "must have its database" in done.err
    (cache / "db").mkdir(parents=True, exist_ok=True)
    (cache / "db/trivy.db").write_bytes(gzip.decompress(TRIVY_DB.read_bytes()))
    times = dict.fromkeys(("UpdatedAt", "DownloadedAt"), "2026-11-25T00:00:00Z")
    metadata = {"Version": 2, "NextUpdate": "2099-01-01T00:00:00Z", **times}
    (cache / "db/metadata.json").write_text(json.dumps(metadata))
    for form, media_type in SBOM_TYPES.items():
        done = low.scan("--with", "trivy", "--scanner-path", program, "--sbom", form, code=7)
        assert "CVE-2026-0001 high openssl 3.0.1-1 (fixed in 3.0.2-1), says" in done.err
        types = [one["artifactType"] for one in referrers(low.locked)]
        assert types == ["application/vnd.dray.trivy-report.v1+json", media_type]
