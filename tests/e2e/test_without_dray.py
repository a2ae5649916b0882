"""A bundle is checked and opened with the tools that every system has, as its README says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from tests.e2e.desk import PATIENCE, chunks, tree
from tests.e2e.foreign import run
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.content import Graph
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server
TOOLS = (
    *("sh", "openssl", "sha256sum", "tar", "cat", "cut", "grep", "mkdir", "rm", "rmdir"),
    *("basename", "zstd"),
)


@dataclass(frozen=True)
class Bundle:
    """A bundle with a cut blob, and the image in it."""

    folder: Path
    name: str
    image: Graph
    encoded: bool
    algorithm: str
    public: Path

    def chunks(self) -> list[Path]:
        return sorted(self.folder.glob("*.chunk-*.tar"))


@pytest.fixture(
    params=[("p256", False), ("ed25519", False), ("p256", True)],
    ids=["p256", "ed25519", "compressed"],
)
def bundle(
    request: pytest.FixtureRequest, desk: Desk, upstream: Upstream, tmp_path: Path
) -> Bundle:
    algorithm, encoded = request.param
    desk.dray("keygen", "keys", "--name", "signer", "--type", algorithm, "--no-passphrase")
    image = upstream.multi("app", 2_500_000, 40_000)
    upstream.text("text", 6_000_000)
    desk.lock(upstream.name("app:1.0"), upstream.name("text:1.0"))
    options = ["--compress"] if encoded else []
    desk.export(tmp_path / "out", "--key", "keys/signer.key", *options)
    [folder] = (tmp_path / "out").iterdir()
    public = desk.folder / "keys/signer.pub"
    return Bundle(folder, folder.name, image, encoded, algorithm, public)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with the tools that README.txt names, and nothing else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = programs.require(name) if name in programs.PROGRAMS else shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return str(folder)


def commands(bundle: Bundle) -> list[str]:
    """Return the commands of README.txt, as they stand but for signer and public key."""
    text = (bundle.folder / "README.txt").read_text()
    found = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    return [
        line.replace("SIGNER", "signer").replace("PUBLIC.pem", str(bundle.public)) for line in found
    ]


def shell(script: str, folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env={"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def mine(bundle: Bundle, lines: list[str]) -> list[str]:
    """Leave out cosign, and the signature check of the other kind of key."""
    other = "openssl pkeyutl" if bundle.algorithm == "p256" else "openssl dgst"
    return [line for line in lines if not line.startswith(("cosign", other))]


def test_the_commands_of_the_readme_work_as_they_stand(bundle: Bundle, path: str) -> None:
    for script in mine(bundle, commands(bundle)):
        done = shell(script, bundle.folder, path)
        assert done.returncode == 0, f"{script}: {done.stderr}"
        assert done.stderr == ""
        if "verify" in script:
            assert "erifi" in done.stdout
        if "echo" in script and "OK" in script:
            assert done.stdout.endswith("OK\n")
    layout = bundle.folder / "layout"
    assert not list(layout.rglob("parts/*/*")), "every part was joined"
    for blob in (layout / "blobs/sha256").iterdir():
        assert Digest.of(blob.read_bytes()).hex == blob.name
    shown = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert bundle.image.digest in {entry["digest"] for entry in shown}
    for name in ("app", "text"):
        reference = next(
            entry["annotations"]["org.opencontainers.image.ref.name"]
            for entry in shown
            if f"/{name}" in json.dumps(entry.get("annotations", {}))
        )
        raw = run("skopeo", "inspect", "--raw", f"oci:{layout}:{reference}")
        assert Digest.of(raw) in {entry["digest"] for entry in shown}
    run("oras", "manifest", "fetch", "--oci-layout", f"{layout}@{bundle.image.digest}")
    copied = bundle.folder.parent / "copied"
    run(
        "oras",
        "copy",
        "--from-oci-layout",
        "--to-oci-layout",
        f"{layout}@{bundle.image.digest}",
        f"{copied}:again",
    )
    assert tree(copied)


def test_the_readme_commands_find_a_flipped_byte(bundle: Bundle, path: str) -> None:
    chunk = bundle.chunks()[1]
    with chunk.open("r+b") as file:
        file.seek(chunk.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    check = next(line for line in commands(bundle) if "sha256sums" in line)
    done = shell(check, bundle.folder, path)
    assert done.returncode != 0
    assert chunk.name in done.stdout + done.stderr
    assert "digests OK" not in done.stdout


def test_the_readme_commands_find_a_manifest_that_was_changed(bundle: Bundle, path: str) -> None:
    manifest = bundle.folder / f"{bundle.name}.manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"prod", b"test", 1))
    verify = next(line for line in mine(bundle, commands(bundle)) if "openssl" in line)
    assert shell(verify, bundle.folder, path).returncode != 0


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_every_chunk_is_a_tar_and_a_partial_layout(
    bundle: Bundle, tool: str, tmp_path: Path
) -> None:
    program = programs.require("bsdtar") if tool == "bsdtar" else shutil.which("tar")
    assert program
    for chunk in bundle.chunks():
        into = tmp_path / f"{tool}-{chunk.name}"
        into.mkdir()
        command = [program, "-xf", chunk, "-C", into]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        found = tree(into)
        assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        assert json.loads(found.pop("index.json"))["schemaVersion"] == 2
        assert found, "a chunk holds at least one blob or part"
        for name, data in found.items():
            if name.startswith("blobs/sha256/"):
                assert Digest.of(data).hex == name.rpartition("/")[2]
            else:
                assert name.startswith(("parts/", "encoded/"))


def test_the_list_of_digests_is_complete(bundle: Bundle) -> None:
    lines = (bundle.folder / f"{bundle.name}.sha256sums").read_text().splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    found = {name: digest.hex for name, digest in chunks(bundle.folder).items()}
    assert found.items() <= listed.items()
