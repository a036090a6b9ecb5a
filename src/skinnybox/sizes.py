"""Sizes as people write and read them. Inside, a size is an `int` of bytes."""

import re

from skinnybox.errors import UsageError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """`1G`, `512M`, `1.5GiB`, `4096`: bytes; units are powers of 1024. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if size <= 0:
        raise UsageError(f"{text!r:.40} is not a size", hint="write a number and K, M, G or T: 512M, 1.5G")
    return size


def format_size(size: int) -> str:
    """The shortest of `812`, `4.0K`, `1.5M`, `2.0G`, `1.2T`."""
    if size < KIB:
        return str(size)
    value = size / 1024
    for unit in "KMG":
        if value < 999.95:
            return f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}T"
