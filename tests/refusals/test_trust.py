"""Lies about who signed, and for which stream."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from tests import factory, keys
from tests.refusals.table import Lie, check, dray, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

UNKNOWN = "no trusted key made it"
COMPARE = "compare their fingerprints with the signer's"


def signature(bundle: Bundle, name: str = factory.SIGNER) -> Path:
    return bundle.path(f"manifest.json.{name}.sigstore.json")


def again(*signers: str) -> Tell:
    """Sign the same manifest by others."""
    return lambda bundle: bundle.sign(bundle.path("manifest.json").read_bytes(), *signers)


def believe(*signers: str, threshold: int = 1) -> Tell:
    return lambda bundle: factory.trust_file(bundle.trust, *signers, threshold=threshold)


def both(*tells: Tell) -> Tell:
    return lambda bundle: [tell(bundle) for tell in tells]


def in_signature(change: Callable[[dict[str, object]], object]) -> Tell:
    def tell(bundle: Bundle) -> None:
        body = json.loads(signature(bundle).read_bytes())
        change(body)
        signature(bundle).write_text(json.dumps(body))

    return tell


def in_trust(change: Callable[[dict[str, object]], object]) -> Tell:
    def tell(bundle: Bundle) -> None:
        body = json.loads(bundle.trust.read_bytes())
        change(body)
        bundle.trust.write_text(json.dumps(body))

    return tell


def of_another_document(bundle: Bundle) -> None:
    other = keys.signer(factory.SIGNER).files(f"{bundle.name}.manifest.json", b"another document")
    for name, data in other.items():
        (bundle.folder / name).write_bytes(data)


def by_another_under_this_name(bundle: Bundle) -> None:
    again(factory.STRANGER)(bundle)
    for kind in ("sigstore.json", "sig"):
        path = bundle.path(f"manifest.json.{factory.STRANGER}.{kind}")
        path.rename(path.with_name(path.name.replace(factory.STRANGER, factory.SIGNER)))


def one_signature_under_two_names(bundle: Bundle) -> None:
    for kind in ("sigstore.json", "sig"):
        path = bundle.path(f"manifest.json.{factory.SIGNER}.{kind}")
        shutil.copy(path, path.with_name(path.name.replace(factory.SIGNER, factory.SECOND)))
    believe(factory.SIGNER, factory.SECOND, threshold=2)(bundle)


def two_signatures_of_one_key(bundle: Bundle) -> None:
    data = bundle.path("manifest.json").read_bytes()
    files = keys.signer(factory.SIGNER).files(f"{bundle.name}.manifest.json", data)
    for name, content in files.items():
        (bundle.folder / name.replace(f".{factory.SIGNER}.", ".again.")).write_bytes(content)
    believe(factory.SIGNER, factory.SECOND, threshold=2)(bundle)


def lying_hint(bundle: Bundle) -> None:
    again(factory.STRANGER)(bundle)
    hint = keys.signer(factory.SIGNER).public_key.hint
    path = signature(bundle, factory.STRANGER)
    body = json.loads(path.read_bytes())
    body["verificationMaterial"]["publicKey"]["hint"] = hint
    path.write_text(json.dumps(body))


def other_stream(body: dict[str, object]) -> None:
    body["streams"] = {"staging": body["streams"][factory.STREAM]}  # type: ignore[index]


def swap_key(body: dict[str, object]) -> None:
    pem = keys.signer(factory.STRANGER).public_key.pem
    body["keys"] = [{"name": factory.SIGNER, "pem": pem}]


def releaser_too(body: dict[str, object]) -> None:
    """Ask for a builder and a releaser, of whom the second has signed as the first's spare key."""
    role = {"name": "builder", "keys": [factory.SIGNER, factory.SECOND], "threshold": 1}
    releaser = {"name": "releaser", "keys": [factory.SECOND, "third"], "threshold": 1}
    body["streams"] = {factory.STREAM: {"roles": [role, releaser]}}
    body["keys"][1]["person"] = factory.SIGNER  # type: ignore[index]


def may_not(bundle: Bundle) -> None:
    """Trust the signer's key for the trust file, and for the stream only another's."""
    factory.trust_file(bundle.trust, factory.SIGNER, factory.SECOND)
    in_trust(lambda body: body["streams"]["prod"].update(keys=["second"]))(bundle)  # type: ignore[index]


WHO = (
    Lie("a trusted key may not sign for the stream", may_not, 5, "dray signed but may not"),
    Lie("an untrusted key signed it again", again(factory.STRANGER), 5, UNKNOWN, COMPARE),
    Lie("an untrusted key took the name", by_another_under_this_name, 5, UNKNOWN, COMPARE),
    Lie("the hint names a trusted key", lying_hint, 5, "whose signature it is not", COMPARE),
    Lie("the signature is of another document", of_another_document, 5, "made for other bytes"),
    Lie(
        "the digest in the signature file is another",
        in_signature(
            lambda body: body["messageSignature"]["messageDigest"].update(  # type: ignore[index]
                digest="A" * 43 + "="
            )
        ),
        5,
        "made for other bytes",
    ),
    Lie(
        "the signature file is of another kind",
        in_signature(lambda body: body.update(mediaType="application/json")),
        5,
        "mediaType is 'application/json'",
    ),
    Lie(
        "the signature file holds a certificate",
        in_signature(lambda body: body["verificationMaterial"].update(certificate={})),  # type: ignore[attr-defined]
        5,
        "keyless signatures cannot be checked offline",
    ),
    Lie(
        "the signature file is a DSSE envelope",
        in_signature(lambda body: body.update(dsseEnvelope={})),
        5,
        "is a DSSE envelope",
    ),
    Lie(
        "the signature file has a key twice",
        lambda bundle: signature(bundle).write_bytes(
            signature(bundle).read_bytes().replace(b"{", b'{"mediaType": "x",', 1)
        ),
        5,
        "duplicate key 'mediaType'",
    ),
    Lie(
        "too few have signed",
        believe(factory.SIGNER, factory.SECOND, threshold=2),
        5,
        "needs 2 signatures of dray, second; 1 missing, signed by dray",
        "let second add a signature: dray sign DIR",
    ),
    Lie(
        "one person's two keys fill two roles",
        both(
            believe(factory.SIGNER, factory.SECOND, "third"),
            in_trust(releaser_too),
            again(factory.SIGNER, factory.SECOND),
        ),
        5,
        "1 releaser missing, signed by dray (builder); second and dray are one person's",
        "let third add a signature: dray sign DIR",
    ),
    Lie("a signature counts twice", one_signature_under_two_names, 5, "1 missing"),
    Lie("two signatures of one key count twice", two_signatures_of_one_key, 5, "1 missing"),
    Lie(
        "a stranger's signature counts for the second",
        both(again(factory.SIGNER, factory.STRANGER), believe("dray", "second", threshold=2)),
        5,
        "1 missing",
    ),
    Lie(
        "one of two signature files is damaged",
        both(
            again(factory.SIGNER, factory.SECOND),
            believe(factory.SIGNER, factory.SECOND),
            lambda bundle: signature(bundle, factory.SECOND).write_bytes(b"{}"),
        ),
        3,
        "is missing",
        "copy this file again",
    ),
)

WHAT_FOR = (
    Lie(
        "the key is trusted for another stream",
        in_trust(other_stream),
        5,
        "nobody is trusted to sign for the stream 'prod'",
        "streams in the trust file: staging",
    ),
    Lie("the trusted name has another key", in_trust(swap_key), 5, UNKNOWN, COMPARE),
    Lie(
        "the trust file has expired",
        in_trust(lambda body: body.update(expires="2020-01-01T00:00:00Z")),
        5,
        "the trust file (version 1) expired on 2020-01-01T00:00:00Z",
    ),
    Lie(
        "the trust file has a key twice",
        lambda bundle: bundle.trust.write_bytes(
            bundle.trust.read_bytes().replace(b"{", b'{"version": 2,', 1)
        ),
        2,
        "duplicate key 'version'",
    ),
    Lie(
        "the trust file wants no signature",
        in_trust(lambda body: body["streams"]["prod"].update(threshold=0)),  # type: ignore[index]
        2,
        "streams.prod.threshold: is 0, not from 1",
    ),
    Lie(
        "the trust file is gone",
        lambda bundle: bundle.trust.unlink(),
        2,
        "trust.json: no such file",
    ),
)


@rows(WHO, WHAT_FOR)
def test_a_lie_about_who_signed_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


def test_nobody_is_trusted_when_nobody_says_whom(good: dict[str, Bundle], tmp_path: Path) -> None:
    answer = dray("verify", good["plain"].folder, folder=tmp_path)
    assert answer.code == 5
    assert "nobody's signature would count" in answer.err
    assert "by another way than the medium" in answer.err
