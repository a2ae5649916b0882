"""Lies about encrypted bundles, and keys that do not open them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle import segments
from bundle.digest import Digest
from bundler import signing
from bundler.chunkkeys import wrap
from tests import factory, keys
from tests.refusals.edits import OTHER, add, put, remove
from tests.refusals.table import IMPORT, VERIFY, WAYS, Lie, check, dray, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

COPY = "copy this file again"
KEY = ("--decrypt-key", "mine.decrypt-key")
HEADER = "not the header that was signed"
SEGMENT = "not the segment that was encrypted here"


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """A bundle encrypted to ``mine.decrypt-key``, which lies beside it; and an older one."""
    root = tmp_path_factory.mktemp("encrypted")
    mine = pair(root / "encrypted", "mine").public_key
    pair(root / "encrypted", "yours")
    return {
        "encrypted": factory.build(root / "encrypted", sequence=7, recipients=(mine,)),
        "older": factory.build(
            root / "older", lambda kept: factory.sample(kept, seed="older"), sequence=6
        ),
    }


def pair(folder: Path, name: str) -> signing.KeyPair:
    endings = signing.ENCRYPTION_ENDINGS
    return signing.generate(folder, name, passphrase=None, endings=endings)


def write(number: int, at: int, data: bytes) -> Tell:
    """Overwrite bytes of a chunk's file."""

    def tell(bundle: Bundle) -> None:
        with bundle.chunk(number).open("r+b") as file:
            file.seek(at, 2 if at < 0 else 0)
            file.write(data)

    return tell


def swap_headers(bundle: Bundle) -> None:
    one, two = bundle.chunk(1), bundle.chunk(2)
    first, second = one.read_bytes(), two.read_bytes()
    cut = segments.HEADER
    one.write_bytes(second[:cut] + first[cut:])
    two.write_bytes(first[:cut] + second[cut:])


def strip(bundle: Bundle) -> None:
    """Put somebody else's row in the place of the recipient's."""
    name = bundle.chunk(1).name
    header = wrap(bytes(32), name, [keys.recipient("stranger").public_key])
    write(1, 0, header)(bundle)


def resealed_header(bundle: Bundle) -> None:
    """Sign a header that has no row for the recipient: the low side's own mistake."""
    strip(bundle)
    header = bundle.chunk(1).read_bytes()[: segments.HEADER]
    put("chunks", 0, "encryption", "header", value=str(Digest.of(header)))(bundle)


def downgrade(bundle: Bundle) -> None:
    """Put a chunk in clear in the place of an encrypted one."""
    path = bundle.chunk(1)
    path.unlink()
    path.with_name(path.name.removesuffix(".enc")).write_bytes(b"oci-layout".ljust(8192, b"\0"))


def in_clear(bundle: Bundle) -> None:
    """Put bytes in clear under the encrypted chunk's own name, in its size."""
    path = bundle.chunk(1)
    path.write_bytes(b"oci-layout".ljust(path.stat().st_size, b"\0"))


def unlisted(bundle: Bundle) -> None:
    """Say that nothing is encrypted, and leave the chunks as they are."""

    def change(body: dict[str, object]) -> None:
        del body["encryption"]
        body["features"] = []

    bundle.lie(change)


NO_KEY = [
    Lie(
        "no key",
        lambda _bundle: None,
        2,
        "the chunks of prod-000007 are encrypted",
        "name the private key with --decrypt-key FILE",
        bundle="encrypted",
        ways=(IMPORT,),
    ),
    Lie(
        "no key, a flipped byte",
        write(1, -40, b"\xff"),
        3,
        "is not the file that was signed",
        COPY,
        bundle="encrypted",
        ways=(VERIFY,),
    ),
    Lie(
        "no key, another header",
        write(1, 40, b"\xff"),
        3,
        HEADER,
        COPY,
        bundle="encrypted",
        ways=(VERIFY,),
    ),
    Lie("no key, in clear", in_clear, 3, HEADER, COPY, bundle="encrypted", ways=(VERIFY,)),
]


def lie(name: str, tell: Tell, code: int, says: str, hint: str = COPY, **more: object) -> Lie:
    settings = {"bundle": "encrypted", "options": KEY, **more}
    return Lie(name, tell, code, says, hint, **settings)  # type: ignore[arg-type]


CHUNKS = [
    lie("the magic is another", write(1, 0, b"X"), 3, HEADER, inside=True),
    lie("headers are swapped", swap_headers, 3, HEADER, inside=True),
    lie("the recipient is stripped", strip, 3, HEADER, inside=True),
    lie("a length is another", write(1, 4096, b"\xff"), 3, SEGMENT, ways=(VERIFY,)),
    lie("a nonce is another", write(1, 4100, b"\xff" * 12), 3, SEGMENT, ways=(VERIFY,)),
    lie("the last tag is another", write(1, -1, b"\xff\xff"), 3, "too long", ways=WAYS),
    lie("in clear beside", downgrade, 3, "is no part of the bundle", "remove it"),
    lie("in clear in its place", in_clear, 3, HEADER, inside=True),
    lie("a header without a row", resealed_header, 3, "no key for", "ask there", inside=True),
]
MANIFESTS = [
    lie("not encrypted after all", unlisted, 3, "is encrypted, or not, unlike the bundle", ""),
    lie("the feature is missing", put("features", value=[]), 3, "do not say the same", ""),
    lie("nobody can open it", put("encryption", "recipients", value=[]), 3, "no recipients", ""),
    lie("a recipient is no digest", put("encryption", "recipients", 0, value="x"), 3, "digest", ""),
    lie("a chunk is bare", remove("chunks", 0, "encryption"), 3, "unlike the bundle", ""),
    lie(
        "the inner size is another",
        add("chunks", 0, "encryption", "size", amount=512),
        3,
        "not as long as its contents",
        "",
    ),
    lie(
        "the file's size is another",
        add("chunks", 0, "size", amount=32),
        3,
        "not as long as its contents",
        "",
    ),
    lie(
        "the name is that of a plain one",
        put("chunks", 0, "name", value="prod-000007.chunk-00001.tar"),
        3,
        "not 'prod-000007",
        "",
    ),
    lie(
        "the header is another",
        put("chunks", 0, "encryption", "header", value=OTHER),
        3,
        HEADER,
        inside=True,
    ),
]
KEYS = [
    lie(
        "another's key",
        lambda _b: None,
        2,
        "is not encrypted to the key",
        "it is encrypted to: sha256:",
        options=("--decrypt-key", "yours.decrypt-key"),
    ),
    lie(
        "a public key",
        lambda _b: None,
        2,
        "is a public key, not a private one",
        "",
        options=("--decrypt-key", "mine.encrypt-to"),
    ),
    lie(
        "a key that is not there",
        lambda _b: None,
        2,
        "cannot read the key file",
        "",
        options=("--decrypt-key", "nobody.decrypt-key"),
    ),
]


PUB = ("--decryptor-pub", "mine.encrypt-to")
AGREES = "openssl pkeyutl -derive -peerform DER -peerkey /dev/stdin -inkey {}.decrypt-key"


def command(name: str, line: str, says: str, hint: str, *more: str) -> Lie:
    """A good bundle, and a command that does not open it: nothing is said to be damaged."""
    options = ("--decryptor", line, *PUB, *more)
    return lie(name, lambda _b: None, 2, says, hint, options=options, ways=(VERIFY, IMPORT))


COMMANDS = [
    command("it fails", "false", "the decryptor false failed with code 1", "stands above"),
    command("it prints words", "echo yes", "printed 4 bytes, which are no x-coord", "32 bytes"),
    command("it is none", "no-such-token", "no such decryptor: no-such-token", "on PATH"),
    command("its key is another", AGREES.format("yours"), "has another key than", "public half"),
    command("a file as well", "true", "exclude each other", "DRAY_DECRYPT_KEY", *KEY),
]


@rows(NO_KEY, CHUNKS, MANIFESTS, KEYS, COMMANDS)
def test_it_is_refused(lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path) -> None:
    check(lie, way, bundle, target, isolated)


def test_a_good_one_is_verified_and_imported(good: dict[str, Bundle], tmp_path: Path) -> None:
    bundle = good["encrypted"]
    desk = bundle.trust.parent
    trust = ("--trust", bundle.trust)
    agreeing = ("--decryptor", AGREES.format("mine"), *PUB)
    for number, key in enumerate((KEY, agreeing)):
        for arguments in (("verify",), ("import", "--to", tmp_path / f"to-{number}")):
            done = dray(*arguments, *trust, *key, bundle.folder, folder=desk)
            assert done.code == 0, done
    done = dray("verify", *trust, bundle.folder, folder=desk)
    assert (done.code, "were not opened" in done.out) == (0, True)
