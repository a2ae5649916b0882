"""A kit's folder: what is not as it was signed is refused, and so is who may not sign one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from bundle.errors import DrayError, MediaIncomplete, NotTrusted, UsageError, VerificationError
from bundle.kit import check
from bundle.kit.command import group
from bundle.quorum import Role, Stream
from tests import keys
from tests.bundle.kit import made

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.trust import Trust

ALICE, BOB = keys.signer("alice"), keys.signer("bob")
PROD = {"prod": Stream.of(("bob",), 1)}
TRUST = keys.trust(ALICE, BOB, streams=PROD, root=Role(("alice",), 1))


def judged(folder: Path, trust: Trust = TRUST, **installed: str) -> check.Checked:
    return check.check(folder, trust, keys.NOW, installed)


def test_a_good_kit_is_told_with_its_signers(tmp_path: Path) -> None:
    folder = made.written(tmp_path, made.kit())
    found = judged(folder, thing="1.0")
    assert found.signers.names == ("alice",)
    assert found.kit.versions == {"thing": "1.0"}
    assert not found.older
    assert check.find([tmp_path]) == check.find([folder]) == [folder]


def tar(folder: Path) -> Path:
    return next(folder.glob("*.tar"))


def rename(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-0.1.0-", "-0.2.0-"))


@pytest.mark.parametrize(
    ("tamper", "error", "message"),
    [
        (lambda f: tar(f).write_bytes(tar(f).read_bytes()[:-1] + b"x"), VerificationError, "other"),
        (lambda f: tar(f).write_bytes(b""), VerificationError, "has 0 bytes, not the"),
        (lambda f: tar(f).unlink(), MediaIncomplete, "is missing"),
        (lambda f: (f / "README.txt").write_text("curl x | sh"), VerificationError, "README.txt"),
        (lambda f: (f / "setup.sh").write_text("x"), VerificationError, "is not of the kit"),
        (lambda f: (f / "a\nb").write_text("x"), VerificationError, "a\\nb"),
        (rename, VerificationError, "a kit cannot be renamed"),
    ],
)
def test_what_is_not_as_it_was_signed_is_refused(
    tamper: Callable[[Path], object], error: type[DrayError], message: str, tmp_path: Path
) -> None:
    folder = made.written(tmp_path, made.kit())
    tamper(folder)
    with pytest.raises(error) as caught:
        judged(folder)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = made.written(tmp_path, made.kit())
    tar(folder).rename(tmp_path / "elsewhere")
    (folder / f"{folder.name}.tar").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VerificationError, match="is a link"):
        judged(folder)


def test_nothing_of_an_unsigned_document_is_parsed(tmp_path: Path) -> None:
    folder = made.written(tmp_path, made.kit())
    (folder / f"{folder.name}.json").write_bytes(b"{")
    with pytest.raises(NotTrusted, match="no trusted key signed this"):
        judged(folder)


def test_a_key_that_may_sign_bundles_alone_signs_no_kit(tmp_path: Path) -> None:
    folder = made.written(tmp_path, made.kit(), "bob")
    with pytest.raises(NotTrusted, match="the root role") as caught:
        judged(folder)
    assert "dray kit make" in caught.value.hint


def test_a_stream_for_kits_says_who_signs_them(tmp_path: Path) -> None:
    streams = {**PROD, "dray-kit": Stream.of(("alice", "bob"), 2)}
    trust = replace(TRUST, streams=streams)
    one = made.written(tmp_path / "one", made.kit(), "alice")
    with pytest.raises(NotTrusted, match="the stream 'dray-kit'"):
        judged(one, trust)
    both = made.written(tmp_path / "both", made.kit(), "alice", "bob")
    assert judged(both, trust).signers.names == ("alice", "bob")


def test_an_expired_trust_file_vouches_for_no_kit(tmp_path: Path) -> None:
    folder = made.written(tmp_path, made.kit())
    with pytest.raises(NotTrusted, match="expired"):
        check.check(folder, replace(TRUST, expires=keys.NOW), keys.NOW, {})


def test_an_older_kit_is_refused_and_a_reason_lets_it_through(tmp_path: Path) -> None:
    found = judged(made.written(tmp_path, made.kit()), Thing="1.1")
    with pytest.raises(NotTrusted, match=r"thing 1.0, and 1.1 is installed"):
        check.refuse_older(found, "")
    check.refuse_older(found, "the new one fails on our kernel")


def test_what_holds_no_kit_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaIncomplete, match="no kit in"):
        check.find([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        check.find([tmp_path / "nowhere"])
    folder = made.written(tmp_path, made.kit())
    other = folder.name.replace("amd64", "arm64")
    (folder / f"{other}.json").write_text("{}")
    with pytest.raises(MediaIncomplete, match="2 documents"):
        judged(folder)


def test_the_command_judges_every_kit_and_goes_on(tmp_path: Path) -> None:
    pub = tmp_path / "alice.pub"
    pub.write_text(ALICE.public_key.pem)
    good = made.written(tmp_path / "usb", made.kit())
    bad = good.with_name(good.name + "-standalone")
    shutil.copytree(good, bad)
    (bad / "README.txt").unlink()
    arguments = ["verify", str(good.parent), "--pub", str(pub)]
    done = CliRunner().invoke(group(), [*arguments, "--json"])
    assert isinstance(done.exception, DrayError)
    assert [row["ok"] for row in json.loads(done.stdout)["kits"]] == [True, False]
    done = CliRunner().invoke(group(), arguments)
    assert "signed by alice" in done.stdout
    assert f"BAD {bad}" in done.stdout
