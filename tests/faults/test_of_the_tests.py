"""What the tests beside this rely on: that they would see what they look for."""

import random
import struct
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.faults.injector import Deed, Fault, needs_injector, struck
from tests.faults.leftovers import unexplained
from tests.faults.workload import Step, allowed
from tests.faults.writelog import BLOCK, SECTOR, Replay, logged

FLUSH, DISCARD = 1, 4


def write_log(log: Path, *entries: tuple[int, int, bytes]) -> None:
    """Entries of sector, flags and data; a discard's data is what it is about."""
    with log.open("wb") as file:
        file.write(struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), SECTOR).ljust(SECTOR, b"\0"))
        for sector, flags, data in entries:
            head = struct.pack("<QQQQ", sector, len(data) // SECTOR, flags, 0)
            file.write(head.ljust(SECTOR, b"\0") + (b"" if flags & DISCARD else data))


def test_what_was_flushed_stays_and_the_rest_may_go(tmp_path: Path) -> None:
    log, disk = tmp_path / "log", tmp_path / "disk"
    a, b, c, d = (bytes([letter]) * 2 * BLOCK for letter in b"abcd")
    write_log(
        log, (0, 0, a), (16, 0, b), (0, FLUSH, b""), (0, 0, c), (16, DISCARD, b), (32, 0, d), (0, FLUSH, b"")
    )
    assert logged(log) == 7
    outcomes = set()
    for seed in range(200):
        disk.write_bytes(bytes(6 * BLOCK))
        replay = Replay(disk, log)
        assert replay.flushes == [2, 6]
        replay.forward(2)
        assert disk.read_bytes() == a + b + bytes(2 * BLOCK)
        replay.lose(disk, random.Random(seed))
        outcomes.add(bytes(disk.read_bytes()[block * BLOCK] for block in range(6)))
    assert b"aabb\0\0" in outcomes  # all of it lost
    assert {outcome[:2] for outcome in outcomes} == {b"aa", b"cc", b"ac", b"ca"}  # torn, too
    assert {outcome[2:4] for outcome in outcomes} >= {b"bb", b"\0\0"}
    replay.forward(6)
    assert disk.read_bytes() == c + bytes(2 * BLOCK) + d


@pytest.mark.parametrize(
    ("growing", "seen", "fine"),
    [
        (True, b"old", True),
        (True, b"old and n", True),
        (True, b"ol", False),
        (True, None, False),
        (False, b"old", True),
        (False, b"old and new", True),
        (False, b"old and n", False),
    ],
)
def test_what_a_step_under_way_may_leave(growing: bool, seen: bytes | None, fine: bool) -> None:
    step = Step(line="", after={"f": b"old and new"}, growing=growing)
    assert allowed({"f": b"old"}, step, {"f": seen}) is fine


def test_what_nobody_accounts_for_is_seen(model: Place, tmp_path: Path) -> None:
    assert unexplained(model.state) == []
    for stray in ("instances/.x.new", "masters/.work-1-x", "state.db.old", "templates/.making-x"):
        file = tmp_path / "state" / stray
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert [str(path) for path in unexplained(tmp_path / "state")] == [
        "instances/.x.new",
        "masters/.work-1-x",
        "state.db.old",
        "templates/.making-x",
    ]


SCRIPT = """
import pathlib, subprocess, sys, threading
folder = pathlib.Path(sys.argv[1])
(folder / "first").write_text("1")
thread = threading.Thread(target=lambda: (folder / "second").mkdir())
thread.start(); thread.join()
subprocess.run(["mv", folder / "first", folder / "third"], check=True)
(folder / "third").unlink()
print("done")
"""
ALL = ("openat first", "write first", "mkdir second", "renameat2 third", "unlink third")


@needs_injector
def test_blows_come_where_they_should(tmp_path: Path) -> None:
    def given(fault: Fault | None) -> tuple[int, bool, tuple[str, ...]]:
        folder = tmp_path / str(fault).replace("'", "")
        folder.mkdir()
        ended = struck([sys.executable, "-c", SCRIPT, folder], watched=folder, fault=fault)
        return ended.code, ended.struck, ended.calls

    assert given(None) == (0, False, ALL)
    for at in range(1, 6):
        code, hit, calls = given(Fault(deed=Deed.KILL, at=at))
        assert (code, hit, calls) == (-9, True, ALL[:at])
    assert given(Fault(deed=Deed.FAIL, at=5)) == (1, True, ALL)
    assert given(Fault(deed=Deed.FULL, at=4)) == (1, True, ALL[:4])
    assert given(Fault(deed=Deed.KILL, at=6)) == (0, False, ALL)
