"""The way from a key to a warehouse with OpenSSL's FIPS provider alone: nothing else computes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.desk import PATIENCE, Done
from tests.servers import fips, programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server


@dataclass(frozen=True)
class Host:
    """A host in FIPS mode, whose Python has one OpenSSL."""

    python: Path
    folder: Path
    provider: dict[str, str]

    def dray(self, *words: object, code: int = 0) -> Done:
        """Run the command line with ``--fips``."""
        command = [str(self.python), "-c", "import bundle.cli; bundle.cli.main()", *map(str, words)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.provider, "PYTHONPATH": ROOT_OF_OURS, "DRAY_FIPS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


ROOT_OF_OURS = str(programs.CHECKOUT)


@pytest.fixture
def host(desk: Desk) -> Host:
    return Host(programs.require("python-fips"), desk.folder, fips.environment())


def test_the_whole_way_with_p256_signed_and_encrypted(
    host: Host, desk: Desk, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DRAY_KEY_PASSPHRASE", "DRAY_DECRYPT_PASSPHRASE", "PHRASE"):
        monkeypatch.setenv(name, "correct horse battery")
    for name in ("builder", "releaser"):
        host.dray("keygen", "keys", "--name", name)
    host.dray("keygen", "keys", "--for", "encryption", "--name", "ops")
    image = upstream.multi("app", 900_000, 40_000)
    desk.lock(upstream.name("app:1.0"))
    export = ("export", "dray.yaml", "--to", tmp_path / "out", "--key", "keys/builder.key")
    host.dray(*export, "--encrypt-to", "keys/ops.encrypt-to")
    [folder] = (tmp_path / "out").iterdir()
    assert list(folder.glob("*.enc"))
    host.dray("sign", folder, "--key", "keys/releaser.key", "--pub", "keys/builder.pub")
    opens = ("--decrypt-key", "keys/ops.decrypt-key")
    said = host.dray("verify", folder, "--pub", "keys/releaser.pub", *opens).out
    assert "every byte," in said
    to, agree = tmp_path / "warehouse", "openssl pkeyutl -derive -peerform DER -peerkey /dev/stdin"
    key = "-inkey keys/ops.decrypt-key -passin env:PHRASE"
    device = ("--decryptor", f"{agree} {key}", "--decryptor-pub", "keys/ops.encrypt-to")
    host.dray("import", folder, "--to", to, "--pub", "keys/builder.pub", *device)
    assert (to / "oci/blobs/sha256" / image.digest.hex).is_file()


def test_what_is_not_approved_neither_signs_nor_counts(
    host: Host, desk: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    desk.dray("keygen", "keys", "--name", "ed", "--type", "ed25519", "--no-passphrase")
    said = host.dray("keygen", "--name", "x", "--type", "ed25519", "--no-passphrase", code=2).err
    assert "--fips: a key of the kind ed25519 is not approved" in said
    upstream.image("app", 40_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out", "--key", "keys/ed.key")
    said = host.dray("verify", tmp_path / "out", "--pub", "keys/ed.pub", code=5).err
    assert "it names an Ed25519 key, and --fips takes none" in said
