"""What is said of a tree, one frame after another: an entry; if it is a file, what it holds; if it is a
folder, all that is in it, by name; and an end of each of these two.

Who says it may have been taken over by a disk that was made to hurt, so who hears it checks every frame.
"""

import struct
from dataclasses import dataclass

ENTRY, DATA, HOLE, END = b"e", b"d", b"h", b"."
NOTHING, UNSETTLED, DATA_DISK = b"0", b"!", b"?"
"""In place of all others: there is nothing at that path; the disk's journal is to be replayed first; some of
it lies on the data disk, which was not handed over."""
HEAD = struct.Struct(">HQQHH")
LENGTH, SIZE = struct.Struct(">I"), struct.Struct(">Q")
MOST_DATA = 1 << 20
MOST_NAME, MOST_TARGET = 255, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`mode` has the kind of file in it. `stored` bytes of a file's content are no hole; `target` is a
    link's."""

    name: bytes
    mode: int
    size: int
    stored: int = 0
    target: bytes = b""


def entry(said: Entry) -> bytes:
    head = HEAD.pack(said.mode, said.size, said.stored, len(said.name), len(said.target))
    return ENTRY + head + said.name + said.target


def data(piece: bytes) -> bytes:
    return DATA + LENGTH.pack(len(piece)) + piece


def hole(length: int) -> bytes:
    return HOLE + SIZE.pack(length)
