"""Which files of a master are told of because overlays get them whole."""

import pytest

from skinnybox.masters.heavy import WAY_OUT, is_heavy, told, watched
from skinnybox.masters.index import Entry
from skinnybox.sizes import MIB


def an_entry(path: str, size: int, *, kind: str = "-", link: str | None = None) -> Entry:
    return Entry(
        path=path.encode(), type=kind, mode=0o644, uid=0, gid=0, mtime_ns=0, size=size,
        link=None if link is None else link.encode(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "size", "kind", "heavy"),
    [
        ("var/lib/mysql/ib_logfile0", 96 * MIB, "-", True),
        ("var/lib/mysql/ibdata1", 12 * MIB, "-", True),
        ("var/lib/mysql/ibdata1", MIB, "-", False),
        ("var/lib/postgresql/15/main/pg_wal/000000010000000000000001", 16 * MIB, "-", True),
        ("var/lib/app/state", 16 * MIB, "-", True),
        ("var/lib/app/state", 16 * MIB - 1, "-", False),
        ("var/lib/app/state", 16 * MIB, "l", False),
        ("var/log/large", 99 * MIB, "-", False),
        ("var/cache/large", 99 * MIB, "-", False),
        ("var/logs/large", 99 * MIB, "-", True),
        ("usr/lib/large.so", 99 * MIB, "-", False),
        ("various/large", 99 * MIB, "-", False),
    ],
)
def test_large_files_that_are_written_in_place_are_heavy(
    path: str, size: int, kind: str, heavy: bool
) -> None:
    assert is_heavy(an_entry(path, size, kind=kind)) is heavy


def test_path_size_and_way_out_are_told_and_a_file_once() -> None:
    first = an_entry("var/lib/a", 20 * MIB, link="var/lib/a")
    second = an_entry("var/lib/b", 20 * MIB, link="var/lib/a")
    larger = an_entry("var/lib/mysql/ib_logfile0", 96 * MIB)
    line, hint = told([first, second, larger])
    assert line == "copied up whole when written to: /var/lib/mysql/ib_logfile0, 96.0M; /var/lib/a, 20.0M"
    assert hint == WAY_OUT
    assert told([]) == []


def test_of_many_the_largest_are_told_and_no_path_reaches_the_terminal() -> None:
    many = [an_entry(f"var/lib/\x1b[2J{number}", (16 + number) * MIB) for number in range(9)]
    line, _ = told(many)
    assert line.endswith("; and 4 more") and "\x1b" not in line and "24.0M" in line and "16.0M" not in line


def test_watching_changes_nothing_of_what_comes() -> None:
    entries = [an_entry("var/lib/a", 20 * MIB), an_entry("etc/b", 1)]
    found: list[Entry] = []
    assert list(watched(entries, found)) == entries and found == entries[:1]
