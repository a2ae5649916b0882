"""The second person of two: adds a signature to what is vouched for, and replaces nobody's."""

from __future__ import annotations

import errno
import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bundle import instant
from bundle.errors import GateRefused, NotTrusted, UsageError, VerificationError
from bundle.media import Media
from bundle.quorum import Role, Stream
from bundle.unseal import unseal
from bundler import countersign
from bundler.chunkfile import MediumError
from bundler.finish import finish
from tests import keys
from tests.bundler.world import BUNDLE, Upstream, export, lock, locked, noise, plan

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.signing import Signer

DATA = noise("data", 1_200_000)
LOCK = lock(locked("one", DATA))


def signer(name: str, key: str = "") -> Signer:
    """Return a signer with the key of another one's name."""
    found = keys.signer(key or name)
    return type(found)(name, found.public_key, found.sign)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle on two media, signed by ``first``."""
    folder = tmp_path_factory.mktemp("sealed")
    made = plan(LOCK, folder, media=(1_300_000, 10**8))
    outcome = export(made, Upstream.of(DATA))
    finish(
        made,
        outcome,
        [keys.signer("first")],
        sequence=1,
        created="2026-06-01T12:00:00Z",
        lifetime=timedelta(days=30),
        previous=None,
        name=BUNDLE,
    )
    next(folder.rglob("*.journal")).unlink()
    return folder / BUNDLE


@pytest.fixture
def bundle(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(instant, "now", lambda: keys.NOW)
    return shutil.copytree(sealed, tmp_path / BUNDLE)


def add(folder: Path, one: Signer, trust: Path | None, pub: Path | None) -> list[Path]:
    return countersign.add(countersign.read(folder, trust, pub), one)


def trust(folder: Path, *names: str, threshold: int = 1) -> Path:
    path = folder / "trust.json"
    streams = {"prod": Stream.of(names, threshold)}
    path.write_bytes(keys.trust(*(keys.signer(name) for name in names), streams=streams).to_bytes())
    return path


def test_two_signatures_satisfy_a_rule_of_two(bundle: Path, tmp_path: Path) -> None:
    file = trust(tmp_path, "first", "second", threshold=2)
    rule = keys.trust(
        keys.signer("first"),
        keys.signer("second"),
        streams={"prod": Stream.of(("first", "second"), 2)},
    )
    with pytest.raises(NotTrusted, match="1 missing"):
        unseal(Media.find([bundle]), rule, keys.NOW)
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    written = add(bundle, signer("second"), file, None)
    assert unseal(Media.find([bundle]), rule, keys.NOW).signers.names == ("first", "second")
    assert sorted(path.name for path in written) == sorted(
        [f"{BUNDLE}.manifest.json.second.{end}" for end in ("sig", "sigstore.json")] * 2
    )
    assert {path: path.read_bytes() for path in before} == before


def test_what_nobody_trusted_has_signed_gets_no_second_signature(
    bundle: Path, tmp_path: Path
) -> None:
    file = trust(tmp_path, "stranger")
    with pytest.raises(NotTrusted, match="no trusted key signed this"):
        add(bundle, signer("second"), file, None)
    assert not list(bundle.rglob("*.second.*"))


def test_a_manifest_that_was_changed_gets_no_second_signature(bundle: Path, tmp_path: Path) -> None:
    for path in bundle.rglob("*.manifest.json"):
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(NotTrusted, match="other bytes"):
        add(bundle, signer("second"), trust(tmp_path, "first"), None)


def test_one_changed_copy_is_enough_to_refuse(bundle: Path, tmp_path: Path) -> None:
    path = sorted(bundle.rglob("*.manifest.json"))[1]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(NotTrusted):
        add(bundle, signer("second"), trust(tmp_path, "first"), None)


def test_two_manifests_that_are_both_signed_are_refused(bundle: Path, tmp_path: Path) -> None:
    path = sorted(bundle.rglob("*.manifest.json"))[1]
    other = json.dumps({**json.loads(path.read_bytes()), "sequence": 1}).encode()
    path.write_bytes(other)
    for name, content in keys.signer("first").files(path.name, other).items():
        (path.parent / name).write_bytes(content)
    with pytest.raises(VerificationError, match="different manifests"):
        add(bundle, signer("second"), trust(tmp_path, "first"), None)


def test_an_expired_trust_file_vouches_for_nobody(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instant, "now", lambda: keys.LATER)
    with pytest.raises(NotTrusted, match="expired"):
        add(bundle, signer("second"), trust(tmp_path, "first"), None)


def test_a_second_person_whose_key_has_the_firsts_name_replaces_nothing(
    bundle: Path, tmp_path: Path
) -> None:
    file = trust(tmp_path, "first")
    before = sorted((path, path.read_bytes()) for path in bundle.rglob("*.first.*"))
    with pytest.raises(UsageError, match="another key's signature has the name first") as caught:
        add(bundle, signer("first", key="second"), file, None)
    assert "rename your key file" in caught.value.hint
    assert sorted((path, path.read_bytes()) for path in bundle.rglob("*.first.*")) == before


def test_the_same_person_may_sign_again(bundle: Path, tmp_path: Path) -> None:
    file = trust(tmp_path, "first")
    assert add(bundle, signer("first"), file, None)
    unseal(Media.find([bundle]), keys.trust(keys.signer("first")), keys.NOW)


def test_a_broken_signature_file_is_nobodys_and_may_be_replaced(
    bundle: Path, tmp_path: Path
) -> None:
    for path in bundle.rglob("*.manifest.json"):
        path.with_name(f"{path.name}.second.sigstore.json").write_bytes(b"broken")
    assert add(bundle, signer("second"), trust(tmp_path, "first"), None)


def test_one_public_key_is_enough_to_know_the_first_signer(bundle: Path, tmp_path: Path) -> None:
    pub = tmp_path / "first.pub"
    pub.write_text(keys.signer("first").public_key.pem)
    assert add(bundle, signer("second"), None, pub)


def draft(bundle: Path, tmp_path: Path) -> countersign.Draft:
    return countersign.read(bundle, trust(tmp_path, "first"), None)


def test_one_medium_of_several_is_enough(bundle: Path, tmp_path: Path) -> None:
    medium = shutil.copytree(sorted(path for path in bundle.iterdir())[1], tmp_path / "drive")
    here = draft(medium, tmp_path)
    assert (here.signers, len(here.places)) == (("first",), 1)
    assert {path.parent for path in countersign.add(here, signer("second"))} == {medium}
    assert here.lock().digest == here.manifest.lock == LOCK.digest


def test_a_read_only_medium_is_signed_elsewhere(bundle: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    written = countersign.add(draft(bundle, tmp_path), signer("second"), tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == sorted(
        path.name for path in written
    )
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before
    for path in written:
        for medium in bundle.iterdir():
            shutil.copy(path, medium)
    rule = keys.trust(
        keys.signer("first"),
        keys.signer("second"),
        streams={"prod": Stream.of(("first", "second"), 2)},
    )
    assert unseal(Media.find([bundle]), rule, keys.NOW).signers.names == ("first", "second")


def test_a_place_that_cannot_be_written_is_said_and_left_as_it_was(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = draft(bundle, tmp_path)
    with pytest.raises(UsageError, match=r"trust\.json/a cannot be made: not a directory"):
        countersign.add(here, signer("second"), tmp_path / "trust.json" / "a")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    before = sorted(bundle.rglob("*"))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MediumError, match="No space left on device") as caught:
        countersign.add(here, signer("second"))
    assert "--out DIR" in caught.value.hint
    assert sorted(bundle.rglob("*")) == before


def test_a_bundle_that_was_renamed_gets_no_signature(bundle: Path, tmp_path: Path) -> None:
    for path in sorted(bundle.rglob(f"{BUNDLE}.*")):
        path.rename(path.with_name(path.name.replace(BUNDLE, "prod-000099")))
    with pytest.raises(VerificationError, match="what was signed is"):
        draft(bundle, tmp_path)


def test_what_was_read_out_on_the_telephone_is_what_is_signed(bundle: Path, tmp_path: Path) -> None:
    here = draft(bundle, tmp_path)
    digits = here.digest.hex
    spoken = "-".join(digits[start : start + 4] for start in range(0, 24, 4))
    for expected in (str(here.digest), digits[:20], spoken.upper(), digits):
        countersign.check_expected(here, expected)
    for other in (digits[::-1], "0" * 20, digits[:20] + "g0"[digits[20] == "g"]):
        with pytest.raises((GateRefused, UsageError)):
            countersign.check_expected(here, other)
    for vague in (digits[:19], "", "sha256:"):
        with pytest.raises(UsageError, match="not a digest to expect"):
            countersign.check_expected(here, vague)


def test_only_what_is_of_the_reviewed_lock_is_signed(bundle: Path, tmp_path: Path) -> None:
    here = draft(bundle, tmp_path)
    reviewed = tmp_path / "reviewed.lock.yaml"
    reviewed.write_bytes(LOCK.text)
    countersign.check_lock(here, reviewed)
    reviewed.write_bytes(lock(locked("one", DATA), locked("two", noise("two", 99))).text)
    with pytest.raises(GateRefused, match=r"is not of the lock .*removed: "):
        countersign.check_lock(here, reviewed)
    for path in bundle.rglob("*.lock.yaml"):
        path.write_bytes(reviewed.read_bytes())
    with pytest.raises(VerificationError, match="not the lock that the manifest names"):
        countersign.check_lock(here, reviewed)


def staffed(folder: Path, **changes: object) -> Path:
    people = [keys.signer(name) for name in ("first", "second", "third")]
    path = folder / "trust.json"
    path.write_bytes(keys.trust(*people, **changes).to_bytes())  # type: ignore[arg-type]
    return path


def test_what_only_keys_of_other_streams_signed_gets_no_second_signature(
    bundle: Path, tmp_path: Path
) -> None:
    """One of the stream's own keys more would be enough, for bytes that nobody of it made."""
    streams = {"prod": Stream.of(("second",), 1), "dev": Stream.of(("first",), 1)}
    with pytest.raises(NotTrusted, match="first may not sign for the stream 'prod': second may"):
        countersign.read(bundle, staffed(tmp_path, streams=streams), None)
    with pytest.raises(NotTrusted, match="nobody may"):
        countersign.read(bundle, staffed(tmp_path, streams={"dev": Stream.of(("first",), 1)}), None)


def test_the_second_person_is_told_whether_it_is_enough(bundle: Path, tmp_path: Path) -> None:
    builder = Role(("first", "second"), 1, "builder")
    releaser = Role(("second", "third"), 1, "releaser")
    file = staffed(tmp_path, streams={"prod": Stream((builder, releaser))})
    here = countersign.read(bundle, file, None)
    assert countersign.standing(here, [signer("x", key="third")]) == (
        "enough: signed by first (builder), third (releaser)"
    )
    assert countersign.standing(here, [signer("first")]).endswith(
        "1 releaser missing, signed by first (builder)"
    )
    assert "does not know this key" in countersign.standing(here, [signer("stranger")])
    pub = tmp_path / "first.pub"
    pub.write_text(keys.signer("first").public_key.pem)
    assert countersign.standing(countersign.read(bundle, None, pub), [signer("second")]) == ""
