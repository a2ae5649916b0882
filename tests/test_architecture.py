"""The import rules of the project: one direction, one file for each dangerous thing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "bundle": {"schemas", "bundle"},
    "bundler": {"schemas", "bundle", "bundler"},
    "importer": {"schemas", "bundle", "importer"},
}
OURS = {*MAY_IMPORT, "fixtures", "tests", "bench"}
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in MAY_IMPORT}
SOURCES = [path for files in FILES.values() for path in files]

# What loads a private key, or makes one: by the names of the cryptography package and of PEM.
KEY_NAMES = {
    "load_pem_private_key",
    "load_der_private_key",
    "load_ssh_private_key",
    "from_private_bytes",
    "derive_private_key",
    "generate_private_key",
    "load_pem_pkcs12",
    "load_key_and_certificates",
    "load_pkcs12",
}
HEAVY = (
    *("boto3", "botocore", "cryptography", "jsonschema", "oras", "requests", "tqdm", "yaml"),
    *("zstandard", "email.message", "importlib.metadata"),
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tops(path: Path) -> set[str]:
    """Return the top packages of what a file imports anywhere in it, types included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {dotted.partition(".")[0] for dotted in found}


def identifiers(path: Path) -> set[str]:
    """Return every name, attribute and imported name in a file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


def test_every_package_has_files() -> None:
    assert all(FILES.values())


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    wrong = {
        name(path): sorted(bad)
        for path in FILES[package]
        if (bad := tops(path) & OURS - MAY_IMPORT[package])
    }
    assert not wrong


def test_imports_are_absolute() -> None:
    """So that the rules above can be read off them."""
    relative = [
        name(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_modules_are_not_imported_by_name_at_run_time() -> None:
    """Except by the command line, which asks each side that is there for its commands."""
    dynamic = {"import_module", "__import__", "spec_from_file_location"}
    found = [name(path) for path in SOURCES if identifiers(path) & dynamic]
    assert found == ["bundle/cli.py"]


def test_oras_is_known_to_one_file() -> None:
    assert [name(path) for path in SOURCES if "oras" in tops(path)] == ["bundle/registry.py"]


def test_private_keys_are_made_and_loaded_by_one_file_for_each_purpose() -> None:
    """Signing; the ephemeral keys of encryption, which nobody loads; the high side's own keys."""
    used = {name(path): sorted(identifiers(path) & KEY_NAMES) for path in SOURCES}
    assert {path: names for path, names in used.items() if names} == {
        "bundler/chunkkeys.py": ["generate_private_key"],
        "bundler/signing.py": [
            "generate_private_key",
            "load_der_private_key",
            "load_pem_private_key",
        ],
        "importer/privatekey.py": ["load_pem_private_key"],
        "importer/receipts/signing.py": ["generate_private_key"],
    }


def test_the_high_side_holds_a_key_that_opens_chunks_and_one_that_signs_receipts() -> None:
    """One file signs; what it signs is a receipt by the type that is signed with it."""
    signing = {"ECDSA", "Ed25519PrivateKey", "Signer", "sign"}
    found = [name(path) for path in FILES["importer"] if identifiers(path) & signing]
    assert found == ["importer/receipts/signing.py"]


def test_what_signs_receipts_can_sign_no_manifest() -> None:
    """The key's one way out is a DSSE envelope: no bytes that a manifest could be."""
    path = ROOT / "importer/receipts/signing.py"
    assert not {"to_sigstore", "manifest", "Manifest"} & identifiers(path)
    uses = [node for node in ast.walk(ast.parse(path.read_text())) if _is_signature(node)]
    assert len(uses) == 1, "the private key signs in one place"


def _is_signature(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "_signature"


def test_help_needs_no_heavy_import(isolated: Path) -> None:
    code = (
        "import sys\n"
        "from bundle.cli import main\n"
        "sys.argv = ['dray', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "sys.exit(' '.join(heavy) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=isolated, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
