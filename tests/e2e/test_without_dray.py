"""A bundle is checked and opened with the tools that every system has, as its README says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from tests.e2e.desk import PATIENCE, chunks, tree
from tests.e2e.foreign import run
from tests.servers import programs

if TYPE_CHECKING:
    from fixtures.content import Graph
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server
TOOLS = (
    *("sh", "openssl", "sha256sum", "tar", "cat", "cut", "grep", "mkdir", "rm", "tr"),
    *("basename", "zstd"),
)
ENDED = "@@ended "


@dataclass(frozen=True)
class Kind:
    """What a bundle is exported with."""

    algorithm: str = "p256"
    options: tuple[str, ...] = ()
    media: int = 1
    encrypted: bool = False


KINDS = {
    "p256": Kind(),
    "ed25519": Kind("ed25519"),
    "compressed": Kind(options=("--compress",)),
    "media": Kind(options=("--compress", "--media", "4MB,4MB,9MB"), media=3),
    "encrypted": Kind(options=("--encrypt-to", "keys/opener.encrypt-to"), encrypted=True),
}


@dataclass(frozen=True)
class Bundle:
    """A bundle with a cut blob, and the image in it."""

    folders: tuple[Path, ...]
    name: str
    image: Graph
    kind: Kind
    keys: Path

    @property
    def folder(self) -> Path:
        return self.folders[0]

    @property
    def layout(self) -> Path:
        return self.folder / "layout" if len(self.folders) == 1 else self.keys.parent / "layout"

    def chunks(self) -> list[Path]:
        return sorted(found for folder in self.folders for found in folder.glob("*.chunk-*.tar*"))


@pytest.fixture(params=KINDS)
def bundle(
    request: pytest.FixtureRequest, desk: Desk, upstream: Upstream, tmp_path: Path
) -> Bundle:
    kind = KINDS[request.param]
    desk.dray("keygen", "keys", "--name", "signer", "--type", kind.algorithm, "--no-passphrase")
    if kind.encrypted:
        desk.dray("keygen", "keys", "--name", "opener", "--for", "encryption", "--no-passphrase")
    image = upstream.multi("app", 2_500_000, 40_000)
    upstream.text("text", 6_000_000)
    desk.lock(upstream.name("app:1.0"), upstream.name("text:1.0"))
    desk.export(tmp_path / "out", "--key", "keys/signer.key", *kind.options)
    [folder] = (tmp_path / "out").iterdir()
    folders = tuple(sorted(folder.glob("medium-*"))) or (folder,)
    assert len(folders) == kind.media
    return Bundle(folders, folder.name, image, kind, desk.folder / "keys")


@pytest.fixture
def path(tmp_path: Path, bundle: Bundle) -> str:
    """A PATH with the tools that README.txt names, and nothing else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = programs.require(name) if name in programs.PROGRAMS else shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    if bundle.kind.encrypted:
        (folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "$@"\n')
        (folder / "python3").chmod(0o755)
    return str(folder)


def commands(bundle: Bundle) -> list[str]:
    """Return the commands of README.txt, as they stand but for what they leave to the reader."""
    text = (bundle.folder / "README.txt").read_text()
    own = {
        "SIGNER": "signer",
        "PUBLIC.pem": str(bundle.keys / "signer.pub"),
        " KEY ": f" {bundle.keys / 'opener.decrypt-key'} ",
    }
    if len(bundle.folders) > 1:
        own["LAYOUT=layout"] = f"LAYOUT={bundle.layout}"
    found = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    for word, ours in own.items():
        found = [line.replace(word, ours) for line in found]
    return found


def shell(script: str, folder: Path, path: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, "/bin/sh", "-c", script],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def session(lines: list[str], folder: Path, path: str) -> list[str]:
    """Run the lines in one shell, as a person types them; return what each printed."""
    script = "".join(f'{line}\necho "{ENDED}$?"\n' for line in lines)
    done = shell(script, folder, path)
    assert done.stderr == ""
    outputs = re.findall(rf"(.*?){ENDED}(\d+)\n", done.stdout, re.DOTALL)
    assert [code for _, code in outputs] == ["0"] * len(lines), done.stdout
    return [output for output, _ in outputs]


def mine(bundle: Bundle, lines: list[str]) -> list[str]:
    """Leave out cosign, and the signature check of the other kind of key."""
    other = "openssl pkeyutl" if bundle.kind.algorithm == "p256" else "openssl dgst"
    return [line for line in lines if not line.startswith(("cosign", other))]


def each_medium(lines: list[str]) -> int:
    """Return how many commands are for every medium: those up to the extraction."""
    return next(number for number, line in enumerate(lines, 1) if "tar -xf" in line)


def test_the_commands_of_the_readme_work_as_they_stand(bundle: Bundle, path: str) -> None:
    lines = mine(bundle, commands(bundle))
    first = lines[: each_medium(lines)]
    for folder in bundle.folders[1:]:
        said = session(first, folder, path)
        assert "erifi" in said[0]
        assert said[1] == "digests OK\n"
    said = session(lines, bundle.folder, path)
    assert "erifi" in said[0]
    assert (said[1], said[-1]) == ("digests OK\n", "blobs OK\n")
    layout = bundle.layout
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
    copied = bundle.keys.parent / "copied"
    run(
        "oras",
        "copy",
        "--from-oci-layout",
        "--to-oci-layout",
        f"{layout}@{bundle.image.digest}",
        f"{copied}:again",
    )
    assert tree(copied)


@pytest.mark.parametrize("program", ["cosign", "cosign-2.5"])
@pytest.mark.parametrize("bundle", ["p256", "ed25519"], indirect=True)
def test_cosign_verifies_by_the_readmes_own_line_with_the_network_cut(
    bundle: Bundle, path: str, program: str
) -> None:
    Path(path, "cosign").symlink_to(programs.require(program))
    cut = [shutil.which("unshare") or pytest.skip("no unshare"), "--map-root-user", "--net"]
    if shell("true", bundle.folder, path, *cut).returncode:
        pytest.skip("this host lets nobody cut the network")
    [line] = [line for line in commands(bundle) if line.startswith("cosign")]
    done = shell(line, bundle.folder, path, *cut)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "Verified OK")
    manifest = bundle.folder / f"{bundle.name}.manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert shell(line, bundle.folder, path, *cut).returncode != 0


@pytest.mark.parametrize("bundle", ["p256"], indirect=True)
def test_another_file_that_the_manifest_names_cannot_stand_for_the_list(
    bundle: Bundle, path: str
) -> None:
    """Its digest is in the manifest too: of a model's file, somebody may have chosen the bytes."""
    listed = bundle.folder / f"{bundle.name}.sha256sums"
    listed.write_bytes((bundle.folder / f"{bundle.name}.lock.yaml").read_bytes())
    check = next(line for line in commands(bundle) if "sha256sums" in line)
    done = shell(check.replace("&& sha256sum -c", "&& true -c"), bundle.folder, path)
    assert done.returncode != 0


@pytest.mark.parametrize("bundle", ["p256", "encrypted"], indirect=True)
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


@pytest.mark.parametrize("bundle", ["p256", "ed25519"], indirect=True)
def test_the_readme_commands_find_a_manifest_that_was_changed(bundle: Bundle, path: str) -> None:
    manifest = bundle.folder / f"{bundle.name}.manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"prod", b"test", 1))
    verify = next(line for line in mine(bundle, commands(bundle)) if "openssl" in line)
    assert shell(verify, bundle.folder, path).returncode != 0


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
@pytest.mark.parametrize("bundle", ["p256", "compressed"], indirect=True)
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


@pytest.mark.parametrize("bundle", ["p256", "encrypted"], indirect=True)
def test_the_list_of_digests_is_complete(bundle: Bundle) -> None:
    lines = (bundle.folder / f"{bundle.name}.sha256sums").read_text().splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    found = {name: digest.hex for name, digest in chunks(bundle.folder).items()}
    assert found.items() <= listed.items()
