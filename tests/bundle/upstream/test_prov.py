"""Provenance of charts: as helm and gpg make it, and clear-signed text that is meant to deceive."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import NotTrusted, UsageError
from bundle.upstream import prov
from bundle.upstream.find import signings
from bundle.upstream.keys import Keys
from bundle.upstream.openpgp import Keyring, verified
from fixtures.charts import PUBLISHER
from fixtures.openpgp import PgpKey
from tests.bundle.upstream.made import KEYS, Made, ring
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.upstream.record import Proof

ARCHIVE = b"the archive of a chart"
RINGS = Keys(rings=(ring(),))
STRANGER = PgpKey("stranger")


def text(
    name: str = "app", version: str = "1.2.3", archive: bytes = ARCHIVE, file: str = ""
) -> str:
    file = file or f"{name}-{version}.tgz"
    facts = f"apiVersion: v2\nname: {name}\nversion: {version}\n"
    return f"{facts}\n...\nfiles:\n  {file}: {Digest.of(archive)}\n"


def chart(provenance: bytes, *, version: str = "1.2.3") -> tuple[Made, Digest]:
    made = Made("chart", "charts.example/app:1")
    made.add("layer", prov.CHART, ARCHIVE)
    made.add("layer", prov.MEDIA_TYPE, provenance)
    made.add("config", prov.CONFIG, json.dumps({"name": "app", "version": version}).encode())
    return made, made.add("manifest", "a/m", provenance[:64] + b"manifest")


def proved(provenance: bytes, keys: Keys = RINGS) -> Proof:
    made, root = chart(provenance)
    [found] = signings(made.artifact(root), made.read)
    return found.prove(keys)


def refused(provenance: bytes, says: str, keys: Keys = RINGS) -> None:
    with pytest.raises(NotTrusted) as caught:
        proved(provenance, keys)
    assert says in caught.value.message
    assert "backtrace" not in caught.value.message


def test_a_provenance_proves_the_archive() -> None:
    proof = proved(PUBLISHER.clearsign(text()))
    assert (proof.method, proof.key, proof.over) == ("prov", "charts", Digest.of(ARCHIVE))
    assert proof.fingerprint == f"openpgp:{PUBLISHER.fingerprint}"


def test_line_ends_of_windows_are_the_same_text() -> None:
    assert proved(PUBLISHER.clearsign(text()).replace(b"\n", b"\r\n")).key == "charts"


def test_a_keyring_may_hold_several_keys_and_one_may_be_chosen() -> None:
    both = STRANGER.armored + PUBLISHER.armored
    whole = Keyring.read("both", both, what="keys.asc")
    assert len(whole.fingerprints) == 2
    assert proved(PUBLISHER.clearsign(text()), Keys(rings=(whole,))).key == "both"
    one = f"openpgp:{STRANGER.fingerprint}"
    chosen = Keyring.read("both", both, what="keys.asc", only=one)
    refused(PUBLISHER.clearsign(text()), "another key than both", Keys(rings=(chosen,)))
    with pytest.raises(UsageError, match="has no key openpgp:0000"):
        Keyring.read("both", both, what="keys.asc", only="openpgp:" + "0" * 40)


def test_another_key_is_refused() -> None:
    refused(STRANGER.clearsign(text()), "made by another key than charts")
    refused(PUBLISHER.clearsign(text()), "made by another key than no key", KEYS)


def test_another_charts_provenance_is_refused() -> None:
    refused(PUBLISHER.clearsign(text("other")), "is of other 1.2.3, not of app 1.2.3")
    refused(PUBLISHER.clearsign(text(version="1.2.4")), "is of app 1.2.4, not of app 1.2.3")


def test_another_archive_is_refused() -> None:
    refused(PUBLISHER.clearsign(text(archive=b"older")), "signs app-1.2.3.tgz as sha256:")
    refused(PUBLISHER.clearsign(text(file="x.tgz")), "signs app-1.2.3.tgz as no such file")


def test_the_config_must_be_the_charts() -> None:
    made, root = chart(PUBLISHER.clearsign(text()), version="9.9.9")
    [found] = signings(made.artifact(root), made.read)
    with pytest.raises(NotTrusted, match=r"not of app 9\.9\.9"):
        found.prove(RINGS)


GOOD = PUBLISHER.clearsign(text())
EVIL = text(archive=b"evil").encode()
FRAMES: dict[str, bytes] = {
    "text before it": EVIL + GOOD,
    "text after it": GOOD + EVIL,
    "a second message after it": GOOD + STRANGER.clearsign(text(archive=b"evil")),
    "twice the same": GOOD * 2,
    "text in its header": GOOD.replace(b"Hash: SHA512\n", b"Hash: SHA512\nfiles: evil\n"),
    "an unknown header": GOOD.replace(b"Hash: SHA512\n", b"Hash: SHA512\nNotDashEscaped: x\n"),
    "text in its armor": GOOD.replace(b"SIGNATURE-----\n\n", b"SIGNATURE-----\nX: evil\n\n", 1),
    "a line that is not escaped": GOOD.replace(b"\nfiles:", b"\n-files:"),
    "no end": GOOD.rpartition(b"-----END")[0],
    "no signature": GOOD.partition(b"-----BEGIN PGP SIGNATURE")[0],
    "no blank line": GOOD.replace(b"\n\n", b"\n"),
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "a mebibyte": GOOD + b"\n" * (1 << 20),
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_not_one_signed_text_and_nothing_else_is_refused(name: str) -> None:
    with pytest.raises(NotTrusted):
        proved(FRAMES[name])


def test_a_changed_byte_of_the_text_is_refused() -> None:
    start, end = GOOD.index(b"apiVersion"), GOOD.index(b"-----BEGIN PGP SIGNATURE")
    for place in range(start, end, 5):
        changed = bytearray(GOOD)
        changed[place] ^= 1
        with pytest.raises(NotTrusted):
            proved(bytes(changed))


def test_white_space_at_the_ends_of_lines_is_not_signed_and_changes_nothing() -> None:
    assert proved(GOOD.replace(b"version: 1.2.3\n", b"version: 1.2.3 \t\n")).over


TEXTS: dict[str, tuple[str, str]] = {
    "no parts": ("name: app\n", "has 1 parts"),
    "three parts": (text() + "\n...\nfiles: {}\n", "has 3 parts"),
    "no name": ("version: 1\n\n...\nfiles: {}\n", "'name' is missing"),
    "a doubled key": (text().replace("files:", "files: {}\nfiles:"), "duplicate key"),
    "an alias": ("name: &a x\nversion: *a\n\n...\nfiles: {}\n", "the provenance"),
    "a file more": (text() + "  other.tgz: sha256:00\n", "signs app-1.2.3.tgz as sha256:"),
    "another hash": (text().replace("sha256:", "sha512:"), "as sha512:"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_odd_is_refused_although_the_key_signed_it(name: str) -> None:
    body, says = TEXTS[name]
    refused(PUBLISHER.clearsign(body), says)


def test_a_provenance_without_a_chart_proves_nothing() -> None:
    made = Made("chart", "charts.example/app:1")
    made.add("layer", prov.MEDIA_TYPE, GOOD)
    root = made.add("manifest", "a/m", b"manifest")
    [found] = signings(made.artifact(root), made.read)
    with pytest.raises(NotTrusted, match="is of no chart"):
        found.prove(RINGS)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no OpenPGP key"),
        (b"\xff" * 40, "holds no OpenPGP key"),
        (GOOD, "holds no OpenPGP key"),
        (b" " * (1 << 20) + b"x", "larger than any keyring"),
    ],
)
def test_what_is_no_keyring_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Keyring.read("k", data, what="keys.asc")


# -- gpg and helm ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Gpg:
    program = shutil.which("gpg")
    if not program:
        pytest.skip("there is no gpg here")
    return Gpg(program, tmp_path_factory.mktemp("gnupg"))


class Gpg:
    """GnuPG with a home and two keys of its own, one of RSA as helm's users have."""

    def __init__(self, program: str, home: Path) -> None:
        self.program, self.home = program, home
        home.chmod(0o700)
        for user, kind in (("acme", "rsa2048"), ("curve", "ed25519")):
            self.run("--quick-gen-key", f"{user} <{user}@example.com>", kind, "sign", "never")

    def run(self, *arguments: str, data: bytes = b"") -> bytes:
        quiet = ("--homedir", str(self.home), "--batch", "--quiet", "--passphrase", "")
        done = subprocess.run(
            [self.program, *quiet, *arguments], input=data, capture_output=True, check=True
        )
        return done.stdout

    def ring(self, user: str, *more: str) -> Keyring:
        return Keyring.read("acme", self.run("--export", *more, user), what="keys.gpg")


@pytest.mark.parametrize("user", ["acme", "curve"])
@pytest.mark.parametrize("armor", [(), ("--armor",)], ids=["binary", "armored"])
def test_what_gpg_signs_is_accepted(gpg: Gpg, user: str, armor: tuple[str, ...]) -> None:
    body = text() + "- a line with a dash\n"
    signed = gpg.run("-u", user, "--clearsign", data=body.encode())
    found = verified(signed, [gpg.ring(user, *armor)], "m")
    assert found.text.rstrip() == body.rstrip()


def test_sha1_is_refused(gpg: Gpg) -> None:
    signed = gpg.run("-u", "acme", "--digest-algo", "SHA1", "--clearsign", data=text().encode())
    with pytest.raises(NotTrusted, match="another key than acme, or is damaged"):
        verified(signed, [gpg.ring("acme")], "m")


def test_a_secret_key_is_refused(gpg: Gpg) -> None:
    secret = gpg.run("--export-secret-keys", "acme")
    with pytest.raises(UsageError, match="holds a secret key"):
        Keyring.read("k", secret, what="keys.gpg")


def test_a_revoked_key_is_refused(gpg: Gpg) -> None:
    gpg.run("--quick-gen-key", "gone@example.com", "ed25519", "sign", "never")
    fingerprint = gpg.ring("gone@example.com").fingerprints[0].removeprefix("openpgp:").upper()
    made = gpg.home / "openpgp-revocs.d" / f"{fingerprint}.rev"
    gpg.run("--import", data=made.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
    with pytest.raises(UsageError, match="is revoked"):
        gpg.ring("gone@example.com")


def test_gpg_accepts_what_the_fixtures_sign(gpg: Gpg) -> None:
    gpg.run("--import", data=PUBLISHER.armored)
    gpg.run("--verify", data=GOOD)


@pytest.mark.server
def test_what_helm_packages_and_signs_is_accepted(gpg: Gpg, tmp_path: Path) -> None:
    helm = programs.require("helm")
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Chart.yaml").write_text(
        "apiVersion: v2\nname: app\nversion: 1.2.3\nappVersion: '1.0'\n"
        "description: |\n  two\n  lines\n"
        "maintainers: [{name: Somebody, email: a@example.com}]\n"
    )
    secret = tmp_path / "secring.gpg"
    secret.write_bytes(gpg.run("--export-secret-keys", "acme"))
    sign = ["--sign", "--key", "acme", "--keyring", str(secret)]
    subprocess.run(
        [helm, "package", *sign, str(folder), "-d", str(tmp_path)], check=True, capture_output=True
    )
    archive = (tmp_path / "app-1.2.3.tgz").read_bytes()
    made = Made("chart", "charts.example/app:1")
    made.add("layer", prov.CHART, archive)
    made.add("layer", prov.MEDIA_TYPE, (tmp_path / "app-1.2.3.tgz.prov").read_bytes())
    made.add("config", prov.CONFIG, b'{"name": "app", "version": "1.2.3"}')
    root = made.add("manifest", "a/m", b"manifest")
    [found] = signings(made.artifact(root), made.read)
    assert found.prove(Keys(rings=(gpg.ring("acme"),))).over == Digest.of(archive)
