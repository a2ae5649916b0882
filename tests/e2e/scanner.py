"""A scanner for tests: takes an image apart as the real ones do, and writes in their forms.

It stands for Trivy, Grype or Syft, by the name that it has. What it finds is in ``flaws.json``
beside it; ``how.json`` has what it does wrong.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).absolute().parent
NAME = Path(sys.argv[0]).name


def get(url: str) -> bytes:
    if NAME == "trivy":
        user, password = os.environ["TRIVY_USERNAME"], os.environ["TRIVY_PASSWORD"]
    else:
        head = f"{NAME.upper()}_REGISTRY_AUTH_"
        user, password = os.environ[f"{head}USERNAME"], os.environ[f"{head}PASSWORD"]
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {pair}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        data: bytes = answer.read()
    digest = url.rpartition(":")[2]
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit("the registry sent other bytes")
    return data


def files(reference: str) -> list[str]:
    """Return the names of the files in an image, fetched as registries are."""
    place, _, digest = reference.removeprefix("registry:").partition("@")
    host, _, repository = place.partition("/")
    base = f"http://{host}/v2/{repository}"
    manifest = json.loads(get(f"{base}/manifests/{digest}"))
    get(f"{base}/blobs/{manifest['config']['digest']}")
    names = []
    for layer in manifest["layers"]:
        data = get(f"{base}/blobs/{layer['digest']}")
        try:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
                names += archive.getnames()
        except (OSError, tarfile.TarError):
            names.append("(no archive)")
    return names


def wanted(option: str) -> str:
    """Return where an output goes, by the option that names it."""
    return next((word.partition("=")[2] for word in sys.argv if word.startswith(f"{option}=")), "")


def sbom(names: list[str], form: str) -> dict[str, Any]:
    if form.startswith("spdx"):
        return {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": []}
    parts = [{"type": "file", "name": name, "bom-ref": str(n)} for n, name in enumerate(names)]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": parts}


def main() -> None:
    how = json.loads((HERE / "how.json").read_text())
    (HERE / "seen.json").write_text(json.dumps({"env": dict(os.environ), "argv": sys.argv}))
    if "--version" in sys.argv:
        print(f"{NAME} 1.2.3")  # noqa: T201
        return
    if "sleep" in how:
        time.sleep(how["sleep"])
    if how.get("fail"):
        print("some progress\nFATAL no database; secret:", *os.environ.values())  # noqa: T201
        sys.exit(5)
    from fixtures import reports

    flaws = [reports.Flaw(*row) for row in json.loads((HERE / "flaws.json").read_text())]
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if NAME == "trivy" and sys.argv[1] == "convert":
        out, source = sys.argv[-2], sys.argv[-1]
        names = json.loads(Path(source).read_text())["Names"]
        Path(out).write_text(json.dumps(sbom(names, sys.argv[sys.argv.index("--format") + 1])))
        return
    reference = next(word for word in sys.argv if "@sha256:" in word)
    names = files(reference)
    about = reference.partition("@")[2]
    if NAME == "trivy":
        body = {**reports.trivy(*flaws, made=made, about=about), "Names": names}
        Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps(body))
        return
    for form, path in ((w.partition("=")[0], w.partition("=")[2]) for w in sys.argv if "=" in w):
        body = (
            reports.grype(*flaws, made=made, about=about) if form == "json" else sbom(names, form)
        )
        Path(path).write_text(how.get("text") or json.dumps(body))


main()
