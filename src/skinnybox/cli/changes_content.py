"""changes --content: the lines that differ, as `diff -u` shows them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from skinnybox.fleet.text_diff import diff_of, unified
from skinnybox.model import Change, ChangeKind
from skinnybox.printable import printable, printable_path
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.deltas import Versions
    from skinnybox.fleet.service import Fleet
    from skinnybox.operation import Operation

MOST, MOST_BYTES = 500, 16 << 20
"""Files that are read, and what of all of them: who wants others names their paths."""
_READ = (ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.DELETED, ChangeKind.TYPE)


def lines(
    fleet: "Fleet", names: Sequence[str], changes: Sequence[Change], operation: "Operation"
) -> Iterator[str]:
    """Of each change that has a content, as far as there is room for."""
    read = [change for change in changes if change.kind in _READ and change.type in "-l"]
    some, told, room = read[:MOST], 0, MOST_BYTES
    for change, found in zip(some, fleet.deltas.versions(names, some, operation), strict=True):
        yield ""
        yield from of_one(change, found)
        told += 1
        room -= sum(len(each.data) for each in (found.before, found.after) if each is not None)
        if room < 0:
            break
    if told < len(read):
        yield ""
        yield f"{len(read) - told} more files are not looked into: name the paths that are wanted"


def of_one(change: Change, found: "Versions") -> Iterator[str]:
    """Of one file. A guest's text is in them, without what does more to a terminal than to be read."""
    path = printable_path(b"/" + change.path)
    yield f"{change.kind} {path}" + (f" ({printable(change.detail)})" if change.detail else "")
    if found.before is None and found.after is None:
        yield "  It is gone by now."
        return
    diff = diff_of(found.before, found.after)
    if diff.why is not None:
        sizes = [
            "nothing" if each is None else format_size(each.size) for each in (found.before, found.after)
        ]
        yield f"  {diff.why} {sizes[0]} -> {sizes[1]}"
        return
    yield "--- " + ("/dev/null" if found.before is None else path)
    yield "+++ " + ("/dev/null" if found.after is None else path)
    yield from unified(diff)
