import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt, UsageError
from skinnybox.masters.index import (
    Entry,
    _entry,
    content_id,
    read_below,
    read_index,
    read_lines,
    scan,
    write_index,
)
from skinnybox.operation import Operation


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "x").write_bytes(b"one")
    (tree / "a" / "x").chmod(0o4755)
    (tree / "a.b").write_bytes(b"")
    (tree / "z").hardlink_to(tree / "a" / "x")
    (tree / "new\nline").symlink_to("/etc/passwd")
    os.mkfifo(tree / "pipe")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe")).write_bytes(b"odd")
    return tree


def _scan(tree: Path) -> list[Entry]:
    return list(scan(tree, Operation()))


def _index(entries: list[Entry], file: Path) -> Path:
    write_index(entries, file)
    return file


def test_every_name_is_there_in_canonical_order(tree: Path) -> None:
    # By components: a/x comes before a.b, though "." sorts before "/" as a byte.
    assert [e.path for e in _scan(tree)] == [
        b"", b"a", b"a/x", b"a.b", b"new\nline", b"pipe", b"z", b"\xff\xfe",
    ]  # fmt: skip


def test_an_entry_says_what_lstat_says(tree: Path) -> None:
    entries = {entry.path: entry for entry in _scan(tree)}
    digest = "sha256:" + hashlib.sha256(b"one").hexdigest()
    info = (tree / "a/x").stat()
    assert entries[b"a/x"] == Entry(
        path=b"a/x", type="-", mode=0o4755, uid=info.st_uid, gid=info.st_gid, mtime_ns=info.st_mtime_ns,
        size=3, digest=digest, link=b"a/x",
    )  # fmt: skip
    assert entries[b"z"] == replace(entries[b"a/x"], path=b"z")
    assert entries[b"new\nline"].target == b"/etc/passwd"
    assert (entries[b"pipe"].type, entries[b"a"].type, entries[b"a"].size) == ("p", "d", 0)


def test_a_link_from_outside_makes_no_group(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").hardlink_to(tree / "a.b")
    assert next(e for e in _scan(tree) if e.path == b"a.b").link is None


def test_xattrs_are_sorted_and_bytes(tree: Path) -> None:
    os.setxattr(tree / "a.b", "user.z", b"\x00\xff")
    os.setxattr(tree / "a.b", "user.a", b"")
    found = next(e for e in _scan(tree) if e.path == b"a.b")
    assert found.xattrs == (("user.a", b""), ("user.z", b"\x00\xff"))


def test_the_file_gives_back_what_was_scanned_and_is_deterministic(tree: Path, tmp_path: Path) -> None:
    entries = _scan(tree)
    first, second = _index(entries, tmp_path / "1"), _index(_scan(tree), tmp_path / "2")
    assert list(read_index(first)) == entries
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 0o600}, {"uid": 12345}, {"gid": 12345}, {"mtime_ns": 1}, {"size": 4}, {"link": None},
        {"digest": "sha256:" + "0" * 64}, {"xattrs": (("user.a", b"1"),)}, {"path": b"a/y"}, {"type": "d"},
    ],
)  # fmt: skip
def test_the_content_id_sees_every_field(tree: Path, tmp_path: Path, change: dict[str, object]) -> None:
    entries = _scan(tree)
    boot = tmp_path / "boot"
    boot.write_bytes(b"kernel")
    before = content_id(_index(entries, tmp_path / "1"), boot, boot, 1)
    at = next(number for number, entry in enumerate(entries) if entry.path == b"a/x")
    entries[at] = replace(entries[at], **change)  # type: ignore[arg-type]
    assert content_id(_index(entries, tmp_path / "2"), boot, boot, 1) != before


def test_the_content_id_sees_kernel_and_initrd(tree: Path, tmp_path: Path) -> None:
    index = _index(_scan(tree), tmp_path / "1")
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    assert len({content_id(index, *pair, 1) for pair in ((one, one), (one, two), (two, one))}) == 3


@pytest.mark.parametrize("text", [b"no json\n", b"[]\n", b'{"path":"a"}\n', b'{"path":3,"type":"-"}\n'])
def test_a_foreign_index_is_corrupt_and_named(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "index.jsonl.gz"
    file.write_bytes(gzip.compress(text))
    with pytest.raises(Corrupt, match=r"index\.jsonl\.gz, line 1"):
        list(read_index(file))


def test_a_cut_index_is_corrupt(tree: Path, tmp_path: Path) -> None:
    file = _index(_scan(tree), tmp_path / "1")
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(Corrupt):
        list(read_index(file))


def test_a_date_before_1970_is_refused(tree: Path) -> None:
    os.utime(tree / "a.b", (-5, -5))
    with pytest.raises(UsageError, match="1970"):
        _scan(tree)


@pytest.mark.parametrize("becomes", [b"longer than it was", b"cut", b""])
def test_a_file_that_changes_while_it_is_sealed_is_named(tmp_path: Path, becomes: bytes) -> None:
    """Its size is known before its content is read: a master must not have the one of now and the other of
    then."""
    log = tmp_path / "log"
    log.write_bytes(b"as it was")
    info = log.lstat()
    assert _entry(os.fsencode(tmp_path), b"log", info, None).size == 9
    log.write_bytes(becomes)
    with pytest.raises(Corrupt, match="log changed while it was read"):
        _entry(os.fsencode(tmp_path), b"log", info, None)


def test_below_a_folder_is_what_the_whole_index_has_there(tree: Path, tmp_path: Path) -> None:
    for name in ("ab", "b/a"):
        (tree / name).mkdir(parents=True)
        (tree / name / 'odd "\n').write_text("x")
    (tree / "a/below").mkdir()
    (tree / "a/below/x").write_text("x")
    file = _index(_scan(tree), tmp_path / "index")
    expected = [entry for entry in read_index(file) if entry.path.startswith(b"a/")]
    assert len(expected) == 3 and list(read_below(file, b"a")) == expected
    with file.open("rb") as opened:
        assert list(read_below(opened, b"a")) == expected


def test_who_looks_on_can_end_it(tree: Path, tmp_path: Path) -> None:
    def enough() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(read_below(_index(_scan(tree), tmp_path / "index"), b"none", enough))


def test_a_line_below_it_that_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(gzip.compress(b'{"path":"var/x"}\n'))
    with pytest.raises(Corrupt, match="not an index entry"):
        list(read_below(tmp_path / "index", b"var"))
    assert list(read_below(tmp_path / "index", b"usr")) == []


def test_lines_tell_their_paths_without_being_parsed(tmp_path: Path) -> None:
    paths = [
        b"",
        b"a b",
        b'a"quote',
        b"a\\slash",
        "\N{LATIN SMALL LETTER E WITH ACUTE}".encode(),
        b"\xff",
        b"\x7f",
    ]
    entries = [Entry(path=path, type="d", mode=0o755, uid=0, gid=0, mtime_ns=1) for path in paths]
    write_index(entries, tmp_path / "index")
    found = list(read_lines(tmp_path / "index"))
    assert [line.path for line in found] == paths
    assert [line.entry() for line in found] == entries


def test_lines_that_differ_by_a_time_alone_are_the_same(tmp_path: Path) -> None:
    one = Entry(path=b'x,"mtime":5', type="-", mode=0o644, uid=0, gid=0, mtime_ns=5, digest="d")
    others = (one, replace(one, mtime_ns=55), replace(one, mode=0o600), replace(one, path=b'x,"mtime":6'))
    write_index(others, tmp_path / "index")
    same, later, mode, path = read_lines(tmp_path / "index")
    assert same.same(later) and later.same(same)
    assert not same.same(mode) and not same.same(path)


def test_a_line_that_is_none_is_corrupt(tmp_path: Path) -> None:
    for line in (b"[]\n", b'{"type":"d"}\n', b'{"path":5,"type":"d"}\n'):
        (tmp_path / "index").write_bytes(gzip.compress(line))
        with pytest.raises(Corrupt, match="not an index entry"):
            list(read_lines(tmp_path / "index"))
