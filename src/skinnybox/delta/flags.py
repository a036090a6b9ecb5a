"""The flags of a file that `chattr` sets and `lsattr` shows, as an upper directory keeps them.

There are two places. A kernel before 5.15 sets them on the upper's own file. Later ones keep immutable and
append only from there, where they would be in overlayfs' own way, and write them into an attribute; the
others go to the file itself. A stack has none: neither EROFS nor an index keeps them.
"""

from collections.abc import Mapping

PROTECTED = "trusted.overlay.protattr"

# In the order of lsattr. Not those that say how ext4 stores a file (e, I, N), which come and go by
# themselves; what is encrypted (E) cannot be read at all.
_LETTERS = (
    (0x1, "s"), (0x2, "u"), (0x8, "S"), (0x10000, "D"), (0x10, "i"), (0x20, "a"), (0x40, "d"), (0x80, "A"),
    (0x4, "c"), (0x400, "m"), (0x4000, "j"), (0x8000, "t"), (0x20000, "T"), (0x800000, "C"), (0x2000000, "x"),
    (0x40000000, "F"), (0x20000000, "P"), (0x100000, "V"),
)  # fmt: skip
_IN_THE_ATTRIBUTE = {"i": 0x10, "a": 0x20}


def flags(number: int, xattrs: Mapping[str, bytes]) -> str:
    """The letters of lsattr, "" for none, by what an upper's inode and its attributes say."""
    number |= _protected(xattrs.get(PROTECTED, b""))
    return "".join(letter for bit, letter in _LETTERS if number & bit)


def _protected(value: bytes) -> int:
    """As overlayfs reads it: any other letter, and the whole attribute does nothing."""
    found = 0
    for letter in value.decode("latin-1"):
        if letter not in _IN_THE_ATTRIBUTE:
            return 0
        found |= _IN_THE_ATTRIBUTE[letter]
    return found
