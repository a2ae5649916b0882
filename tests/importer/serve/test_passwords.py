"""Passwords as ``openssl passwd -6`` hashes them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from bundle.errors import UsageError
from importer.serve.answer import Refused
from importer.serve.passwords import Passwords, sha512_crypt
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("password", "expected"),
    [  # U. Drepper's own test vectors
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdF"
            "CoEOfaS35inz1",
        ),
        (
            "Hello world!",
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0D"
            "p8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        ),
        (
            "a very much longer text to encrypt.  This one even stretches over morethan one line.",
            "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs"
            "66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
        ),
    ],
)
def test_the_hash_is_that_of_the_specification(password: str, expected: str) -> None:
    assert sha512_crypt(password.encode(), expected) == expected


@pytest.mark.server
@pytest.mark.parametrize("password", ["a", "correct horse battery", "ö" * 40, "x" * 200])
def test_openssl_agrees(password: str) -> None:
    command = [str(programs.require("openssl")), "passwd", "-6", "-stdin"]
    made = subprocess.run(command, input=password.encode(), capture_output=True, check=True)
    line = made.stdout.decode().strip()
    assert sha512_crypt(password.encode(), line) == line


@pytest.mark.parametrize(
    "text",
    ["", "user\n", "user:secret\n", "user:$1$ab$cdef\n", "\xff", "u:$6$a$" + "b" * 85 + "\n"],
)
def test_what_is_no_user_and_hash_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        Passwords.load(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!", "Basic YQ==", "Bearer YTpi", "Basic YTo=", "Basic /zpi"]
)
def test_what_is_no_password_is_refused(header: str) -> None:
    with pytest.raises(Refused) as caught:
        Passwords({"a": sha512_crypt(b"b", "$6$salt$")}).check(header)
    assert caught.value.status == 401


def test_a_user_with_the_password_may(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("a:" + sha512_crypt(b"b", "$6$salt$") + "\n")
    known = Passwords.load(path)
    known.check("Basic YTpi")
    known.check("basic YTpi")
