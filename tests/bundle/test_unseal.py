"""The one way to a manifest: signatures over exact bytes first, and only then what they say."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bundle import instant, trust
from bundle.digest import Digest
from bundle.errors import MediaIncomplete, NotTrusted, VerificationError
from bundle.manifest import Manifest
from bundle.media import Media
from bundle.quorum import Stream
from bundle.signaturefiles import check_signatures
from bundle.unseal import Sealed, unseal
from bundle.verify import verify
from tests import keys
from tests.factory import SECOND, STRANGER, Bundle, build

if TYPE_CHECKING:
    from pathlib import Path

NOW = instant.now()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(tmp_path_factory.mktemp("made"), media=(60_000, 10**8))


@pytest.fixture
def bundle(made: Bundle, tmp_path: Path) -> Bundle:
    """A copy on two media, to be changed."""
    root = made.folder.parent
    shutil.copytree(root, tmp_path / root.name)
    folders = tuple(tmp_path / root.name / folder.name for folder in made.folders)
    return Bundle(made.name, folders, made.trust)


def opened(bundle: Bundle) -> Sealed:
    return unseal(Media.find(bundle.folders), trust.load(bundle.trust), NOW)


def test_what_was_signed_is_what_is_read(bundle: Bundle) -> None:
    sealed = opened(bundle)
    data = bundle.path("manifest.json").read_bytes()
    assert sealed.manifest == Manifest.from_bytes(data)
    assert sealed.digest == Digest.of(data)
    assert (sealed.signers.names, dict(sealed.ignored)) == (("dray",), {})


def test_a_manifest_by_a_stranger_is_not_even_parsed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.lie(lambda _body: None, STRANGER)
    monkeypatch.setattr(Manifest, "from_bytes", lambda _data: pytest.fail("it was parsed"))
    with pytest.raises(NotTrusted, match=f"{bundle.name}: no trusted key signed this"):
        opened(bundle)


def test_a_byte_changed_on_every_medium_is_not_signed(bundle: Bundle) -> None:
    for folder in bundle.folders:
        path = folder / f"{bundle.name}.manifest.json"
        path.write_bytes(path.read_bytes().replace(b'"sequence": 1', b'"sequence": 2'))
    with pytest.raises(NotTrusted, match="made for other bytes"):
        opened(bundle)


def test_a_copy_that_differs_on_one_medium_is_named(bundle: Bundle) -> None:
    path = bundle.folders[1] / f"{bundle.name}.manifest.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(VerificationError, match="is damaged: other media hold a signed one") as got:
        opened(bundle)
    assert str(path) in got.value.message


def test_two_manifests_that_are_both_signed_are_refused(bundle: Bundle) -> None:
    one = Bundle(bundle.name, bundle.folders[:1], bundle.trust)
    one.lie(lambda body: body.update(created="2020-01-01T00:00:00Z"))
    with pytest.raises(VerificationError, match="two different manifests") as caught:
        opened(bundle)
    assert "ask the low side" in caught.value.hint


def test_a_bundle_under_another_name_is_refused(bundle: Bundle) -> None:
    bundle.lie(lambda body: body.update(stream="other"))
    with pytest.raises(VerificationError):
        opened(bundle)


def test_a_renamed_bundle_is_refused(bundle: Bundle) -> None:
    for folder in bundle.folders:
        for path in folder.iterdir():
            path.rename(path.with_name(path.name.replace(bundle.name, "prod-000009")))
    with pytest.raises(VerificationError, match="what was signed is prod-000001"):
        opened(bundle)


def test_too_few_signatures_are_not_enough_and_strangers_do_not_count(bundle: Bundle) -> None:
    two = [keys.signer(name) for name in ("dray", SECOND)]
    rule = keys.trust(
        *two, streams={"prod": Stream.of(("dray", SECOND), 2)}, expires=NOW + timedelta(days=1)
    )
    bundle.lie(lambda _body: None, "dray", STRANGER)
    with pytest.raises(NotTrusted, match=f"{bundle.name}: .*2 signatures.*1 missing"):
        unseal(Media.find(bundle.folders), rule, NOW)
    bundle.lie(lambda _body: None, "dray", STRANGER, SECOND)
    sealed = unseal(Media.find(bundle.folders), rule, NOW)
    assert sealed.signers.names == ("dray", SECOND)
    assert set(sealed.ignored.values()) == {"no trusted key made it"}


def test_a_signature_of_another_medium_counts(bundle: Bundle) -> None:
    for path in bundle.folder.glob("*.sigstore.json"):
        path.unlink()
    assert opened(bundle).signers.names == ("dray",)


def test_a_damaged_copy_of_a_signature_does_not_hide_the_good_one(bundle: Bundle) -> None:
    path = next(bundle.folder.glob("*.sigstore.json"))
    path.write_bytes(b"{}")
    sealed = opened(bundle)
    assert sealed.signers.names == ("dray",)
    assert len(sealed.ignored) == 1


def test_a_medium_without_a_manifest_is_incomplete(bundle: Bundle) -> None:
    for folder in bundle.folders:
        (folder / f"{bundle.name}.manifest.json").unlink()
    with pytest.raises(MediaIncomplete):
        opened(bundle)


def test_an_expired_trust_file_trusts_nobody(bundle: Bundle) -> None:
    rule = keys.trust(keys.signer("dray"), expires=NOW)
    with pytest.raises(NotTrusted, match="expired"):
        unseal(Media.find(bundle.folders), rule, NOW)


def test_of_ten_thousand_signature_files_few_are_read(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        bundle.path(f"manifest.json.zz{number}.sigstore.json").write_bytes(b"x" * 100)
    read: list[Path] = []
    whole = Media.read

    def counted(self: Media, path: Path, limit: int) -> bytes:
        read.append(path)
        return whole(self, path, limit)

    monkeypatch.setattr(Media, "read", counted)
    sealed = opened(bundle)
    assert sealed.signers.names == ("dray",)
    assert len(sealed.ignored) == 300
    assert len(read) < 2 * (trust.MAX_SIGNATURES + 10)
    report = verify(sealed.manifest, Media.find(bundle.folders))
    check_signatures(sealed, Media.find(bundle.folders), report)
    beyond = [finding for finding in report.bad if "beyond the 64" in finding.message]
    assert len(beyond) == 1
    assert "and 236 more are" in beyond[0].message
