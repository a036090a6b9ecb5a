"""An index by path: against the plain list, and what is no index."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.errors import Corrupt
from skinnybox.masters.index import Entry, write_index
from skinnybox.masters.lookup import Lookup, unpack

NAME = st.one_of(
    st.sampled_from([b"a", b"b", b"a b", b'"', b"\\", b"\n", b"\r", b"\xff", "漢".encode(), b"x" * 200]),
    st.binary(min_size=1, max_size=3).filter(lambda name: b"/" not in name and b"\0" not in name),
)
PATHS = st.sets(st.lists(NAME, min_size=1, max_size=4).map(b"/".join), max_size=40)
LIST = (("system.posix_acl_access", b"\2\0\0\0"),)


def _entry(path: bytes, number: int = 0) -> Entry:
    """Every third has an access list, and every fourth a long attribute."""
    xattrs = LIST * (number % 3 == 2) + (("user.long", bytes(900)),) * (number % 4 == 3)
    return Entry(path=path, type="d", mode=0o755, uid=number, gid=number + 1, mtime_ns=1, xattrs=xattrs)


def _key(path: bytes) -> list[bytes]:
    return path.split(b"/") if path else []


def _whole(paths: set[bytes]) -> list[Entry]:
    """In canonical order, with all folders."""
    found = {b""}
    for path in paths:
        while path not in found:
            found.add(path)
            path = path.rpartition(b"/")[0]
    return [_entry(path, number) for number, path in enumerate(sorted(found, key=_key))]


class Unpacked:
    """Closes what it opened."""

    def __init__(self, index: Path) -> None:
        self._files = [index.with_name(name).open("w+b") for name in ("lines", "table")]
        try:
            unpack(index, *self._files)
        except BaseException:
            self.__exit__()
            raise
        for file in self._files:
            file.flush()

    def __enter__(self) -> Lookup:
        return Lookup(*(file.fileno() for file in self._files))

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


@given(PATHS, PATHS)
def test_it_finds_what_the_list_has(
    tmp_path_factory: pytest.TempPathFactory, paths: set[bytes], others: set[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("index")
    entries = _whole(paths)
    write_index(entries, folder / "index")
    with Unpacked(folder / "index") as lookup:
        assert [line.entry() for line in lookup] == entries
        by_path = {entry.path: entry for entry in entries}
        for path in {*by_path, *others}:
            line = lookup.at(path)
            assert (line and line.entry()) == by_path.get(path)
            inside = [e for e in entries if e.path != path and _key(e.path)[: len(_key(path))] == _key(path)]
            assert [line.entry() for line in lookup.below(path)] == (inside if path in by_path else [])
        assert set(lookup.numbers()) == {(entry.uid, entry.gid) for entry in entries}
        with_lists = {line.path for line in lookup.with_lists()}
        assert with_lists >= {entry.path for entry in entries if dict(LIST).keys() & dict(entry.xattrs)}


def test_a_line_that_somebody_else_wrote_is_written_anew(tmp_path: Path) -> None:
    """Whoever looks for numbers looks at bytes, so there is one way to write them."""
    record = {"type": "d", "path": "", "gid": 8, "uid": 7, "mode": 493, "mtime": 1}
    (tmp_path / "index").write_bytes(gzip.compress(json.dumps(record, indent=None).encode() + b"\n"))
    with Unpacked(tmp_path / "index") as lookup:
        assert list(lookup.numbers()) == [(7, 8)]
        found = lookup.at(b"")
        assert found is not None and found.entry().uid == 7


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        ([b"", b"b", b"a"], "not in order"),
        ([b"", b"a", b"a"], "not in order"),
        ([b"", b"a-b", b"a/b"], "not in order|no folder"),
        ([b"", b"a/b"], "no folder"),
        ([b"a"], "no folder"),
    ],
)
def test_what_is_no_index_of_a_tree_is_corrupt(tmp_path: Path, paths: list[bytes], why: str) -> None:
    write_index(map(_entry, paths), tmp_path / "index")
    with pytest.raises(Corrupt, match=why):
        Unpacked(tmp_path / "index")


def test_a_table_without_an_end_is_left(tmp_path: Path) -> None:
    write_index([_entry(b"")], tmp_path / "index")
    with Unpacked(tmp_path / "index") as lookup:
        os.truncate(tmp_path / "table", 0)
        with pytest.raises(Corrupt):
            Lookup(lookup._lines, lookup._table).at(b"x")
