"""What the confined process writes down, and what is believed of it; and that a disk is compared."""

import io
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from skinnybox.delta.rebase import doing, tasks
from skinnybox.delta.rebase.orders import decoded, encoded
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.spool import Said, Spool
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, Standing, Subject
from skinnybox.errors import Blocked, Conflict, Corrupt
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.edits import Alteration, Creation, Edit, Holed, Link, Removal, Stretch
from tests.unit.rebased import OPAQUE, WHITEOUT, a_system, d, f, l
from tests.unit.rebased_disk import ORIGIN, Rebase, overlay, without_confinement

ODD = b'a\n"\\\xff \xf0\x9f\x98\x80'
EDITS: list[Edit] = [
    Removal(folder=12, name=ODD, path=b"upper/" + ODD, is_folder=True),
    Alteration(inode=13, mode=0o104755, uid=1, gid=None, without=("user.\udcff",)),
    Alteration(inode=13, xattrs=(("user.x", Stretch(0, 5)),)),
    Creation(
        folder=12, name=b"n", path=b"upper/n", mode=0o100644, uid=70000, gid=0, mtime_ns=-1,
        below=(b"a", ODD), content=Stretch(5, 5),
    ),
    Creation(
        folder=12, name=b"n", path=b"upper/n", mode=0o020000, uid=0, gid=0, mtime_ns=1 << 62, rdev=(1, 300)
    ),
    Creation(folder=12, name=b"n", path=b"upper/n", mode=0o120777, uid=0, gid=0, mtime_ns=0, target=ODD),
    Link(folder=12, name=ODD, path=b"upper/" + ODD, of=b"upper/n", below=(b"a", ODD)),
    Creation(
        folder=2, name=b"n", path=b"upper/n", mode=0o100644, uid=0, gid=0, mtime_ns=0, flags=0x30,
        content=Holed(1 << 40, Stretch(0, 4), Stretch(4, 6)),
    ),
    Alteration(inode=13, mtime_ns=-5, flags=0x80),
]  # fmt: skip


def read(*lines: bytes) -> list[Edit]:
    return list(decoded(io.BytesIO(b"".join(lines)), 10))


def test_edits_are_what_they_were() -> None:
    assert read(*map(encoded, EDITS)) == EDITS


BAD: list[tuple[int, int, Any]] = [
    (0, 0, "?"), (0, 1, -1), (0, 1, 1 << 32), (0, 1, True), (0, 2, ".."), (0, 2, ""), (0, 2, "a/b"),
    (0, 2, "a\0"), (0, 2, "x" * 256), (0, 2, None), (0, 3, "x" * 5000), (1, 1, "1"), (1, 2, 1 << 16),
    (1, 3, -1), (1, 5, [""]), (1, 5, [1]), (2, 6, [["user.x", 0, 11]]), (2, 6, [["user.x", 8, 5]]),
    (2, 6, [["user.x", -1, 5]]),
    (2, 6, [["user.x", 0, 1]] * 1001), (3, 2, [".."]), (3, 8, 1.5), (3, 8, 1 << 64), (3, 9, [5, 6]),
    (3, 9, 7), (4, 11, [1, 1 << 20]), (4, 11, [1]), (5, 10, "x" * 4096), (5, 10, "a\0"),
    (6, 2, [""]), (6, 3, "."), (6, 5, ""), (6, 5, None), (7, 9, [1, 0, 4, 4]), (7, 9, [1, 0, 4, 4, 7]),
    (7, 9, [1, 7, 4, 4, 6]), (7, 9, [-1, 0, 4, 4, 6]), (7, 13, 0x80000), (7, 13, -1), (8, 7, "1"),
    (8, 7, 1 << 64), (8, 8, None),
]  # fmt: skip


@pytest.mark.parametrize(("which", "place", "value"), BAD)
def test_a_value_that_is_none_is_not_believed(which: int, place: int, value: Any) -> None:
    words = json.loads(encoded(EDITS[which]))
    assert read(json.dumps(words).encode())
    words[place] = value
    with pytest.raises(Corrupt):
        read(json.dumps(words).encode())


@pytest.mark.parametrize("line", [b"x", b"[]", b"{}", b"[" * 100_000, b"null", b'["-"]', b'"-"', b"5"])
def test_a_line_that_is_none(line: bytes) -> None:
    with pytest.raises(Corrupt):
        read(line)


def _disputed(name: str, standing: Standing) -> Decision:
    return Decision(
        subject=Subject.FILE, kind="text", fate=Fate.ASK, name=name, detail=f"says {name}", standing=standing
    )


def test_of_what_is_in_dispute_what_decides_is_told() -> None:
    """Nothing that is blocked: the first three in dispute. Else those that are blocked, whatever else is."""
    disputed = [_disputed(name, Standing.CONFLICT) for name in "abcd"]
    blocked = _disputed("e", Standing.BLOCKED)
    counts = Counter({("file", "text", "ask", "conflict"): 4, ("file", "text", "ask", "blocked"): 1})
    with pytest.raises(Conflict) as caught:
        doing._refuse_disputed(disputed, counts, "look")
    assert caught.value.hint == "look; --on-conflict, --rules, --take and --pin say who wins"
    assert caught.value.message == "it is in dispute who wins: /a: says a; /b: says b; /c: says c; and 1 more"
    with pytest.raises(Blocked) as stopped:
        doing._refuse_disputed([*disputed, blocked], counts, "look")
    assert stopped.value.message == "a rebase is not possible: /e: says e"


def test_what_a_machine_is_told_to_do_at_its_first_start_is_what_was_decided() -> None:
    """Each once, and in the order that they are done in, however the confined process says them."""
    first, last = tasks.WORDS[0], tasks.WORDS[-1]
    found = doing._checked([None, False, [last, first, last], [], None], Counter())
    assert found.tasks == (first, last)


def test_decisions_come_back_by_path_the_late_ones_in_their_place() -> None:
    with tempfile.TemporaryFile() as early, tempfile.TemporaryFile() as late:
        spool = Spool(early, late)
        added = ["a", "a/b", "a/c", "a", "a-", "b", "b/\udcff", "b"]
        for number, name in enumerate(added):
            spool.add(name, FileClass.OPAQUE, Fate.TAKE if number in (3, 7) else Fate.KEEP)
        kept, taken = (Said(FileClass.OPAQUE, fate) for fate in (Fate.KEEP, Fate.TAKE))
        assert list(spool.by_path()) == [
            (b"a", [kept, taken]), (b"a/b", [kept]), (b"a/c", [kept]), (b"a-", [kept]), (b"b", [kept, taken]),
            (b"b/\xff", [kept]),
        ]  # fmt: skip


def test_whatever_the_program_leaves_undone_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 0 whatever fails: each of the edits, left out, is told by comparing."""
    without_confinement(monkeypatch)
    upper = {
        b"usr/a": f("1"), b"usr/sub/b": f("1"), b"srv/own": f("1", uid=101, mode=0o4755, xattrs=ORIGIN),
        b"opt/x": d(xattrs=OPAQUE), b"etc/t": f("A\nb\nc\n"), b"usr/w": WHITEOUT,
        b"srv/l": l("x", xattrs=ORIGIN),
    }  # fmt: skip
    old = {b"usr/a": f("1"), b"usr/sub/b": f("1"), b"etc/t": f("a\nb\nc\n"), b"srv": d()}
    new = {b"srv": d(0o700), b"etc/t": f("a\nb\nC\n"), b"usr/a": f("2")}
    disk = overlay(tmp_path / "old.img", tmp_path / "cache", upper, work={b"work/#1": WHITEOUT})
    systems = tuple(a_system(manager=None, users={"x": number}) for number in (101, 102))
    rebase = Rebase(tmp_path, monkeypatch, Policy(on_conflict=Choice.OURS), systems)  # type: ignore[arg-type]
    every: list[Edit] = []
    plain = edit.edited

    def counted(disk: Path, edits: list[Edit], contents: int, operation: Operation) -> int:
        every.extend(edits)
        return plain(disk, edits, contents, operation)

    monkeypatch.setattr(edit, "edited", counted)
    rebase.of(disk, old, new)
    assert len(every) > 12
    for left_out in range(len(every)):

        def without(
            disk: Path, edits: list[Edit], contents: int, operation: Operation, at: int = left_out
        ) -> int:
            return plain(disk, [*edits[:at], *edits[at + 1 :]], contents, operation)

        monkeypatch.setattr(edit, "edited", without)
        with pytest.raises(Corrupt):
            rebase.of(disk, old, new)
