"""What a running guest is asked about its upper directory, and what is made of its answer."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.upper_guest import SCRIPT, UPPER, Listed, compared, listing
from skinnybox.errors import Corrupt, GuestFailed
from skinnybox.masters.index import Entry
from skinnybox.model import ChangeKind

SECOND = 10**9


def entry(path: bytes, kind: str, size: int = 0, mode: int = 0o644, seconds: int = 0) -> Entry:
    return Entry(path=path, type=kind, mode=mode, uid=0, gid=0, mtime_ns=seconds * SECOND, size=size)


STACK = (
    entry(b"", "d", mode=0o755),
    entry(b"etc", "d", mode=0o755),
    entry(b"etc/a", "-", 3, seconds=5),
    entry(b"etc/b", "-", 3, seconds=5),
    entry(b"etc/d", "d", mode=0o755),
    entry(b"etc/d/below", "-"),
    entry(b"etc-more", "-", 1),
    entry(b"opt", "d", mode=0o755),
    entry(b"opt/link", "l", 1, mode=0o755, seconds=5),
    entry(b"opt/x", "d", mode=0o755),
    entry(b"opt/x/y", "-"),
    entry(b"opt/z", "-"),
)


WHITEOUT = Listed(type="c", mode=0, uid=0, gid=0, size=0, mtime_ns=0)


def told(kind: str, size: int = 0, ns: int = 5 * SECOND, mode: int = 0o644, target: bytes = b"") -> Listed:
    return Listed(type=kind, mode=mode, uid=0, gid=0, size=size, mtime_ns=ns, target=target)


FOLDER = told("d", mode=0o755)
CUT = replace(FOLDER, opaque=True)


def test_what_a_guest_tells_is_joined_with_the_index() -> None:
    found = {
        b"": FOLDER,
        b"etc": FOLDER,
        b"etc/a": told("-", 3),
        b"etc/b": told("-", 3, 5 * SECOND + 1),
        b"etc/d": WHITEOUT,
        b"etc/new": told("-", 9),
        b"gone": WHITEOUT,
        b"opt": replace(CUT, mode=0o700),
        b"opt/z": told("l", 4, mode=0o777),
    }
    assert [(c.path, c.kind, c.size, c.detail) for c in compared(found, STACK)] == [
        (b"etc/b", ChangeKind.MODIFIED, 3, ""),
        (b"etc/d", ChangeKind.DELETED, 0, "with 1 below"),
        (b"etc/new", ChangeKind.ADDED, 9, ""),
        (b"opt", ChangeKind.METADATA, 0, "mode 755 -> 700"),
        (b"opt/link", ChangeKind.DELETED, 1, ""),
        (b"opt/x", ChangeKind.DELETED, 0, "with 1 below"),
        (b"opt/z", ChangeKind.TYPE, 4, "- -> l"),
    ]


def test_every_folder_that_is_cut_off_counts_and_every_one_around_it() -> None:
    found = {b"": FOLDER, b"etc": FOLDER, b"etc/d": CUT, b"opt": CUT, b"opt/x": CUT}
    assert [(c.path, c.kind) for c in compared(found, STACK)] == [
        (b"etc/d/below", ChangeKind.DELETED),
        (b"opt/link", ChangeKind.DELETED),
        (b"opt/x/y", ChangeKind.DELETED),
        (b"opt/z", ChangeKind.DELETED),
    ]


def test_a_symlinks_mode_is_no_change() -> None:
    """Images made elsewhere have others than 777, and a copy-up does not keep them."""
    stack = [replace(one, target=b"t") if one.type == "l" else one for one in STACK]
    found = {b"": FOLDER, b"opt": FOLDER, b"opt/link": told("l", 1, mode=0o777, target=b"t")}
    assert list(compared(found, stack)) == []


def test_an_index_out_of_order_is_refused() -> None:
    with pytest.raises(Corrupt, match="not in order"):
        list(compared({b"": FOLDER}, reversed(STACK)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set what overlayfs sets")
@pytest.mark.skipif(run.find("getfattr") is None, reason="no getfattr (Debian: attr)")
def test_what_a_guest_is_asked_to_run_tells_all_of_it(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    for name, mark in (("cut", b"y"), ("a b/also cut", b"y"), ("may hold", b"x"), ("plain", None)):
        (upper / name).mkdir(parents=True)
        if mark is not None:
            os.setxattr(upper / name, "trusted.overlay.opaque", mark)
    (upper / "file\n1").write_bytes(b"abc")
    os.utime(upper / "file\n1", ns=(5, 5 * SECOND + 7))
    (upper / "file\n1").chmod(0o640)
    os.chown(upper / "file\n1", 33, 44)
    (upper / "old").symlink_to("to\nthere")
    os.utime(upper / "old", ns=(0, -SECOND - SECOND // 4), follow_symlinks=False)
    os.mknod(upper / "go\nne", 0o020000)
    os.mknod(upper / "null", 0o020600, os.makedev(1, 3))
    os.mknod(upper / "disk", 0o060600, os.makedev(300, 70000))
    found = listing(run.run(["sh", "-c", SCRIPT.replace(UPPER, str(upper))]).stdout)
    assert {path for path in found if found[path].opaque} == {b"cut", b"a b/also cut"}
    devices = {path: told.rdev for path, told in found.items() if told.type in "bc"}
    assert devices == {b"go\nne": (0, 0), b"null": (1, 3), b"disk": (300, 70000)}
    assert found[b"file\n1"] == Listed(type="-", mode=0o640, uid=33, gid=44, size=3, mtime_ns=5 * SECOND + 7)
    old = found[b"old"]
    assert (old.target, old.mtime_ns) == (b"to\nthere", -SECOND - SECOND // 4)
    assert set(found) == {
        b"", b"cut", b"a b", b"a b/also cut", b"may hold", b"plain", b"file\n1", b"old",
        b"go\nne", b"null", b"disk",
    }  # fmt: skip
    nowhere = run.run(["sh", "-c", SCRIPT.replace(UPPER, "/nowhere")], ok=range(256))
    assert nowhere.returncode == 3 and b"this guest shows no /nowhere" in nowhere.stderr


def row(kind: bytes, path: bytes, *, mode: bytes = b"644", size: bytes = b"3", time: bytes = b"1.5") -> bytes:
    return b"\0".join((kind, mode, b"0", b"0", size, time, b"", path, b""))


TOP = row(b"d", b"", mode=b"755")
END = b"\0\0\0"


def test_a_listing_is_read_with_odd_names() -> None:
    names = row(b"f", b"a\nb") + row(b"c", b"w") + row(b"d", b"...") + row(b"d", b"0:0")
    found = listing(TOP + names + b"\0" + b"0:0\0./w\0" + b"\0" + b"./...\0./0:0\0" + b"\0")
    assert found[b"a\nb"] == told("-", 3, SECOND + SECOND // 2)
    assert found[b"w"].rdev == (0, 0)
    assert {path for path in found if found[path].opaque} == {b"...", b"0:0"}


def test_a_device_that_went_between_two_lists_is_not_told() -> None:
    said = (
        TOP + row(b"c", b"etc-more") + row(b"b", b"new") + b"\0" + b"0:0\0./never\0" + b"\0" + b"./never\0\0"
    )
    assert set(listing(said)) == {b""}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\0",
        b"\0\0",
        b"f\0644\0",
        TOP,
        TOP + END + b"x",
        TOP + END + b"\0",
        TOP + row(b"f", b"/etc/passwd") + END,
        TOP + row(b"f", b"../x") + END,
        TOP + row(b"f", b"./x") + END,
        TOP + row(b"d", b"x") + row(b"f", b"x//y") + END,
        TOP + row(b"f", b"x", size=b"-3") + END,
        TOP + row(b"f", b"x", size=b"9" * 5000) + END,
        TOP + row(b"f", b"x" * 4096) + END,
        TOP + row(b"?", b"x") + END,
        TOP + row(b"f", b"x", mode=b"abc") + END,
        TOP + row(b"f", b"x", mode=b"17777") + END,
        TOP + row(b"f", b"x", size=b"3\xff") + END,
        TOP + row(b"f", b"x", time=b"99999999999999.0") + END,
        TOP + row(b"f", b"x", time=b"5.-7") + END,
        TOP + b"\0" + b"0:0\0" + b"\0\0",
        TOP + b"\0" + b"0\0./x\0" + b"\0\0",
        TOP + b"\0" + b"fffffff:0\0./x\0" + b"\0\0",
        TOP + b"\0\0" + b"/x\0" + b"\0",
        pytest.param(END, id="a find without -printf"),
        pytest.param(TOP + row(b"f", b"x/y") + END, id="in nothing"),
        pytest.param(TOP + row(b"f", b"x") + row(b"f", b"x/y") + END, id="in a file"),
        pytest.param(row(b"f", b"") + END, id="the upper is no directory"),
        pytest.param(os.urandom(4096), id="noise"),
    ],
)
def test_nonsense_of_a_guest_is_refused(said: bytes) -> None:
    with pytest.raises(GuestFailed):
        listing(said)


def test_what_is_too_deep_is_one_line_and_all_else_is_told() -> None:
    name = b"n" * 255
    chain = [b"/".join([name] * depth) for depth in range(1, 18)]
    rows = b"".join(row(b"d", path) for path in chain)
    said = TOP + rows + row(b"f", chain[15] + b"/" + b"z" * 255, size=b"1") + row(b"f", b"o", size=b"1") + END
    found = list(compared(listing(said), [entry(b"", "d", mode=0o755)]))
    assert [(change.kind, change.path) for change in found if change.kind != "added"] == [
        (ChangeKind.UNREAD, chain[15])
    ]
    assert [change.path for change in found] == [*chain[:16], chain[15], b"o"]


def test_a_name_that_no_directory_could_hold_is_nonsense() -> None:
    with pytest.raises(GuestFailed):
        listing(TOP + row(b"f", b"x" * 4096) + END)
    with pytest.raises(GuestFailed):
        listing(TOP + row(b"f", b"/".join([b"n" * 255] * 17)) + END)  # in nothing
