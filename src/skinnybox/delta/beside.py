"""What lies on an overlay's disk beside the upper directory: folders that the guest part binds over the root,
since they may not lie on overlayfs (guest/lib/direct.sh). They are counted, not looked into: what container
engines keep has tens of thousands of files, and none of them stands against one of the stack."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skinnybox.delta.join import unread_folder
from skinnybox.delta.upper import sort_key
from skinnybox.ext4 import Volume
from skinnybox.ext4.directory import TooManyNames
from skinnybox.model import Change, ChangeKind

DIRECT = b"direct"
BESIDE = "beside overlayfs, not looked into"
_MOST = 64
_LARGEST = (1 << 63) - 1
_SECTOR = 512

Told = tuple[Change, bool | None]


def counted(volume: Volume) -> list[Change]:
    """One for each folder, by path, `size` being what all in it takes on the disk. Raises Corrupt.

    It says "modified", as of a folder of which the stack has another; who finds it in the upper directory
    as well, as `folded` does, knows better.
    """
    try:
        names = volume.names(DIRECT)
    except TooManyNames:
        return [unread_folder(b"", "too much lies beside overlayfs to be counted")]
    found = [
        Change(
            path=name.replace(b"%", b"/"),
            kind=ChangeKind.MODIFIED,
            type="d",
            size=min(_size(volume, name), _LARGEST),
            detail=BESIDE,
        )
        for name in names[:_MOST]
        if _is_folder(volume, name)
    ]
    return sorted(found, key=lambda change: sort_key(change.path))


def folded(changes: Iterable[Told], beside: list[Change]) -> Iterator[Told]:
    """Those, and each of `beside` in its place; what is a change of the upper directory too is one line."""
    waiting = iter(beside)
    head = next(waiting, None)
    for change, is_seeds in changes:
        while head is not None and sort_key(head.path) < sort_key(change.path):
            yield from _alone(head)
            head = next(waiting, None)
        if head is None or head.path != change.path or change.type != "d":
            yield change, is_seeds
            continue
        detail = ", ".join(filter(None, (change.detail, head.detail)))
        yield replace(change, size=head.size, detail=detail), None
        head = next(waiting, None)
    while head is not None:
        yield from _alone(head)
        head = next(waiting, None)


def _alone(change: Change) -> Iterator[Told]:
    """A folder that has nothing in it is no change: it was made where the stack has one."""
    if change.size or change.kind is ChangeKind.UNREAD:
        yield change, None


def _is_folder(volume: Volume, name: bytes) -> bool:
    """Named as the guest part does; while it fills one, that begins with the mark."""
    parts = name.split(b"%")
    return not {b"", b".", b".."} & set(parts) and volume.lookup(DIRECT + b"/" + name).type == "d"


def _size(volume: Volume, name: bytes) -> int:
    """0 for an empty one. What is too deep to be walked is left out; a file of several names counts once."""
    total, count, linked = 0, 0, set[int]()
    for _, node in volume.walk(DIRECT + b"/" + name, lambda path, why: None):
        count += 1
        if node.inode in linked:
            continue
        if node.links > 1 and node.type != "d":
            linked.add(node.inode)
        total += node.sectors * _SECTOR
    return total if count > 1 else 0
