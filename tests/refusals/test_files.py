"""Lies in the files: swapped, renamed, foreign, doubled, linked, and things that are no files."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from tests import factory
from tests.refusals.table import IMPORT, VERIFY, VERIFY_FIRST, Lie, check, dray, rows, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

COPY = "copy this file again from the low side"
FOREIGN = "is no part of the bundle"
REMOVE = "remove it: a bundle's folder holds nothing else"
LINK = "is a link, not a file"
IRREGULAR = "is not a regular file"


def older(bundle: Bundle, *, sequence: int = 6) -> Bundle:
    """Another bundle of the stream with other content, beside the one that is lied about."""
    return factory.build(
        bundle.trust.parent / "another",
        lambda kept: factory.sample(kept, seed="another"),
        sequence=sequence,
    )


def swap(bundle: Bundle) -> None:
    one, other = bundle.chunk(1), bundle.chunk(2)
    middle = bundle.folder / "swapping"
    one.rename(middle)
    other.rename(one)
    middle.rename(other)


def rename(bundle: Bundle) -> None:
    bundle.chunk(6).rename(bundle.folder / f"{bundle.name}.chunk-00007.tar")


def over(bundle: Bundle) -> None:
    shutil.copy(bundle.chunk(2), bundle.chunk(1))


def chunk_of_another(bundle: Bundle) -> None:
    another = older(bundle)
    shutil.copy(another.chunk(1), bundle.chunk(1))
    shutil.rmtree(another.trust.parent)


def another_beside(bundle: Bundle) -> None:
    another = older(bundle)
    shutil.copy(another.chunk(1), bundle.folder)
    shutil.rmtree(another.trust.parent)


def older_manifest_newer_chunks(bundle: Bundle) -> None:
    another = older(bundle, sequence=7)
    for path in another.folder.glob("*.manifest.json*"):
        shutil.copy(path, bundle.folder)
    shutil.rmtree(another.trust.parent)


def older_under_the_newer_name(bundle: Bundle) -> None:
    another = older(bundle)
    for path in another.folder.glob("*.manifest.json*"):
        shutil.copy(path, bundle.folder / path.name.replace(another.name, bundle.name))
    shutil.rmtree(another.trust.parent)


def two_bundles(bundle: Bundle) -> None:
    another = older(bundle)
    for path in another.folder.iterdir():
        shutil.copy(path, bundle.folder)
    shutil.rmtree(another.trust.parent)


def two_signed(bundle: Bundle) -> None:
    """The key's owner has signed two manifests under one number, one for each medium."""
    body = bundle.path("manifest.json").read_bytes()
    first, second = bundle.folders
    one = factory.Bundle(bundle.name, (first,), bundle.trust)
    other = factory.Bundle(bundle.name, (second,), bundle.trust)
    one.sign(body)
    other.sign(body + b"\n", factory.SECOND)
    factory.trust_file(bundle.trust, factory.SIGNER, factory.SECOND)


def foreign(name: str, data: bytes = b"?") -> Tell:
    return lambda bundle: (bundle.folder / name).write_bytes(data)


def folder(name: str) -> Tell:
    return lambda bundle: (bundle.folder / name).mkdir()


def doubled(bundle: Bundle) -> None:
    shutil.copy(bundle.chunk(1), bundle.folder / f"{bundle.name}.chunk-00001 (1).tar")


def instead(ending: str, make: Callable[[Path, Path], object]) -> Tell:
    """Put something else in the place of a file, which lies elsewhere now."""

    def tell(bundle: Bundle) -> None:
        path = bundle.path(ending)
        aside = bundle.trust.parent / "aside"
        path.rename(aside)
        make(path, aside)

    return tell


def link(path: Path, aside: Path) -> None:
    path.symlink_to(aside)


def dangling(path: Path, _aside: Path) -> None:
    path.symlink_to("nowhere")


def fifo(path: Path, _aside: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, _aside: Path) -> None:
    path.mkdir()


def device(path: Path, _aside: Path) -> None:
    path.symlink_to("/dev/null")
    path.unlink()
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero: it never ends


def a_socket(path: Path, _aside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path may only be short
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def through_a_link(bundle: Bundle) -> None:
    """The folder that the person names holds the bundle's folder as a link."""
    inner = bundle.folder.rename(bundle.trust.parent / "elsewhere")
    bundle.folder.mkdir()
    (bundle.folder / "bundle").symlink_to(inner)


def emptied(bundle: Bundle) -> None:
    for path in bundle.folder.iterdir():
        path.unlink()


SWAPPED = (
    Lie(
        "two chunks are swapped",
        swap,
        3,
        "holds the bytes of prod-000007.chunk-00002.tar: swapped or renamed",
        "rename it to prod-000007.chunk-00002.tar",
        ways=(VERIFY,),
    ),
    Lie("two chunks are swapped", swap, 3, "that was signed", inside=True, ways=(IMPORT,)),
    Lie("a chunk is renamed", rename, 3, FOREIGN, REMOVE, ways=(IMPORT,)),
    Lie(
        "a chunk is renamed",
        rename,
        3,
        "holds the bytes of prod-000007.chunk-00006.tar: swapped or renamed",
        "rename it to prod-000007.chunk-00006.tar",
        ways=(VERIFY, VERIFY_FIRST),
    ),
    Lie(
        "a chunk is overwritten by another", over, 3, "that was signed", COPY, True, ways=(IMPORT,)
    ),
    Lie(
        "a chunk is overwritten by another",
        over,
        3,
        "is a copy of prod-000007.chunk-00002.tar, which is good",
        COPY,
        ways=(VERIFY, VERIFY_FIRST),
    ),
    Lie(
        "a chunk of another bundle has this name",
        chunk_of_another,
        3,
        "not the tar structure that was signed",
        COPY,
    ),
    Lie("a chunk of another bundle lies here", another_beside, 3, FOREIGN, REMOVE),
    Lie("an older manifest comes with newer chunks", older_manifest_newer_chunks, 3, "", COPY),
    Lie(
        "an older manifest has the newer name",
        older_under_the_newer_name,
        3,
        "the files are named prod-000007, but what was signed is prod-000006",
        "a bundle cannot be renamed",
    ),
    Lie(
        "two bundles lie in one folder",
        two_bundles,
        2,
        "more than one bundle here: prod-000006, prod-000007",
        "name one bundle's folder",
    ),
    Lie(
        "two manifests of one number are signed",
        two_signed,
        3,
        "two different manifests of prod-000007 are signed",
        "ask the low side",
        bundle="spread",
    ),
)

ADDED = (
    Lie("a foreign file", foreign("autorun.inf"), 3, FOREIGN, REMOVE),
    Lie("a foreign file that begins like ours", foreign("prod-000007.extra"), 3, FOREIGN, REMOVE),
    Lie("a chunk too many", foreign("prod-000007.chunk-00009.tar"), 3, FOREIGN, REMOVE),
    Lie("an unfinished file", foreign("prod-000007.chunk-00001.tar.partial"), 3, FOREIGN, REMOVE),
    Lie("a foreign folder", folder("more"), 3, FOREIGN, REMOVE),
    Lie("a duplicate under another name", doubled, 3, FOREIGN, REMOVE, ways=(IMPORT,)),
    Lie(
        "a duplicate under another name",
        doubled,
        3,
        "is a copy of prod-000007.chunk-00001.tar, which is good",
        REMOVE,
        ways=(VERIFY, VERIFY_FIRST),
    ),
    Lie("a trust file on the medium", foreign("trust.json", b"{}"), 3, FOREIGN, REMOVE),
    Lie("a name with a second line", foreign("x\nverified: all"), 3, r"x\nverified: all", REMOVE),
    Lie("a name that moves the cursor", foreign("\x1b[2Jx"), 3, r"\x1b[2Jx", REMOVE),
    Lie("a name that reads backwards", foreign("\u202egnp.exe"), 3, r"\u202egnp.exe", REMOVE),
    Lie("a name that is not UTF-8", foreign(os.fsdecode(b"\xff\xfe")), 3, r"\udcff", REMOVE),
)

KINDS = (("a chunk", "chunk-00002.tar"), ("the list of digests", "sha256sums"))
PINNED = tuple(
    lie
    for what, ending in KINDS
    for lie in (
        Lie(f"{what} is a symbolic link", instead(ending, link), 3, LINK, COPY),
        Lie(f"{what} is a dangling link", instead(ending, dangling), 3, LINK, COPY),
        Lie(f"{what} is a pipe", instead(ending, fifo), 3, IRREGULAR, COPY),
        Lie(f"{what} is a folder", instead(ending, a_folder), 3, IRREGULAR, COPY),
        Lie(f"{what} is a socket", instead(ending, a_socket), 3, IRREGULAR, COPY),
    )
)
SIGNED = tuple(
    lie
    for what, ending in (
        ("the manifest", "manifest.json"),
        ("a signature file", "manifest.json.dray.sigstore.json"),
        ("a raw signature", "manifest.json.dray.sig"),
    )
    for lie in (
        Lie(f"{what} is a symbolic link", instead(ending, link), 3, LINK, COPY),
        Lie(f"{what} is a pipe", instead(ending, fifo), 3, IRREGULAR, COPY),
        Lie(f"{what} is a folder", instead(ending, a_folder), 3, IRREGULAR, COPY),
    )
)
PLACES = (
    Lie("the bundle's folder is a link inside", through_a_link, 4, "no bundle in"),
    Lie(
        "the folder is empty",
        emptied,
        4,
        "no bundle in",
        "an export that was cut leaves *.partial files",
    ),
    Lie(
        "the folder is not there",
        lambda bundle: shutil.rmtree(bundle.folder),
        2,
        "does not exist",
        "name the folder of the bundle",
    ),
)
DEVICES = (
    Lie("a chunk is a device", instead("chunk-00002.tar", device), 3, IRREGULAR, COPY),
    Lie("the manifest is a device", instead("manifest.json", device), 3, IRREGULAR, COPY),
)


@rows(SWAPPED, ADDED, PINNED, SIGNED, PLACES)
def test_a_lie_in_the_files_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device files")
@rows(DEVICES)
def test_a_device_is_no_file(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


@pytest.mark.parametrize("way", [VERIFY, IMPORT])
@pytest.mark.parametrize(
    "name", [".DS_Store", "._x", "System Volume Information", "$RECYCLE.BIN", "lost+found"]
)
def test_what_a_system_drops_on_media_is_no_lie(
    name: str, way: str, good: dict[str, Bundle], tmp_path: Path
) -> None:
    from tests.refusals.conftest import copy

    bundle = copy(good["plain"], tmp_path / "desk")
    (bundle.folder / name).mkdir()
    to = () if way == VERIFY else ("--to", tmp_path / "warehouse")
    answer = dray(way, "--trust", bundle.trust, *to, bundle.folder, folder=tmp_path)
    assert answer.code == 0, answer


def test_hard_links_are_files_and_the_named_folder_may_be_a_link(
    good: dict[str, Bundle], tmp_path: Path
) -> None:
    bundle = good["plain"]
    (tmp_path / "stick").mkdir()
    for path in bundle.folder.iterdir():
        (tmp_path / "stick" / path.name).hardlink_to(path)
    (tmp_path / "named").symlink_to("stick")
    answer = dray(VERIFY, "--trust", bundle.trust, tmp_path / "named", folder=tmp_path)
    assert answer.code == 0, answer


@contextmanager
def failing(name: str, path: Path, number: int) -> Iterator[None]:
    """Let a call of the system fail for one path, as a bad sector or a pulled plug does."""
    real = getattr(os, name)

    def call(where: object, *arguments: object, **options: object) -> object:
        if isinstance(where, int):
            where_ = Path(f"/proc/self/fd/{where}").readlink()
        else:
            where_ = Path(str(where))
        if where_ == path:
            raise OSError(number, os.strerror(number))
        return real(where, *arguments, **options)

    with mock.patch.object(os, name, call):
        yield


@pytest.mark.parametrize(
    ("call", "number", "code", "says"),
    [
        ("pread", errno.EIO, 3, "cannot be read: Input/output error"),
        ("pread", errno.ENODEV, 4, "is gone: No such device"),
        ("open", errno.EACCES, 3, "cannot be read: Permission denied"),
        ("open", errno.ENOENT, 4, "is gone: No such file or directory"),
        ("scandir", errno.EIO, 3, "cannot be read: Input/output error"),
        ("scandir", errno.ENODEV, 4, "is gone: No such device"),
    ],
)
@pytest.mark.parametrize("way", [VERIFY, IMPORT])
def test_a_medium_that_fails_is_named(
    call: str,
    number: int,
    code: int,
    says: str,
    way: str,
    good: dict[str, Bundle],
    tmp_path: Path,
) -> None:
    bundle = good["plain"]
    before = snapshot(bundle.folder)
    path = bundle.folder if call == "scandir" else bundle.chunk(1)
    to = () if way == VERIFY else ("--to", tmp_path / "warehouse")
    with failing(call, path.resolve(), number):
        answer = dray(way, "--trust", bundle.trust, *to, bundle.folder, folder=tmp_path)
    assert answer.code == code, answer
    assert says in answer.text
    assert path.name in answer.text
    assert snapshot(bundle.folder) == before
    assert not (tmp_path / "warehouse").exists()
