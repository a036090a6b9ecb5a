"""What takes the room of one of a machine's disks, in bytes that are really taken there."""

from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Heavy:
    """A file, or a folder with all below it, as the machine calls it: `size` bytes in `count` names. `type`
    is a letter of `ls -l`."""

    path: bytes
    type: str
    size: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """A filesystem of `size` bytes, of which `free` are free: `reserved` of those for root alone. `parts` are
    by what they are for, and with what is free they are all of it. `largest` are those of the machine's own
    files; a folder that is nearly all one thing below it is told as that. `unread`: so many folders were not
    looked into. `idle`: how many names say only what the master says, and the bytes that they have to
    themselves, which are part of the machine's own; None where nobody could compare them."""

    size: int
    free: int
    reserved: int
    parts: tuple[tuple[str, int], ...]
    largest: tuple[Heavy, ...]
    unread: int = 0
    idle: tuple[int, int] | None = None
