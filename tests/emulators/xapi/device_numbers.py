"""The names of a disk's place: `1`, `xvdb`, `hdb`, `sdb` and which of them are the same one."""

import re

HIGHEST = 254


def number(name: str) -> int | None:
    """The place that a userdevice or device names; None for what names none."""
    if re.fullmatch(r"\d+", name):
        return int(name)
    found = re.fullmatch(r"(?:xvd|sd|hd)([a-z]+)\d*", name)
    if not found:
        return None
    value = 0
    for letter in found[1]:
        value = value * 26 + ord(letter) - ord("a") + 1
    return value - 1


def linux(place: int) -> str:
    """`xvda` for 0, `xvdaa` for 26."""
    letters, left = "", place + 1
    while left:
        left, last = divmod(left - 1, 26)
        letters = chr(ord("a") + last) + letters
    return f"xvd{letters}"
