"""Cosign's signatures of images: accepted as cosign makes them, and every way to be fooled."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import NotTrusted
from bundle.upstream.find import signings
from bundle.upstream.keys import Keys
from fixtures import signatures
from fixtures.signatures import COSIGN_PREDICATE, SIGSTORE, dsse, signature, statement
from tests.bundle.upstream.made import KEYS, OTHER, VENDOR, Made, image, raw, refers, tagged

if TYPE_CHECKING:
    from bundle.digest import Digest
    from bundle.upstream.record import Proof


def proved(made: Made, root: Digest, keys: Keys = KEYS) -> Proof:
    """Return the proof of the one signature that an artifact has."""
    [found] = signings(made.artifact(root), made.read)
    return found.prove(keys)


def simple(payload: bytes, key: Any = VENDOR, **notes: str) -> tuple[Made, Digest]:
    """Return an image whose ``.sig`` tag holds a payload of our making."""
    made, graph, root = image()
    signed = base64.b64encode(signatures.sign(key, payload)).decode()
    made.add("layer", signatures.SIMPLE_SIGNING, payload)
    from bundle.digest import Digest as _Digest

    layer = {
        "mediaType": signatures.SIMPLE_SIGNING,
        "digest": _Digest.of(payload),
        "size": len(payload),
        "annotations": {"dev.cosignproject.cosign/signature": signed, **notes},
    }
    body = json.dumps({"config": {}, "layers": [layer]}).encode()
    made.add("manifest", "a/m", body, tags=(signatures.signature_tag(graph),))
    return made, root


def payload(root: Any, **changes: Any) -> dict[str, Any]:
    critical = {
        "identity": {"docker-reference": "nvcr.io/nvidia/a"},
        "image": {"docker-manifest-digest": str(root)},
        "type": "cosign container image signature",
    }
    return {"critical": {**critical, **changes}, "optional": None}


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_a_signature_under_its_tag_proves_the_image_and_notes_the_name() -> None:
    made, graph, root = image()
    tagged(made, graph, signature(graph, "nvcr.io/nvidia/a", VENDOR))
    proof = proved(made, root)
    assert (proof.method, proof.key, proof.over) == ("cosign", "vendor", root)
    assert proof.reference == "nvcr.io/nvidia/a"
    assert proof.fingerprint == raw().fingerprint


def test_a_bundle_that_refers_to_the_image_proves_it() -> None:
    made, graph, root = image()
    made.graph(signatures.bundle_signature(graph, VENDOR), subject=root)
    proof = proved(made, root)
    assert (proof.method, proof.key, proof.over, proof.reference) == ("cosign", "vendor", root, "")


def test_simple_signing_that_refers_to_the_image_proves_it() -> None:
    """As cosign 2 writes it in its OCI 1.1 mode."""
    made, graph, root = image()
    made.graph(signature(graph, "x", VENDOR), subject=root)
    assert proved(made, root).over == root


def test_a_bare_signature_of_the_manifests_bytes_proves_it() -> None:
    made, graph, root = image()
    data = graph.manifest.read()
    refers(made, root, SIGSTORE, bare(data))
    assert proved(made, root).over == root


def bare(data: bytes, key: Any = VENDOR, digest: bytes = b"") -> bytes:
    import hashlib

    hashed = digest or hashlib.sha256(data).digest()
    made = base64.b64encode(signatures.sign(key, data)).decode()
    message = {"algorithm": "SHA2_256", "digest": base64.b64encode(hashed).decode()}
    return encoded(
        {
            "mediaType": SIGSTORE,
            "verificationMaterial": {"publicKey": {"hint": ""}},
            "messageSignature": {"messageDigest": message, "signature": made},
        }
    )


def test_one_of_several_keys_is_enough_and_is_named() -> None:
    made, graph, root = image()
    tagged(made, graph, signature(graph, "x", VENDOR))
    keys = Keys(raw=(raw("other", OTHER), raw()))
    assert proved(made, root, keys).key == "vendor"


def test_the_keys_hint_decides_nothing() -> None:
    made, graph, root = image()
    body = json.loads(dsse(VENDOR, statement(graph.digest.hex, COSIGN_PREDICATE, {})))
    body["verificationMaterial"]["publicKey"]["hint"] = "bm9ib2R5"
    refers(made, root, SIGSTORE, encoded(body))
    assert proved(made, root).key == "vendor"


# -- refusals -----------------------------------------------------------------------------------


def test_a_signature_of_another_key_is_refused() -> None:
    for way in ("tag", "bundle", "bare"):
        made, graph, root = image()
        if way == "tag":
            tagged(made, graph, signature(graph, "x", OTHER))
        elif way == "bundle":
            made.graph(signatures.bundle_signature(graph, OTHER), subject=root)
        else:
            refers(made, root, SIGSTORE, bare(graph.manifest.read(), OTHER))
        with pytest.raises(NotTrusted, match="made by another key than vendor"):
            proved(made, root)


def test_a_signature_of_another_image_is_refused() -> None:
    made, graph, root = image()
    _, elsewhere, _ = image("b")
    # Somebody with write access copies a good signature under this image's tag.
    made.graph(signature(elsewhere, "x", VENDOR), tags=(signatures.signature_tag(graph),))
    with pytest.raises(NotTrusted, match=f"signs {elsewhere.digest}, not {root}"):
        proved(made, root)
    made, graph, root = image()
    said = statement(elsewhere.digest.hex, COSIGN_PREDICATE, {})
    refers(made, root, SIGSTORE, dsse(VENDOR, said))
    with pytest.raises(NotTrusted, match=f"signs {elsewhere.digest.hex}, not {root}"):
        proved(made, root)
    made, graph, root = image()
    refers(made, root, SIGSTORE, bare(elsewhere.manifest.read()))
    with pytest.raises(NotTrusted, match=f"signs {elsewhere.digest}, not {root}"):
        proved(made, root)


def test_an_attestation_by_the_right_key_is_no_signature() -> None:
    made, graph, root = image()
    said = statement(graph.digest.hex, "https://slsa.dev/provenance/v1", {})
    refers(made, root, SIGSTORE, dsse(VENDOR, said))
    with pytest.raises(NotTrusted, match=r"an attestation \(https://slsa.dev/provenance/v1\)"):
        proved(made, root)


def test_a_models_signature_is_no_signature_of_an_image() -> None:
    made, graph, root = image()
    said = statement(graph.digest.hex, signatures.MODEL_PREDICATE, {})
    refers(made, root, SIGSTORE, dsse(VENDOR, said))
    with pytest.raises(NotTrusted, match="an attestation"):
        proved(made, root)


def test_a_statement_signed_as_something_else_is_refused() -> None:
    made, graph, root = image()
    said = statement(graph.digest.hex, COSIGN_PREDICATE, {})
    refers(made, root, SIGSTORE, dsse(VENDOR, said, "text/plain"))
    with pytest.raises(NotTrusted, match="is signed as 'text/plain', not as a statement"):
        proved(made, root)


def test_a_payload_type_that_was_exchanged_breaks_the_signature() -> None:
    made, graph, root = image()
    said = statement(graph.digest.hex, COSIGN_PREDICATE, {})
    data = dsse(VENDOR, said, "text/plain").replace(b"text/plain", b"application/vnd.in-toto+json")
    refers(made, root, SIGSTORE, data)
    with pytest.raises(NotTrusted, match="made by another key"):
        proved(made, root)


def test_a_digest_of_another_algorithm_is_no_proof() -> None:
    made, graph, root = image()
    body = json.loads(statement(graph.digest.hex, COSIGN_PREDICATE, {}))
    body["subject"][0]["digest"] = {"sha512": graph.digest.hex}
    refers(made, root, SIGSTORE, dsse(VENDOR, encoded(body)))
    with pytest.raises(NotTrusted, match="signs something else"):
        proved(made, root)


_, _GRAPH, ROOT = image()
PAYLOADS: dict[str, tuple[bytes, str]] = {
    "another type": (
        encoded(payload(ROOT, type="atomic container signature")),
        "critical.type is 'atomic container signature'",
    ),
    "no type": (encoded({"critical": {"image": {}}}), "'type' is missing"),
    "another digest": (
        encoded(payload(ROOT, image={"docker-manifest-digest": "sha256:" + "0" * 64})),
        "signs sha256:0000",
    ),
    "a digest of another algorithm": (
        encoded(payload(ROOT, image={"docker-manifest-digest": "sha512:" + "0" * 128})),
        "must be sha256: and 64",
    ),
    "two digests": (
        encoded(payload(ROOT)).replace(
            b'"docker-manifest-digest"', b'"docker-manifest-digest":"x","docker-manifest-digest"'
        ),
        "duplicate key 'docker-manifest-digest'",
    ),
    "an unknown critical field": (
        encoded(payload(ROOT, expires="never")),
        "critical.expires is not a known key",
    ),
    "two documents": (encoded(payload(ROOT)) * 2, "is not strict JSON"),
    "no JSON": (b"\xff\xfe", "is not strict JSON"),
    "a list": (b"[]", "must be a mapping"),
    "a name that moves the cursor": (
        encoded(payload(ROOT, identity={"docker-reference": "a\x1b[2Jb"})),
        "docker-reference is not allowed",
    ),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_that_is_odd_is_refused_although_the_key_signed_it(name: str) -> None:
    data, says = PAYLOADS[name]
    made, root = simple(data)
    with pytest.raises(NotTrusted) as caught:
        proved(made, root)
    assert says in caught.value.message


def test_a_huge_payload_is_not_read() -> None:
    made, root = simple(b" " * (65 << 10))
    read: list[int] = []

    def reading(content: Any) -> bytes:
        read.append(content.size)
        return made.read(content)

    [found] = signings(made.artifact(root), reading)
    with pytest.raises(NotTrusted, match="larger than any signature"):
        found.prove(KEYS)
    assert max(read) < 65 << 10


def test_a_keyless_signature_is_said_to_be_one() -> None:
    good = encoded(payload(ROOT))
    made, root = simple(good, OTHER, **{"dev.sigstore.cosign/certificate": "-----BEGIN"})
    with pytest.raises(NotTrusted, match="is a keyless signature"):
        proved(made, root)
    made, graph, root = image()
    body = json.loads(dsse(VENDOR, statement(graph.digest.hex, COSIGN_PREDICATE, {})))
    body["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}}
    refers(made, root, SIGSTORE, encoded(body))
    with pytest.raises(NotTrusted, match="makes this a keyless signature"):
        proved(made, root)


BUNDLES: dict[str, tuple[Any, str]] = {
    "another media type": ({"mediaType": "application/json"}, "not that of a Sigstore bundle"),
    "version 0.1": (
        {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1"},
        "not that of a Sigstore bundle",
    ),
    "an unknown field": ({"extra": 1}, "extra is not a known key"),
    "both kinds": ({"messageSignature": {}}, "must have either"),
    "neither kind": ({"dsseEnvelope": None}, "must be a mapping"),
    "no signatures": (
        {"dsseEnvelope": {"payload": "e30=", "payloadType": "a/b", "signatures": []}},
        "has 0 entries",
    ),
    "a payload that is no base64": (
        {"dsseEnvelope": {"payload": "e3 0=", "payloadType": "a/b", "signatures": []}},
        "payload is not base64",
    ),
    "a payload in a second spelling": (
        {"dsseEnvelope": {"payload": "e31=", "payloadType": "a/b", "signatures": []}},
        "payload is not base64",
    ),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_that_is_odd_is_refused(name: str) -> None:
    changes, says = BUNDLES[name]
    made, graph, root = image()
    body = json.loads(dsse(VENDOR, statement(graph.digest.hex, COSIGN_PREDICATE, {})))
    refers(made, root, SIGSTORE, encoded({**body, **changes}))
    with pytest.raises(NotTrusted) as caught:
        proved(made, root)
    assert says in caught.value.message


def test_every_flipped_byte_of_a_bundle_is_refused_or_changes_nothing() -> None:
    """What may change is what was not signed: the hint, the white space, the key's name."""
    _made, graph, root = image()
    data = dsse(VENDOR, statement(graph.digest.hex, COSIGN_PREDICATE, {}))
    envelope = data.index(b"dsseEnvelope")
    for place in range(envelope, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1
        fresh, _, _ = image()
        refers(fresh, root, SIGSTORE, bytes(changed))
        [found] = signings(fresh.artifact(root), fresh.read)
        try:
            proof = found.prove(KEYS)
        except NotTrusted:
            continue
        assert proof.over == root
        assert (
            json.loads(changed)["dsseEnvelope"]["payload"]
            == json.loads(data)["dsseEnvelope"]["payload"]
        ), place


def test_signatures_without_end_are_not_read() -> None:
    made, _graph, root = image()
    for number in range(70):
        refers(made, root, SIGSTORE, dsse(OTHER, b"%d" % number))
    read: list[Any] = []

    def reading(content: Any) -> bytes:
        read.append(content)
        return made.read(content)

    [found] = signings(made.artifact(root), reading)
    with pytest.raises(NotTrusted, match="more than 64 signatures"):
        found.prove(KEYS)
    assert len(read) < 3 * 66


def test_signatures_of_what_is_inside_do_not_vouch_for_the_whole() -> None:
    """A signature of a child, or of an SBOM, is none of the index above it."""
    made, graph, child = image()
    tagged(made, graph, signature(graph, "x", VENDOR))
    made.graph(signatures.bundle_signature(graph, VENDOR), subject=child)
    index = {"manifests": [{"digest": child, "size": graph.manifest.size, "mediaType": "a/m"}]}
    root = made.add("index", "a/i", encoded(index))
    assert signings(made.artifact(root), made.read) == []
