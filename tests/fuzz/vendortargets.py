"""The fuzz targets of publishers' signatures: what a stranger wrote proves nothing."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import strictyaml
from bundle.decode import Fields
from bundle.errors import DrayError, NotTrusted
from bundle.upstream import find, policy, prov
from bundle.upstream.cosign import BundleSigning, SimpleSigning
from bundle.upstream.envelope import parse as envelope_of
from bundle.upstream.oms import ModelSigning
from bundle.upstream.openpgp import Keyring
from bundle.upstream.prov import ChartSigning
from tests.fuzz import vendor

if TYPE_CHECKING:
    from collections.abc import Callable


def vendor_bundle(data: bytes) -> None:
    """A publisher's Sigstore bundle: no key made it but the good one's, for what that one is of."""
    try:
        proof = BundleSigning("it", vendor.ROOT, data, b"manifest").prove(vendor.KEYS)
    except DrayError:
        assert data != vendor.good_bundle()
        raise
    assert proof.over == vendor.ROOT
    assert getattr(envelope_of(data, "it"), "payload", b"") == vendor.SAID


def statement(data: bytes) -> None:
    """What the right key signed, whatever it says: an image's and a model's, never both."""
    signed = vendor.wrapped(data)
    proofs = 0
    for signing in (
        BundleSigning("it", vendor.ROOT, signed, b"manifest"),
        ModelSigning("it", vendor.ROOT, signed, vendor.FILES),
    ):
        with suppress(DrayError):
            signing.prove(vendor.KEYS)
            proofs += 1
    assert proofs <= 1
    if not proofs:
        raise NotTrusted("neither")


def simple_signing(data: bytes) -> None:
    """A payload that the right key signed: it is of this image, or it is refused."""
    signature = b64encode(vendor.sign(data)).decode()
    made = SimpleSigning("it", vendor.ROOT, data, signature)
    assert made.prove(vendor.KEYS).over == vendor.ROOT


def provenance(data: bytes) -> None:
    """A chart's provenance: what is no message of the publisher's proves nothing."""
    proof = ChartSigning("it", vendor.ROOT, data, "app", "1.0").prove(vendor.KEYS)
    assert proof.over == vendor.ROOT


def provenance_text(data: bytes) -> None:
    """A text that the publisher signed: it is of this archive, or it is refused."""
    name, version, files = prov.read(data.decode("utf-8", "replace"), "it")
    assert all(isinstance(text, str) for text in (name, version, *files, *files.values()))


def referrer(data: bytes) -> None:
    """A manifest that says that it signs an image."""
    made, root = vendor.referred(data)
    for signing in find.signings(made, lambda content: data):
        with suppress(DrayError):
            assert signing.prove(vendor.KEYS).over == root


def policy_file(data: bytes) -> None:
    """A policy file."""
    document = strictyaml.parse(data, name="policy.yaml")
    policy.read(Fields(document.value, (), document.fault), document, Path())


def keyring(data: bytes) -> None:
    """An OpenPGP keyring."""
    assert Keyring.read("k", data, what="k").fingerprints


TARGETS: dict[str, Callable[[bytes], object]] = {
    "vendor-bundle": vendor_bundle,
    "statement": statement,
    "simple-signing": simple_signing,
    "provenance": provenance,
    "provenance-text": provenance_text,
    "referrer": referrer,
    "policy-file": policy_file,
    "keyring": keyring,
}
