"""The letters of lsattr; what a real overlayfs leaves is in tests/image/test_delta_changes.py."""

import pytest

from skinnybox.delta.flags import PROTECTED, flags

STORED = 0x80000 | 0x1000 | 0x10000000
"""In extents, a hashed directory, inline: how ext4 keeps it, and nothing that somebody did."""


@pytest.mark.parametrize(
    ("number", "protected", "letters"),
    [
        (0, None, ""),
        (STORED, None, ""),
        (STORED | 0x10, None, "i"),
        (0x70, b"", "iad"),
        (0x40, b"ai", "iad"),
        (0x10, b"i", "i"),
        (0, b"iz", ""),
        (0x20, b"\xff" * 4096, "a"),
        (0xFFFFFFFF, None, "suSDiadAcmjtTCxFPV"),
    ],
)
def test_flags(number: int, protected: bytes | None, letters: str) -> None:
    xattrs = {} if protected is None else {PROTECTED: protected}
    assert flags(number, {"user.other": b"i", **xattrs}) == letters
