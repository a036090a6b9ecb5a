"""By which numbers files lie on a data disk: its own record of the moves that it has had, and the move of the
system beside it. What a start makes of the two is in guest/lib/owners.sh; here is only whether it would.

Every byte is a guest's. What is not understood says nothing: the start that meets it says so.
"""

import re
import stat
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skinnybox.delta.content import disks, of_overlay
from skinnybox.delta.rebase.moves import PATH
from skinnybox.errors import Blocked, Corrupt
from skinnybox.model import Content
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.edits import Creation, Stretch
from skinnybox.overlays.inspect import is_untouched

MOST = 65536
"""Bytes of a record that a guest reads."""
_ROOT = 2
_FOLDER, _NAME = b"skinnybox", b"owners"
_RECORD = _FOLDER + b"/" + _NAME
_BEGUN = tuple(_RECORD + b".moving/" + phase for phase in (b"away", b"home", b"again"))
_HEAD, _END = "skinnybox-owners 1", "end"
_MOVE = re.compile(r"move ([0-9a-f]{1,64})")


@dataclass(slots=True)
class Move:
    """Between which images; empty where it does not say."""

    id: str
    before: str = ""
    onto: str = ""


def refuse(name: str, overlay: Path, data: Path, images: Sequence[str]) -> None:
    """Blocked, where who takes both as they are would take files of other accounts. As `unsettled`."""
    if unsettled(overlay, data, images):
        raise Blocked(
            f"files on the data disk of {name} have the numbers that their accounts had in another system of "
            "it: it was rebased or rolled back, and not started since",
            hint=f"`skinnybox start {name}` gives them to their accounts",
        )


def unsettled(overlay: Path, data: Path, images: Sequence[str]) -> bool:
    """Whether a start with these disks would give files of the data disk to other numbers. Both are clean;
    `images` are those that the system boots from. Corrupt for a disk made to hurt."""
    if is_untouched(data):
        return False
    had, *begun = disks(data, [_RECORD, *_BEGUN], MOST)
    return any(begun) or differs(_whole(had) or b"", system_move(overlay) or b"", images)


def differs(record: bytes, move: bytes, images: Sequence[str]) -> bool:
    """Whether a disk with that record has had other moves than a system with this one."""
    had, wanted = _moves(record), _moves(move)
    if had is None or wanted is None or len(wanted) > 1:
        return False
    kept = _had_by(had, wanted[0].before if wanted else ",".join(images))
    known = [number for number, move in enumerate(had, 1) if wanted and move.id == wanted[0].id]
    return len(had) > known[0] if known else len(had) > kept or bool(wanted)


def _had_by(had: list[Move], images: str) -> int:
    """How many of the moves a system of these images has had."""
    if not had or had[-1].onto == images:
        return len(had)
    before = [number for number, move in enumerate(had) if move.before == images]
    return before[-1] if before else len(had)


def _moves(text: bytes) -> list[Move] | None:
    """None for what no guest would read."""
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    if not text:
        return []
    if lines[0] != _HEAD or lines[-2:] != [_END, ""]:
        return None
    found: list[Move] = []
    for line in lines[1:-2]:
        word, _, value = line.partition(" ")
        if move := _MOVE.fullmatch(line):
            found.append(Move(move[1]))
        elif not found:
            return None
        elif word == "from":
            found[-1].before = value
        elif word == "onto":
            found[-1].onto = value
    return found


def system_move(overlay: Path) -> bytes | None:
    """What the system of a clean overlay tells its data disk; as the record of a disk that has had it, it
    reads the same. None where it tells nothing."""
    return _whole(of_overlay(overlay, PATH.encode(), MOST))


def _whole(found: Content | None) -> bytes | None:
    if found is None or found.type != "-" or not 0 < found.size == len(found.data):
        return None
    return found.data


def record(data: Path, move: bytes | None, operation: Operation) -> None:
    """On a data disk without a record, which nobody mounted yet and nobody else has: nothing where nothing
    moved. Raises Corrupt."""
    if move is None:
        return
    with tempfile.TemporaryFile(dir=data.parent) as contents:
        contents.write(move)
        contents.flush()
        made = Creation(
            folder=_ROOT, below=(_FOLDER,), name=_NAME, path=_RECORD, mode=stat.S_IFREG | 0o600, uid=0,
            gid=0, mtime_ns=time.time_ns(), content=Stretch(0, len(move)),
        )  # fmt: skip
        edit.edited(data, [made], contents.fileno(), operation, "restore")
    edit.settled(data)
    [found] = disks(data, [_RECORD], MOST)
    if _whole(found) != move:
        raise Corrupt("the new data disk does not say by which numbers its files lie there")
