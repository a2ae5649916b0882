"""The folder whose inside is reached without following links."""

from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING

import pytest

from bundle.errors import TargetError
from importer.targets.tree import Tree, write_all

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "none")
    assert tree.status("a/b") is None
    assert tree.read("a/b", 10) is None
    tree.remove("a/b")
    tree.clear("a/b")
    assert not (tmp_path / "none").exists()


def test_a_file_is_written_whole_and_replaces_another(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "new")
    for data in (b"a longer text", b"short", b""):
        tree.write("a/b/c", data, through="work/partial")
        assert tree.read("a/b/c", 100) == data
    assert [path.name for path in (tmp_path / "new" / "work").iterdir()] == []


def test_a_file_longer_than_expected_is_refused(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("a", b"12345", through="w")
    assert tree.read("a", 5) == b"12345"
    with pytest.raises(TargetError, match="longer than 4 bytes"):
        tree.read("a", 4)


@pytest.mark.parametrize("path", ["link/x", "link"])
def test_a_link_is_neither_read_nor_written_through(tmp_path: Path, path: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_bytes(b"outside")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "out" / ("x" if path == "link" else ""))
    tree = Tree(root)
    with pytest.raises(TargetError, match="cannot use") as error:
        tree.read(path, 100)
    assert "symbolic link" in error.value.hint
    if path == "link/x":
        with pytest.raises(TargetError):
            tree.write(path, b"evil", through="w")
        with pytest.raises(TargetError):
            tree.remove(path)
    assert (tmp_path / "out" / "x").read_bytes() == b"outside"


def test_clearing_a_folder_leaves_what_links_in_it_point_to(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_bytes(b"outside")
    tree = Tree(tmp_path / "root")
    tree.write("a/b/c", b"1", through="w")
    (tmp_path / "root" / "a" / "link").symlink_to(tmp_path / "out")
    tree.clear("a")
    assert not (tmp_path / "root" / "a").exists()
    assert (tmp_path / "out" / "x").read_bytes() == b"outside"


def test_a_folder_moves_with_what_is_in_it(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("a/b/c", b"1", through="w")
    tree.move("a/b", "new/place/b")
    assert tree.read("new/place/b/c", 10) == b"1"
    assert tree.status("a/b") is None


def test_who_waited_for_a_file_gets_a_new_one_when_it_was_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, opened, real = Tree(tmp_path), threading.Event(), fcntl.flock

    def flock(handle: int, mode: int) -> None:
        opened.set()
        real(handle, mode)

    def second() -> None:
        with tree.exclusive("partial") as handle:
            write_all(handle, b"second")

    thread = threading.Thread(target=second)
    with tree.exclusive("partial") as handle:
        monkeypatch.setattr("importer.targets.tree.fcntl.flock", flock)
        thread.start()
        assert opened.wait(10)
        write_all(handle, b"first")
        tree.move("partial", "final")
    thread.join()
    assert tree.read("final", 10) == b"first"
    assert tree.read("partial", 10) == b"second"
