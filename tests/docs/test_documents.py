"""Every command, every output and every file in the documents is tried, against an emulated NGC."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundle.cli import build
from bundle.upstream.keys import RawKey
from bundler import spec
from fixtures.ngc import EmulatedNgc, emulate, sample_catalogue
from importer import destinations
from tests.docs import commands
from tests.docs.document import Block, Session, blocks, matches
from tests.docs.document import commands as commands_of
from tests.servers import clamd, isolation, programs, rclone, scanners, softhsm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.registry import Registry

ROOT = Path(__file__).parents[2]
GUIDES = sorted(path for path in (ROOT / "docs").glob("*.md") if path != commands.FILE)
DOCUMENTS = [ROOT / "README.md", *GUIDES]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
ELSEWHERE = {
    "make demo": "tests/fixtures/test_demo.py runs what it runs",
    "make test": "this is it",
    "make bench": "takes minutes; measures",
    "dray kit --to /mnt/usb --key alice.key": "tests/e2e/test_kit.py runs it for one Python",
    "dray kit make --to /mnt/usb --key bob.key "
    "--pins dray-kit-0.1.0-linux-amd64.requirements.txt": "tests/e2e/test_kit.py makes one again",
    "pip install .": "what `make` does to prepare these tests",
    "pipx install .": "the same in an environment of its own",
    "pip install --no-binary cryptography cryptography dray": "tests/e2e/test_fips.py",
    "openssl fipsinstall -module /usr/lib/x86_64-linux-gnu/ossl-modules/fips.so "
    "-out /etc/ssl/fipsmodule.cnf": "tests/servers/fips.py runs it",
    **dict.fromkeys(
        (
            "dray sign DIR --signer 'cosign sign-blob --key awskms:///alias/dray "
            f"{options} --yes -' --signer-pub kms.pub"
            for options in (
                "--tlog-upload=false",
                "--tlog-upload=false --use-signing-config=false --new-bundle-format=false",
            )
        ),
        "tests/bundler/test_signcommand.py runs both with key files: there is no KMS here",
    ),
    "dray verify DIR --decryptor 'aws kms derive-shared-secret --key-id alias/dray "
    "--key-agreement-algorithm ECDH --public-key fileb:///dev/stdin --query SharedSecret "
    "--output text' --decryptor-pub kms.encrypt-to": "there is no KMS here; base64 is tested",
    **{
        line: "tests/fixtures/test_byhand.py runs it"
        for block in blocks(ROOT / "docs/emulator.md")
        if block.language == "sh"
        for line in block.text.splitlines()
    },
}
"""Commands in ``sh`` blocks, and why they are not run here."""
NEEDED = {
    "encryption.md": ("softhsm2-util", "pkcs11-tool"),
    "gates.md": ("crane",),
    "harbor.md": ("crane",),
    "scanning.md": ("clamd",),
    "signing.md": ("softhsm2-util", "pkcs11-tool"),
    "serve.md": ("skopeo", "helm", "oras"),
}
"""Programs that a document's commands are, by its name."""


@pytest.fixture(scope="module")
def ngc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedNgc]:
    folder = tmp_path_factory.mktemp("ngc")
    with emulate(sample_catalogue(0.5, folder=folder / "content"), folder=folder) as running:
        yield running


def registries(ngc: EmulatedNgc) -> str:
    """Return what makes the real names of a spec lead to the emulator."""
    rows = [
        f'  "{host}": {{endpoint: "{entry["endpoint"]}", ca: "{entry["ca"]}"}}\n'
        for host, entry in ngc.registries.items()
    ]
    return "registries:\n" + "".join(rows)


def free_port() -> int:
    """Return a port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def fingerprint(ngc: EmulatedNgc, kind: str) -> str:
    """Return what a document pins, in hex: it must not show a real one's stand-in."""
    key = RawKey.from_pem(kind, ngc.catalogue.public_keys[kind], what=kind)
    return key.fingerprint.removeprefix("sha256:")


def environment(home: Path) -> dict[str, str]:
    own = isolation.own(home)
    Path(own["XDG_RUNTIME_DIR"]).mkdir()  # skopeo warns where it is missing
    own_programs = str(programs.TOOLS / "bin")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], own_programs])
    return {**own, "PATH": path, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


@pytest.mark.server
@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_the_document_holds(
    document: Path,
    tmp_path: Path,
    isolated: Path,
    ngc: EmulatedNgc,
    registry: Registry,
    request: pytest.FixtureRequest,
) -> None:
    for program in NEEDED.get(document.name, ()):
        programs.require(program)
    (tmp_path / "s3").mkdir()
    with ExitStack() as stack:
        store = stack.enter_context(rclone.serve(tmp_path / "s3"))
        (tmp_path / "s3" / "data" / "ngc-models").mkdir()
        words = {
            "harbor.example.com": registry.host,
            "https://s3.example.com": store.endpoint,
            "AWS_ACCESS_KEY_ID=…": f"AWS_ACCESS_KEY_ID={store.access_key}",
            "AWS_SECRET_ACCESS_KEY=…": f"AWS_SECRET_ACCESS_KEY={store.secret_key}",
            "nvapi-…": ngc.catalogue.keys["entitled"].secret,
            "/usr/lib/softhsm/libsofthsm2.so": str(softhsm.module()),
            "THE-CONTAINERS-KEY": fingerprint(ngc, "containers"),
            "THE-MODELS-KEY": fingerprint(ngc, "models"),
            "127.0.0.1:5000": f"127.0.0.1:{free_port()}",
            "/srv": f"{tmp_path}/srv",
            "/mnt": f"{tmp_path}/mnt",
        }
        if document.name in {"harbor.md", "gates.md"}:
            harbor = request.getfixturevalue("harbor_plain")
            words["harbor.example.com"] = harbor.emulated.host
            words["DRAY_HARBOR_ADMIN_PASSWORD=…"] = (
                f"DRAY_HARBOR_ADMIN_PASSWORD={harbor.admin.password}"
            )
        if document.name == "scanning.md":
            server = stack.enter_context(clamd.running(stream=100 << 20))
            words["/run/clamav/clamd.ctl"] = str(server.socket)
            scanners.install(tmp_path / "scanners")
        own = environment(isolated)
        own["PATH"] = f"{tmp_path / 'scanners'}{os.pathsep}{own['PATH']}"
        session = Session(tmp_path, words, own, registries(ngc))
        for folder in ("srv", "mnt"):
            (tmp_path / folder).mkdir()
        for block in blocks(document):
            session.add(block)
        problems = session.run()
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_block_is_of_a_known_kind(document: Path) -> None:
    known = {"console", "cron", "text", "sh"}
    odd = [
        block.where
        for block in blocks(document)
        if block.language not in known and not block.is_file and block.about not in CHECKS
    ]
    assert odd == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_what_is_not_run_here_is_run_elsewhere(document: Path) -> None:
    lines = [
        line.partition("  #")[0].strip()
        for block in blocks(document)
        if block.language == "sh"
        for line in block.text.splitlines()
    ]
    assert [line for line in lines if line not in ELSEWHERE] == []
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {line.split()[1] for line in ELSEWHERE if line.startswith("make ")} <= set(targets)


def check_spec(block: Block, folder: Path) -> None:
    text = block.text
    for key, line in (("apiVersion", "apiVersion: dray/v1"), ("stream", "stream: example")):
        if not re.search(rf"^{key}:", text, re.MULTILINE):
            text = f"{line}\n{text}"
    if not re.search(r"^(images|charts|models|resources|files):", text, re.MULTILINE):
        text += "images: [nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04]\n"
    for name in re.findall(r"\b(?:ca|file|pgp): (\S+?)[,}\n]", text):
        (folder / name).touch()
    spec.parse(text.encode(), folder / "dray.yaml")


def check_targets(block: Block, folder: Path) -> None:
    file = folder / "targets.yaml"
    file.write_text(block.text, encoding="utf-8")
    destinations.read([str(file)])


CHECKS = {"spec": check_spec, "targets": check_targets}


@pytest.mark.parametrize(
    "block",
    [block for path in DOCUMENTS for block in blocks(path) if block.about in CHECKS],
    ids=lambda block: block.where,
)
def test_the_example_is_valid(block: Block, tmp_path: Path) -> None:
    CHECKS[block.about](block, tmp_path)


@pytest.mark.xdist_group("help")
def test_the_commands_page_is_what_the_program_says() -> None:
    assert commands.FILE.read_text(encoding="utf-8") == commands.text(), "run make docs"


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = build().commands
    assert [name for name in names if f"dray {name}" not in text] == []


@pytest.mark.xdist_group("help")
def test_every_option_in_a_document_exists() -> None:
    known = set(re.findall(r"--[a-z][a-z-]+", commands.text()))
    unknown = {
        f"{command.where}: {word}"
        for path in DOCUMENTS
        for block in blocks(path)
        for command in commands_of(block)
        for part in re.findall(r"dray [^|;&]+", command.line)
        for word in shlex.split(part.replace("…", ""), comments=True)
        if word.startswith("--") and word.partition("=")[0] not in known
    }
    assert unknown == set()


@pytest.mark.parametrize(
    "document",
    [*DOCUMENTS, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs" / "adr").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(
        r'(?:src|srcset)="([^"]+)"', text
    )
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a …  c\n", "a bbb  c\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\n", "a\n", True),
        ("", "", True),
        ("", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a…c\n", "a\nc\n", False),
    ],
)
def test_dots_stand_for_what_they_should(expected: str, actual: str, same: bool) -> None:
    assert matches(expected, actual) is same
