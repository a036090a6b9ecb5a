"""A directory is copied as two halves, and nothing of it differs from one that is copied in one piece.

Requirements: root, or root of a namespace."""

import os
import socket
import sys
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Cancelled, Corrupt
from skinnybox.masters import halves as module
from skinnybox.masters import namespace
from skinnybox.masters.halves import Halves, date_folders, halves, make_folders
from skinnybox.masters.index import Entry, scan
from skinnybox.masters.tree import unpacked
from skinnybox.operation import Operation

root_only = pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace")


def _entries(tree: Path) -> list[Entry]:
    return list(scan(tree, Operation()))


def _copied(source: Path, place: Path) -> Path:
    (work := place / "work").mkdir()
    return unpacked(source, work, Operation())


def _divided(source: Path) -> Halves:
    found = halves(source)
    assert found is not None and all(found.names)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    for number in range(4):
        deep = tree / f"usr/lib/{number}/below/deeper"
        deep.mkdir(parents=True)
        (deep / "file").write_bytes(b"x" * 10_000)
    (tree / "usr/lib/0/below/deeper/hard").write_text("one file")
    for name in ("usr/lib/1/hard", "usr/lib/3/below/hard", "hard", "usr/hard"):
        (tree / name).hardlink_to(tree / "usr/lib/0/below/deeper/hard")
    (tree / "empty/empty/empty").mkdir(parents=True)
    (tree / "var").mkdir()
    (tree / "var/-rf *\n").write_text("x")
    (tree / "var/--parents").mkdir()
    Path(os.fsdecode(os.fsencode(tree) + b"/var/\xff")).write_text("y")
    (tree / "var/link").symlink_to("../usr")
    os.mkfifo(tree / "var/fifo")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tree / "var/door"))
    os.setxattr(tree / "usr/lib/0/below", "user.note", b"\0\1")
    for number, name in enumerate((".", "usr", "usr/lib", "var", "empty", "empty/empty", "var/link")):
        if not namespace.needed():
            os.chown(tree / name, 1200 + number, 4321, follow_symlinks=False)
        if name != "var/link":
            (tree / name).chmod((0o2750, 0o1777, 0o555, 0o711)[number % 4])
        os.utime(tree / name, ns=(1, (number + 1) * 1_234_567_890_123), follow_symlinks=False)
    return tree


@root_only
def test_nothing_differs_from_the_source(source: Path, tmp_path: Path) -> None:
    before = _entries(source)
    _divided(source)
    assert _entries(_copied(source, tmp_path)) == before == _entries(source)


@root_only
def test_a_path_that_is_relative(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _entries(source)
    monkeypatch.chdir(tmp_path)
    assert _entries(_copied(Path("source"), Path())) == before


@root_only
def test_a_source_that_a_symlink_leads_to(source: Path, tmp_path: Path) -> None:
    (tmp_path / "named").symlink_to("source")
    assert _entries(_copied(tmp_path / "named", tmp_path)) == _entries(source)


def test_the_halves_are_all_of_it_and_weigh_the_same(source: Path) -> None:
    found = _divided(source)
    one, other = map(set, found.names)
    assert not one & other
    listed = {
        os.fsencode(p.relative_to(source)) for p in source.rglob("*") if len(p.relative_to(source).parts) < 4
    }
    assert one | other | set(found.folders) == listed | {b""}
    big = [f"usr/lib/{number}".encode() for number in range(4)]
    assert 1 <= sum(name in one for name in big) <= 3


def test_names_of_one_file_are_in_one_half(source: Path) -> None:
    names = {b"usr/lib/0", b"usr/lib/1", b"usr/lib/3", b"hard", b"usr/hard"}
    one, other = map(set, _divided(source).names)
    assert names <= one or names <= other


@root_only
@pytest.mark.parametrize("folder", [".", "usr/lib", "empty/empty"])
def test_a_folder_with_attributes_of_its_own_is_left_to_cp(source: Path, tmp_path: Path, folder: str) -> None:
    os.setxattr(source / folder, "user.note", b"kept")
    found = halves(source)
    assert found is None or os.fsencode(folder) not in found.folders
    assert _entries(_copied(source, tmp_path)) == _entries(source)


def test_too_many_names_are_no_arguments(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    assert halves(source) is None
    monkeypatch.undo()
    monkeypatch.setattr(module, "_MOST_BYTES", 20)
    assert halves(source) is None


def test_names_of_one_file_in_a_chain_of_pieces(tmp_path: Path) -> None:
    """Each piece has a name of the next one's file: all of it is one piece, and not divided."""
    for number in range(300):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/x").mkdir()
        (tmp_path / f"{number}/x/y").mkdir()
        (tmp_path / f"{number}/x/y/own").touch()
        if number:
            (tmp_path / f"{number}/x/y/other").hardlink_to(tmp_path / f"{number - 1}/x/y/own")
    assert halves(tmp_path) is None
    (tmp_path / "alone").touch()
    one, other = _divided(tmp_path).names
    assert {len(one), len(other)} == {300, 1}


def test_what_is_one_piece_is_not_divided(tmp_path: Path) -> None:
    assert halves(tmp_path) is None
    (tmp_path / "file").touch()
    assert halves(tmp_path) is None
    assert halves(tmp_path / "missing") is None


@root_only
def test_a_folder_that_became_a_symlink_is_refused(source: Path, tmp_path: Path) -> None:
    """What lies behind it may be anything of this host's."""

    halved = _divided(source)
    (tree := tmp_path / "tree").mkdir()
    make_folders(halved, tree)
    (source / "usr/lib").rename(source / "usr/was")
    (source / "usr/lib").symlink_to("/usr/lib/systemd")
    with pytest.raises(Corrupt, match="changed while it was copied"):
        date_folders(halved, source, tree)
    (source / "usr/lib").unlink()
    with pytest.raises(Corrupt, match="changed while it was copied"):
        date_folders(halved, source, tree)


@root_only
def test_it_can_be_cancelled(source: Path, tmp_path: Path) -> None:
    operation = Operation()
    operation.cancel()
    (tmp_path / "work").mkdir()
    with pytest.raises(Cancelled):
        unpacked(source, tmp_path / "work", operation)


_MOUNTED = """
set -e
mount -t tmpfs none "$1/usr/lib/1"
mount -t tmpfs none "$1/empty"
touch "$1/empty/not" "$1/usr/lib/1/not"
shift
"$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_what_is_mounted_in_it_stays_where_it_is(source: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    words = ["sh", "-c", _MOUNTED, "sh", source, sys.executable, __file__, source, tmp_path / "work"]
    run.run(["unshare", "--mount", *map(str, words)], keep=run.OURSELVES)
    tree = tmp_path / "work/tree"
    assert (tree / "usr/lib/2/below/deeper/file").is_file()
    for name in ("usr/lib/1", "empty"):
        assert (tree / name).is_dir() and not list((tree / name).iterdir())


if __name__ == "__main__":
    assert halves(Path(sys.argv[1])) is not None
    unpacked(Path(sys.argv[1]), Path(sys.argv[2]), Operation())
