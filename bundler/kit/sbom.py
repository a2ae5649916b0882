"""What is in a kit as a CycloneDX document, for those who watch for holes in packages.

Source: CycloneDX 1.6, "JSON"; package URLs (purl-spec), type ``pypi``. No time and no random number
is in it: the same kit has the same document.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from bundle.decode import dump_json
from bundler.kit.pins import canonical

if TYPE_CHECKING:
    from bundle.digest import Digest
    from bundle.kit.document import KitDocument, Package


def compose(kit: KitDocument, tar: Digest) -> bytes:
    """Return the document; ``tar`` is the digest of the kit's file."""
    component: dict[str, Any] = {"type": "application", "bom-ref": kit.name, "name": "dray"}
    component |= {"version": kit.version, "hashes": _hashes(tar)}
    parts = [_component(package) for package in kit.packages if package.name != "dray"]
    if kit.interpreter:
        parts.append(_interpreter(kit.interpreter))
    metadata: dict[str, Any] = {"component": component}
    if kit.tools:
        metadata["tools"] = {"components": [_component(tool) for tool in kit.tools]}
    refs = sorted(part["bom-ref"] for part in parts)
    return dump_json(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, str(tar))}",
            "version": 1,
            "metadata": metadata,
            "components": parts,
            "dependencies": [{"ref": kit.name, "dependsOn": refs}],
        }
    )


def _component(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{canonical(package.name)}@{package.version.replace('+', '%2B')}"
    body: dict[str, Any] = {"type": "library", "bom-ref": f"{purl}?file_name={package.wheel}"}
    body |= {"name": canonical(package.name), "version": package.version, "purl": purl}
    return {**body, "hashes": _hashes(package.digest)}


def _interpreter(version: str) -> dict[str, Any]:
    """Return CPython, with the name by which its holes are published (NVD)."""
    cpe = f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"
    body = {"type": "application", "bom-ref": f"python@{version}", "name": "python"}
    return {**body, "version": version, "cpe": cpe}


def _hashes(digest: Digest) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.hex}]
