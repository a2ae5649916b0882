"""Opening by a command: what it is given, what it may answer, and how it can fail."""

from __future__ import annotations

import base64
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bundle import envelope
from bundle.errors import UsageError
from bundle.keycommand import Command
from bundle.signature import PublicKey
from bundler.chunkkeys import wrap
from importer import decryptor
from importer.decryptor import BASE, Decryptor
from importer.option import Decryption
from tests import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPS = keys.recipient("ops")
TRUST = keys.trust(keys.signer("alice"))
POINT = keys.recipient("somebody").point
SHARED = OPS.agree(POINT)


@dataclass(frozen=True)
class Device(Command):
    """A command that is no process: ``answers`` makes its answer out of the right one."""

    words: tuple[str, ...] = ("token", "--pin", "4711")
    role: str = decryptor.ROLE
    answers: Callable[[bytes], bytes] = bytes
    asked: list[bytes] = field(default_factory=list)

    def ask(self, what: str, data: bytes) -> bytes:
        assert what == "agree"
        point = PublicKey.of(load_der_public_key(data)).der[-65:]
        self.asked.append(point)
        return self.answers(OPS.agree(point))


def behind(device: Device) -> Decryptor:
    return Decryptor(device, OPS.public_key)


@pytest.mark.parametrize("form", [bytes, base64.b64encode, base64.encodebytes])
def test_what_the_device_agrees_on_opens_a_chunk(form: Callable[[bytes], bytes]) -> None:
    found = behind(Device(answers=form))
    assert (found.fingerprint, found.point) == (OPS.fingerprint, OPS.point)
    assert found.agree(POINT) == SHARED
    header = wrap(b"k" * 32, "a.tar.enc", [OPS.public_key])
    assert envelope.file_key(header, "a.tar.enc", found) == b"k" * 32


def test_it_is_tried_first_and_asked_once_for_each_chunk_by_however_many_threads() -> None:
    device = Device()
    found = behind(device)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(found.agree, [POINT] * 40)) == {SHARED}
    assert device.asked == [BASE, POINT]


@pytest.mark.parametrize("point", [b"", b"\x04" + bytes(64), b"\x04" + b"\xff" * 64])
def test_what_is_no_point_never_reaches_the_device(point: bytes) -> None:
    device = Device()
    with pytest.raises(ValueError, match=r".+"):
        behind(device).agree(point)
    assert device.asked == []


def other_key(answer: bytes) -> bytes:
    return bytes([answer[0] ^ 1]) + answer[1:]


def loose(answer: bytes) -> bytes:
    """Return base64 with a bit in its last letter that stands for nothing."""
    text = base64.b64encode(answer)
    return text[:-2] + bytes([text[-2] + 1]) + b"="


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _right: b"", "printed 0 bytes, which are no x-coordinate"),
    "a byte less": (lambda right: right[:-1], "printed 31 bytes, which are no x-coordinate"),
    "words behind it": (lambda right: right + b"\nUsing key\n", "printed 43 bytes"),
    "hex": (lambda right: right.hex().encode(), "printed 64 bytes"),
    "garbage": (lambda right: right * 99, "printed 3168 bytes"),
    "base64 of its own": (loose, "printed 44 bytes, which are no x-coordinate"),
    "of another key": (other_key, "the decryptor token has another key than sha256:"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_told_without_a_byte_of_it_and_asked_for_once(name: str) -> None:
    make, says = WRONG[name]
    device = Device(answers=make)
    found = behind(device)
    for _again in range(2):
        with pytest.raises(UsageError, match=says) as caught:
            found.agree(POINT)
        text = f"{caught.value} {caught.value.hint} {found!r}"
        right = OPS.agree(BASE)
        assert "4711" not in text
        for secret in (right.hex(), repr(right), base64.b64encode(right).decode()):
            assert secret[:12] not in text
    assert device.asked == [BASE]


def test_a_key_that_signs_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    alice, edwards = keys.signer("alice"), keys.signer("edwards", "ed25519")
    for signer, says in ((alice, "must not open chunks as well"), (edwards, "opens nothing")):
        pub = tmp_path / f"{signer.name}.pub"
        pub.write_text(signer.public_key.pem)
        with pytest.raises(UsageError, match=says):
            decryptor.load(Device(), pub, TRUST)


# Real processes.


def scripted(folder: Path, body: str) -> Command:
    path = folder / "token.py"
    path.write_text(f"import os, sys, time\n{body}\n")
    line = f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} --pin 4711"
    return Command.parse(line, 0.5 if "sleep" in body else 20, role=decryptor.ROLE)


def test_a_command_without_a_public_key_beside_it_is_asked_for_it(tmp_path: Path) -> None:
    pem = OPS.public_key.pem
    asked = "os.environ['DRAY_DECRYPTOR_ASKS'] == 'public-key' and not sys.stdin.read()"
    found = decryptor.load(scripted(tmp_path, f"print({pem!r} if {asked} else '')"), None, TRUST)
    assert found.fingerprint == OPS.fingerprint
    with pytest.raises(UsageError) as caught:
        decryptor.load(scripted(tmp_path, "print('no')"), None, TRUST)
    assert "--decryptor-pub FILE" in caught.value.hint
    assert "DRAY_DECRYPTOR_ASKS=public-key" in caught.value.hint


FAILURES = {
    r"the decryptor .* failed with code 3": "sys.exit(3)",
    r"the decryptor .* did not answer within 0.5 seconds": "time.sleep(60)",
}


@pytest.mark.parametrize("says", FAILURES)
def test_a_command_that_fails_or_hangs_is_told_by_its_program_alone(
    says: str, tmp_path: Path
) -> None:
    found = Decryptor(scripted(tmp_path, FAILURES[says]), OPS.public_key)
    with pytest.raises(UsageError, match=says) as caught:
        found.agree(POINT)
    assert "4711" not in f"{caught.value} {caught.value.hint}"
    assert "did not" not in says or "--decryptor-timeout" in caught.value.hint


def test_options_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    key = tmp_path / "key"
    with pytest.raises(UsageError, match="exclude each other"):
        Decryption(key, "token").check()
    with pytest.raises(UsageError, match="goes with --decryptor"):
        Decryption(key, pub=key).check()
    Decryption(None, "token", key).check()
    assert Decryption().is_empty
