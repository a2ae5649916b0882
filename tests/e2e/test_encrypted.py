"""Encrypted bundles from the registry to the target: killed, opened without dray, repaired."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from tests.e2e.desk import PATIENCE, leftovers
from tests.e2e.points import spread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.desk import Desk, Done
    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy

pytestmark = pytest.mark.server
TOOLS = (
    *("sh", "openssl", "sha256sum", "tar", "cat", "cut", "grep", "mkdir", "rm", "rmdir", "tr"),
    *("basename",),
)
TO = ("--encrypt-to", "ops.encrypt-to")
KEY = ("--decrypt-key", "ops.decrypt-key")


@pytest.fixture
def keyed(desk: Desk) -> Desk:
    """A desk with a pair for encryption."""
    desk.dray("keygen", "--for", "encryption", "--name", "ops", "--no-passphrase")
    return desk


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(folder.rglob("*.manifest.json")).read_bytes())
    return found


def inner(folder: Path) -> list[str]:
    """Return the digests of what is in the chunks."""
    return [chunk["encryption"]["digest"] for chunk in manifest(folder)["chunks"]]


def verify(desk: Desk, folder: Path, *options: object, code: int = 0) -> Done:
    return desk.dray("verify", folder, "--trust", "trust.json", *options, code=code)


@pytest.mark.parametrize("options", [(), ("--compress",)], ids=["as it is", "compressed"])
def test_killed_at_any_byte_it_goes_on_and_has_the_same_inside(
    keyed: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    proxy = fault_proxy(upstream.registry.port)
    upstream.image("app", 5_300_000, 700_001)
    upstream.text("text", 2_500_000)
    keyed.lock(*(upstream.name(f"{name}:1.0", proxy.host) for name in ("app", "text")))
    before = proxy.bytes["down"]
    keyed.export(tmp_path / "whole", *TO, *options, chunk="3MiB")
    expected, total = inner(tmp_path / "whole"), proxy.bytes["down"] - before
    for number, count in enumerate(spread(total, "encrypted", most=5)):
        state, out = tmp_path / f"state-{number}", tmp_path / f"out-{number}"
        monkeypatch.setenv("DRAY_STATE_DIR", str(state))
        arguments = ("export", "dray.yaml", "--to", out, "--chunk-size", "3MiB", *TO, *options)
        ended = keyed.killed(proxy, count, *arguments)
        assert ended.code in {0, -signal.SIGKILL}
        keyed.dray(*arguments)
        assert inner(out) == expected
        assert leftovers(out) == []
        assert not [path for path in state.rglob("*") if "export-keys/" in str(path)]
        verify(keyed, out, *KEY)
        verify(keyed, out)


def test_what_lies_there_when_it_is_killed_is_of_no_use_without_the_keys(
    keyed: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRAY_STATE_DIR", str(keyed.folder / "state"))
    proxy = fault_proxy(upstream.registry.port)
    image = upstream.image("app", 24_000_000)  # more than the sockets between hold
    keyed.lock(upstream.name("app:1.0", proxy.host))
    out = tmp_path / "out"
    keyed.killed(proxy, 20_000_000, "export", "dray.yaml", "--to", out, *TO)
    keys = keyed.folder / "state/export-keys"
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert len(written) > 1_000_000
    layer = max(image.blobs, key=lambda blob: blob.size).read()
    for start in range(0, len(layer) - 32, 1_000_000):
        assert layer[start : start + 32] not in written
    assert b"oci-layout" not in written
    [before] = keys.iterdir()
    keyed.dray("export", "dray.yaml", "--to", out, *TO, "--restart")
    assert not before.exists()
    assert not list(keys.iterdir())


def test_it_is_imported_in_one_pass_and_not_without_its_key(
    keyed: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 3_000_000, 20_000)
    keyed.lock(upstream.name("app:1.0"))
    keyed.export(tmp_path / "out", *TO)
    said = keyed.load(tmp_path / "out", tmp_path / "to", code=2)
    assert "--decrypt-key" in said.err
    assert not (tmp_path / "to").exists()
    done = keyed.load(tmp_path / "out", tmp_path / "to", options=KEY)
    assert done.json["published"]
    for blob in (tmp_path / "to").rglob("blobs/sha256/*"):
        assert Digest.of(blob.read_bytes()).hex == blob.name


def test_other_recipients_are_another_export_and_the_same_ones_are_not(
    keyed: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 30_000)
    keyed.lock(upstream.name("app:1.0"))
    keyed.export(tmp_path / "out", *TO)
    assert "holds this lock already" in keyed.export(tmp_path / "out", *TO).out
    assert "prod-000002" in keyed.export(tmp_path / "out").out
    said = keyed.export(tmp_path / "out", "--encrypt-to", "dray.pub", code=2)
    assert "must not open chunks as well" in said.err


def test_parity_mends_what_nobody_here_can_open(
    keyed: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 2_500_000)
    keyed.lock(upstream.name("app:1.0"))
    keyed.export(tmp_path / "out", *TO, "--parity", "2")
    [bundle] = (tmp_path / "out").iterdir()
    first, second = sorted(bundle.glob("*.enc"))[:2]
    before = first.read_bytes()
    first.unlink()
    assert verify(keyed, bundle, code=4).err
    keyed.dray("repair", bundle, "--trust", "trust.json")
    assert first.read_bytes() == before
    with second.open("r+b") as file:
        file.seek(300_000)
        file.write(b"damaged")
    assert "not the segment that was encrypted here" in verify(keyed, bundle, *KEY, code=3).out
    keyed.dray("repair", bundle, "--trust", "trust.json")
    verify(keyed, bundle, *KEY)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with the tools that README.txt names: Python has ``cryptography``, and no dray."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -P "$@"\n')
    python.chmod(0o755)
    return str(folder)


def test_the_commands_of_the_readme_open_it(
    keyed: Desk, upstream: Upstream, tmp_path: Path, path: str
) -> None:
    image = upstream.multi("app", 2_500_000, 40_000)
    keyed.lock(upstream.name("app:1.0"))
    keyed.export(tmp_path / "out", *TO)
    [bundle] = (tmp_path / "out").iterdir()
    text = (bundle / "README.txt").read_text()
    words = {
        "SIGNER": "dray",
        "PUBLIC.pem": str(keyed.folder / "dray.pub"),
        " KEY ": f" {keyed.folder / 'ops.decrypt-key'} ",
    }
    for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        if line.startswith(("cosign", "openssl pkeyutl")):
            continue
        script = line
        for word, value in words.items():
            script = script.replace(word, value)
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=bundle,
            env={"PATH": path, "LAYOUT": "layout"},  # each line in a shell of its own
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), script
        assert "OK" in done.stdout or "echo" not in line or "do [" in line
    layout = bundle / "layout"
    shown = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert image.digest in {entry["digest"] for entry in shown}
    assert Digest.of((layout / "blobs/sha256" / image.digest.hex).read_bytes()) == image.digest


@pytest.mark.parametrize("damage", ["flip", "cut", "more", "stranger"])
def test_the_script_on_the_medium_gives_out_no_byte_that_is_not_authentic(
    keyed: Desk, upstream: Upstream, tmp_path: Path, damage: str
) -> None:
    upstream.image("app", 2_500_000)
    keyed.lock(upstream.name("app:1.0"))
    keyed.export(tmp_path / "out", *TO, chunk="4MiB")
    [bundle] = (tmp_path / "out").iterdir()
    [chunk] = bundle.glob("*.enc")
    script, key = next(bundle.glob("*.decrypt.py")), keyed.folder / "ops.decrypt-key"
    command = [sys.executable, "-P", str(script), str(key), str(chunk)]
    good = subprocess.run(command, capture_output=True, check=True).stdout
    assert Digest.of(good) == inner(bundle)[0]
    data = bytearray(chunk.read_bytes())
    if damage == "flip":
        data[2_000_000] ^= 1
    if damage == "stranger":
        keyed.dray("keygen", "--for", "encryption", "--name", "no", "--no-passphrase")
        command[3] = str(keyed.folder / "no.decrypt-key")
        for wrong, says in (
            (["ops.encrypt-to"], b"is no private key in PEM"),
            (["nowhere"], b"No such file"),
            ([], b"KEY"),
        ):
            words = [*command[:3], *(str(keyed.folder / name) for name in wrong), str(chunk)]
            done = subprocess.run(words, capture_output=True, check=False)
            assert (done.returncode, done.stdout) == (1, b"")
            assert says in done.stderr
            assert b"Traceback" not in done.stderr
    chunk.write_bytes(data[:-1056] if damage == "cut" else data + b"\0" * (damage == "more"))
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert good.startswith(done.stdout)
    assert len(done.stdout) < len(good)
