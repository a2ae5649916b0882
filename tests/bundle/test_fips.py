"""FIPS mode: what is refused, who is asked whether it is in force, and what happens without."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bundle import fips, trust
from bundle.box import Box
from bundle.errors import NotTrusted, UsageError
from bundle.quorum import Stream
from bundle.secretfile import Passphrase
from bundle.segments import Segment
from bundler import signing
from importer import decryptkey
from tests.keys import NOW, signed, signer
from tests.keys import trust as trust_of
from tests.servers import fips as provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = b"a manifest\n"
CURVE, EDWARDS = signer("curve"), signer("edwards", "ed25519")


@pytest.fixture
def fips_mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fips, "_LIBRARIES", {"both": lambda: True})
    fips.turn_on()
    yield
    fips.turn_off()


def test_without_it_everything_counts() -> None:
    assert not fips.is_on()
    assert fips.takes("ed25519")
    fips.refuse("nothing")


@pytest.mark.usefixtures("fips_mode")
def test_a_signature_by_ed25519_does_not_count_and_hinders_nothing() -> None:
    held = trust_of(CURVE, EDWARDS, streams={"prod": Stream.of(("curve", "edwards"), 1)})
    verified = held.verified_by(DATA, signed(DATA, CURVE, EDWARDS))
    assert verified.names == {"curve"}
    assert list(verified.ignored.values()) == ["it names an Ed25519 key, and --fips takes none"]
    assert held.require(verified, "prod", NOW).names == ("curve",)
    with pytest.raises(NotTrusted, match="--fips takes none"):
        held.verified_by(DATA, signed(DATA, EDWARDS))
    with pytest.raises(NotTrusted):
        trust.single_key(EDWARDS.public_key.pem).verified_by(DATA, signed(DATA, EDWARDS))


def test_an_ed25519_key_is_neither_made_nor_used(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pair = signing.generate(tmp_path, "edwards", algorithm="ed25519", passphrase=None)
    request.getfixturevalue("fips_mode")
    with pytest.raises(UsageError, match=r"--fips: .*edwards\.key of the kind ed25519"):
        signing.load(pair.private, passphrase=Passphrase(environ={}))
    with pytest.raises(UsageError, match="--fips: a key of the kind ed25519 is not approved"):
        signing.generate(tmp_path, "other", algorithm="ed25519", passphrase=None)
    assert not (tmp_path / "other.key").exists()


@pytest.mark.usefixtures("fips_mode")
def test_a_key_encrypted_by_way_of_md5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.key"
    path.write_text(
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAA==\n"
        "-----END EC PRIVATE KEY-----\n"
    )
    phrase = Passphrase(environ={"DRAY_KEY_PASSPHRASE": "x"})
    with pytest.raises(UsageError, match=r"--fips: .*a key made by MD5"):
        signing.load(path, passphrase=phrase)
    with pytest.raises(UsageError, match=r"--fips: .*a key made by MD5"):
        decryptkey.load(path, trust_of(CURVE), passphrase=phrase)


@pytest.mark.usefixtures("fips_mode")
def test_keys_and_nonces_are_of_the_module_s_own_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw(count: int) -> bytes:
        drawn.append(count)
        return bytes(count)

    monkeypatch.setattr("ssl.RAND_bytes", draw)
    assert Box(bytes(32), bytes(32)).seal(Segment(0, 4, 0, last=True), b"text")[4:16] == bytes(12)
    assert drawn == [12]
    fips.turn_off()
    assert fips.random_bytes(12) != fips.random_bytes(12)
    assert drawn == [12]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((False, False), "in force in a and b"),
        ((True, False), "in force in b"),
        ((False, True), "in force in a"),
    ],
)
def test_it_is_refused_unless_the_provider_serves_all_that_computes(
    answers: tuple[bool, bool], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = dict(zip("ab", ((lambda one=one: one) for one in answers), strict=True))
    monkeypatch.setattr(fips, "_LIBRARIES", asked)
    with pytest.raises(UsageError, match=message) as caught:
        fips.turn_on()
    assert not fips.is_on()
    assert ("two OpenSSLs" in caught.value.hint) == (sum(answers) == 1)


def dray(*words: str, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from bundle.cli import main; main()", *words]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_host_without_the_provider_is_told_so(way: str, isolated: Path) -> None:
    words = ["keygen", "keys", "--no-passphrase"] + ["--fips"] * (way == "option")
    env = {"PATH": "/usr/bin:/bin"} | ({"DRAY_FIPS": "1"} if way == "variable" else {})
    done = dray(*words, env=env, folder=isolated)
    assert done.returncode == 2
    assert "--fips: no FIPS provider is in force in hashlib and ssl and cryptography" in done.stderr
    assert not (isolated / "keys").exists()


@pytest.mark.server
def test_with_the_provider_it_works_or_says_which_library_is_not_served(isolated: Path) -> None:
    """Which of the two depends on whose OpenSSL ``cryptography`` has here."""
    env = {"PATH": "/usr/bin:/bin", **provider.environment()}
    done = dray("keygen", "keys", "--no-passphrase", "--fips", env=env, folder=isolated)
    probe = "import ssl; from cryptography.hazmat.backends.openssl import backend as b; "
    probe += "print(b.openssl_version_text() == ssl.OPENSSL_VERSION)"
    same = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    if same.stdout == "True\n":
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 2
    assert "no FIPS provider is in force in cryptography" in done.stderr
    assert "--no-binary cryptography" in done.stderr
