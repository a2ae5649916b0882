"""OMS signatures of models: the same verdicts as the library's, without reading a file again."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bundle.errors import NotTrusted
from bundle.upstream.find import signings
from bundle.upstream.keys import Keys
from fixtures import signatures
from fixtures.content import blob
from fixtures.signatures import MODEL_PREDICATE, SIGSTORE, dsse, statement
from tests.bundle.upstream.made import KEYS, OTHER, VENDOR, Made, model, raw, refers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bundle.digest import Digest
    from bundle.upstream.record import Proof

FILES = {"config.json": b"{}", "weights/a.bin": b"a" * 1000, "weights/b.bin": b"b"}


def signed(files: Mapping[str, bytes], key: Any = VENDOR, shard: int = 0) -> bytes:
    blobs = {path: blob(data) for path, data in files.items()}
    return signatures.model_signature(blobs, "riva", key, shard=shard).read()


def carried(files: Mapping[str, bytes], signature: bytes) -> tuple[Made, Digest]:
    """Return a model with a signature as NGC hands one out: a referrer of it."""
    made, root = model(files)
    refers(made, root, SIGSTORE, signature)
    return made, root


def proved(made: Made, root: Digest, keys: Keys = KEYS) -> Proof:
    [found] = signings(made.artifact(root), made.read)
    return found.prove(keys)


def refused(signature: bytes, says: str, files: Mapping[str, bytes] = FILES) -> None:
    made, root = carried(files, signature)
    with pytest.raises(NotTrusted) as caught:
        proved(made, root)
    assert says in caught.value.message


def edited(change: Callable[[dict[str, Any]], object], predicate: str = MODEL_PREDICATE) -> bytes:
    """Return a signature by the right key over a statement that was changed before."""
    rows = [
        {"name": path, "algorithm": "sha256", "digest": hashlib.sha256(data).hexdigest()}
        for path, data in FILES.items()
    ]
    body = json.loads(statement("", predicate, {}))
    body["predicate"] = {"serialization": {"method": "files"}, "resources": rows}
    change(body)
    digests = [row.get("digest", "") for row in body["predicate"].get("resources", [])]
    if body["subject"] and body["subject"][0]["digest"] == {"sha256": ""}:
        whole = b"".join(bytes.fromhex(text) for text in digests if len(text) % 2 == 0)
        body["subject"][0]["digest"] = {"sha256": hashlib.sha256(whole).hexdigest()}
    return dsse(VENDOR, json.dumps(body).encode())


def test_a_signature_that_refers_to_the_model_proves_it() -> None:
    made, root = carried(FILES, signed(FILES))
    proof = proved(made, root)
    assert (proof.method, proof.key, proof.over) == ("oms", "vendor", root)


@pytest.mark.parametrize("name", ["result.sigstore", "model.sig"])
def test_a_signature_among_the_files_proves_the_others(name: str) -> None:
    made, root = model({**FILES, name: signed(FILES)})
    assert proved(made, root).over == root


def test_the_statement_of_these_tests_is_one_that_is_taken() -> None:
    made, root = carried(FILES, edited(lambda _body: None))
    assert proved(made, root).method == "oms"


def test_files_that_the_signer_left_out_on_purpose_need_no_signature() -> None:
    def ignore(body: dict[str, Any]) -> None:
        body["predicate"]["serialization"]["ignore_paths"] = ["docs", "notes.txt"]

    more = {**FILES, "docs/a/b.md": b"x", "notes.txt": b"y", ".gitattributes": b"z"}
    made, root = carried(more, edited(ignore))
    assert proved(made, root).over == root
    refused(edited(ignore), "does not cover the file docs.md", {**FILES, "docs.md": b""})


def test_of_a_partial_model_what_is_carried_must_be_signed() -> None:
    some = {path: FILES[path] for path in ("config.json", "weights/a.bin")}
    made, root = carried(some, signed(FILES))
    made.notes["partial"] = "2 of the version's 3 files"
    assert proved(made, root).over == root
    made, root = carried({**some, "extra": b""}, signed(FILES))
    made.notes["partial"] = "3 of the version's 4 files"
    with pytest.raises(NotTrusted, match="does not cover the file extra"):
        proved(made, root)


# -- refusals -------------------------------------------------------------------------------------


def test_another_key_is_refused() -> None:
    refused(signed(FILES, OTHER), "made by another key than vendor")


def test_fewer_files_than_are_carried_are_refused() -> None:
    few = {path: FILES[path] for path in list(FILES)[:2]}
    refused(signed(few), "does not cover the file weights/b.bin")


def test_more_files_than_are_carried_are_refused() -> None:
    refused(signed({**FILES, "run.sh": b"x"}), "covers run.sh, which is not among the files")


def test_other_bytes_are_refused() -> None:
    refused(signed({**FILES, "weights/b.bin": b"c"}), "signs other bytes as weights/b.bin")


def test_two_files_in_each_others_place_are_refused() -> None:
    swapped = {**FILES, "weights/a.bin": b"b", "weights/b.bin": b"a" * 1000}
    refused(signed(swapped), "signs other bytes as weights/a.bin")


def resources(body: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = body["predicate"]["resources"]
    return rows


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a path upwards": (lambda b: resources(b)[0].update(name="../x"), "'../x', which has an empty"),
    "an absolute path": (lambda b: resources(b)[0].update(name="/x"), "is not a relative path"),
    "a file twice": (lambda b: resources(b).append(resources(b)[0]), "'config.json' twice"),
    "no files": (lambda b: resources(b).clear(), "lists 0 files"),
    "another hash": (
        lambda b: resources(b)[0].update(algorithm="blake3"),
        "algorithm is 'blake3'",
    ),
    "another hash under sha256's name": (
        lambda b: resources(b)[0].update(digest="0" * 128),
        "digest is not allowed",
    ),
    "another hash for all": (
        lambda b: b["predicate"]["serialization"].update(hash_type="blake2b"),
        "hash_type is 'blake2b'",
    ),
    "another way to list": (
        lambda b: b["predicate"]["serialization"].update(method="trees"),
        "is 'trees', not files or shards",
    ),
    "a subject that is not the list": (
        lambda b: b["subject"][0].update(digest={"sha256": "0" * 64}),
        "contradicts itself",
    ),
    "two subjects": (lambda b: b["subject"].append(b["subject"][0]), "contradicts itself"),
    "no subject": (lambda b: b["subject"].clear(), "contradicts itself"),
    "another statement": (lambda b: b.update(_type="x"), "_type is 'x'"),
    "another predicate": (lambda b: b.update(predicateType="https://x"), "lists no model's files"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_statement_that_is_odd_is_refused_although_the_key_signed_it(name: str) -> None:
    change, says = EDITS[name]
    refused(edited(change), says)


def test_a_duplicate_key_in_the_payload_is_refused() -> None:
    good = json.loads(signed(FILES))["dsseEnvelope"]["payload"]
    payload = base64.b64decode(good).replace(b'"resources"', b'"resources": [], "resources"')
    refused(dsse(VENDOR, payload), "duplicate key 'resources'")


def test_a_signature_over_an_image_is_none_of_a_model() -> None:
    said = statement("0" * 64, signatures.COSIGN_PREDICATE, {})
    refused(dsse(VENDOR, said), "lists no model's files")


def test_two_signatures_in_one_envelope_are_refused() -> None:
    body = json.loads(signed(FILES))
    body["dsseEnvelope"]["signatures"] *= 2
    refused(json.dumps(body).encode(), "has 2 signatures, not one")


# -- the library ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("oms"))


def untyped(maker: Any) -> Any:
    """Return what the library has no types for."""
    return maker


class Library:
    """The ``model-signing`` package, as its users call it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, name: str, files: Mapping[str, bytes]) -> Path:
        place = self.folder / name
        for path, data in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)
        return place

    def key(self, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        form = serialization.PrivateFormat.PKCS8
        secret = self.folder / "key.pem"
        none = serialization.NoEncryption()
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
        public = self.folder / "key.pub"
        public.write_bytes(signatures.public_pem(key))
        return secret, public

    def sign(self, model: Path, key: ec.EllipticCurvePrivateKey, **hashing: Any) -> bytes:
        from model_signing import signing

        secret, _ = self.key(key)
        out = self.folder / "out.sig"
        config = untyped(signing.Config)().use_elliptic_key_signer(private_key=secret)
        self.configure(config, hashing)
        config.sign(model, out)
        return out.read_bytes()

    def configure(self, config: Any, hashing: Mapping[str, Any]) -> None:
        from model_signing import hashing as hashes

        if hashing:
            made = untyped(hashes.Config)()
            for method, arguments in hashing.items():
                getattr(made, method)(**arguments)
            config.set_hashing_config(made)

    def accepts(
        self, model: Path, signature: bytes, key: ec.EllipticCurvePrivateKey, **hashing: Any
    ) -> bool:
        """Say its verdict. Of a list by shards it has none unless it is told of them (1.1.1)."""
        from model_signing import verifying

        _, public = self.key(key)
        place = self.folder / "in.sig"
        place.write_bytes(signature)
        config = untyped(verifying.Config)().use_elliptic_key_verifier(public_key=public)
        self.configure(config, hashing)
        try:
            config.verify(model, place)
        except Exception:
            return False
        return True


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_the_library_signs_is_accepted(library: Library, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    folder = library.model("good", FILES)
    made, root = carried(FILES, library.sign(folder, key))
    assert proved(made, root, Keys(raw=(raw("vendor", key),))).over == root


@pytest.mark.parametrize(
    ("hashing", "says"),
    [
        ({"use_file_serialization": {"hashing_algorithm": "blake2"}}, "is 'blake2b'"),
        (
            {"use_shard_serialization": {"hashing_algorithm": "sha256", "shard_size": 100}},
            "in 10 shards of 100 bytes",
        ),
    ],
    ids=["blake2", "shards"],
)
def test_what_no_pinned_digest_can_be_compared_with_is_refused(
    library: Library, hashing: dict[str, Any], says: str
) -> None:
    refused(library.sign(library.model("good", FILES), VENDOR, **hashing), says)


def tampered(path: str, data: bytes | None) -> dict[str, bytes]:
    files: dict[str, bytes | None] = {**FILES, path: data}
    return {name: found for name, found in files.items() if found is not None}


MODELS = {
    "as signed": FILES,
    "a byte changed": tampered("weights/a.bin", b"a" * 999 + b"b"),
    "a file more": tampered("extra.py", b"import os"),
    "a file less": tampered("weights/b.bin", None),
    "renamed": tampered("weights/b.bin", None) | {"weights/c.bin": b"b"},
    "git's own": tampered(".gitignore", b"*"),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("signer", ["library", "fixture", "library by shards"])
def test_the_verdict_is_the_librarys(library: Library, name: str, signer: str) -> None:
    folder = library.model("signed", FILES)
    shards = {"use_shard_serialization": {"hashing_algorithm": "sha256"}}
    hashing = shards if signer == "library by shards" else {}
    signature = signed(FILES) if signer == "fixture" else library.sign(folder, VENDOR, **hashing)
    if signer == "fixture":
        # The library believes the hint, and writes it in a way of its own.
        body = json.loads(signature)
        hint = hashlib.sha256(signatures.public_pem(VENDOR)).hexdigest()
        body["verificationMaterial"]["publicKey"]["hint"] = hint
        signature = json.dumps(body).encode()
    files = MODELS[name]
    theirs = library.accepts(library.model(f"{signer} {name}", files), signature, VENDOR, **hashing)
    made, root = carried(files, signature)
    try:
        ours = proved(made, root).over == root
    except NotTrusted:
        ours = False
    assert ours == theirs == (name in {"as signed", "git's own"})


def test_signatures_from_before_the_first_release_are_taken(library: Library) -> None:
    """NGC's models were signed with release 0.2 first: another list, and a slip in its bytes."""
    subjects = [
        {"name": path, "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
        for path, data in FILES.items()
    ]
    body: dict[str, Any] = {"_type": "https://in-toto.io/Statement/v1", "subject": subjects}
    body |= {"predicateType": "https://model_signing/Digests/v0.1", "predicate": {"unused": "x"}}
    payload, kind = json.dumps(body).encode(), signatures.IN_TOTO
    text = f"DSSEV1 {len(kind)} {kind} {len(payload)} {payload!r}"
    early = base64.b64encode(signatures.sign(VENDOR, text.encode())).decode()
    document = json.loads(dsse(VENDOR, payload))
    document["dsseEnvelope"]["signatures"][0]["sig"] = early
    document["verificationMaterial"] = {"publicKey": {}, "tlogEntries": []}
    signature = json.dumps(document).encode()
    assert library.accepts(library.model("early", FILES), signature, VENDOR)
    made, root = carried(FILES, signature)
    assert proved(made, root).method == "oms"
    refused(signature, "does not cover the file more", {**FILES, "more": b""})
