"""A publisher for the fuzz targets: keys, an image and a model, and good signatures of both."""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from bundle.artifact import Artifact, Content
from bundle.digest import Digest
from bundle.upstream.keys import Keys, RawKey
from bundle.upstream.openpgp import Keyring
from fixtures import charts, signatures
from fixtures.content import blob
from tests.fuzz.corpus import CORPORA

if TYPE_CHECKING:
    from pathlib import Path

KEY = signatures.signing_key("vendor")
KEYS = Keys(
    raw=(RawKey.from_pem("vendor", signatures.public_pem(KEY), what="vendor"),),
    rings=(Keyring.read("charts", charts.PUBLISHER.armored, what="charts"),),
)
ROOT = Digest.of(b"manifest")
SAID = signatures.statement(ROOT.hex, signatures.COSIGN_PREDICATE, {})
_MODEL = {"config.json": b"{}", "weights/a.bin": b"weights"}
FILES = {path: blob(data) for path, data in _MODEL.items()}
_TEXT = f"apiVersion: v2\nname: app\nversion: '1.0'\n\n...\nfiles:\n  app-1.0.tgz: {ROOT}\n"


def sign(data: bytes) -> bytes:
    """Return the publisher's signature."""
    return signatures.sign(KEY, data)


@lru_cache(1)
def wrapped(payload: bytes) -> bytes:
    """Return a bundle around any payload, signed by the publisher as a statement."""
    return signatures.dsse(KEY, payload)


@cache
def good_bundle() -> bytes:
    """Return the seed that signs the image."""
    return (CORPORA / "vendor-bundle" / "good.json").read_bytes()


def referred(data: bytes) -> tuple[Artifact, Digest]:
    """Return an image whose referrer, and everything in it, is ``data``."""
    layer = Digest.of(data)
    contents = (
        Content("manifest", "a/m", ROOT, 8),
        Content("layer", "a/l", layer, len(data)),
        Content("manifest", "a/m", Digest.of(b"referrer"), len(data), subject=ROOT),
    )
    return Artifact("image", "host/a:1", "host/a", "1", ROOT, contents), ROOT


def seeds() -> dict[str, bytes]:
    """Return the good seeds, by their place below the corpora."""
    listed = {path: blob(data) for path, data in _MODEL.items()}
    model = signatures.model_signature(listed, "riva", KEY).read()
    import base64
    import json

    sharded = signatures.model_signature(listed, "riva", KEY, shard=1_000_000_000).read()
    critical = {
        "identity": {"docker-reference": "host/a"},
        "image": {"docker-manifest-digest": str(ROOT)},
        "type": "cosign container image signature",
    }
    row = {"mediaType": signatures.SIMPLE_SIGNING, "digest": str(ROOT), "size": 8}
    notes = {"dev.cosignproject.cosign/signature": base64.b64encode(sign(b"x")).decode()}
    referrer = {"artifactType": "a/b", "config": {}, "layers": [{**row, "annotations": notes}]}
    rules = "require-signature: ['nvcr.io/nvidia/*', {match: x, keys: [a]}]\n"
    pinned = f"[{{name: a, ngc: containers, fingerprint: 'sha256:{'0' * 64}'}}]"
    return {
        "vendor-bundle/good.json": wrapped(SAID),
        "statement/good-image.json": SAID,
        "statement/good-model.json": base64.b64decode(json.loads(model)["dsseEnvelope"]["payload"]),
        "statement/good-shards.json": base64.b64decode(
            json.loads(sharded)["dsseEnvelope"]["payload"]
        ),
        "simple-signing/good.json": json.dumps({"critical": critical, "optional": None}).encode(),
        "provenance/good.prov": charts.PUBLISHER.clearsign(_TEXT),
        "provenance-text/good.txt": _TEXT.encode(),
        "referrer/good.json": json.dumps(referrer).encode(),
        "policy-file/good.yaml": f"signing-keys: {pinned}\n{rules}".encode(),
        "keyring/good.asc": charts.PUBLISHER.armored,
    }


def write(folder: Path) -> None:
    """Write the good seeds."""
    for name, data in seeds().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    write(CORPORA)
    sys.stdout.write(f"wrote the seeds into {CORPORA}\n")
