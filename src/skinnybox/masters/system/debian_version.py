"""Which of two versions of a Debian package is the later one: deb-version(7)."""

import re

_PARTS = re.compile(r"(\D*)(\d*)")


def later(one: str, other: str) -> bool:
    """Whether `one` is later than `other`."""
    return _key(one) > _key(other)


def _key(version: str) -> tuple[int, list[tuple[list[int], int]], list[tuple[list[int], int]]]:
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, hyphen, revision = rest.rpartition("-")
    return int(epoch), _parts(upstream if hyphen else rest), _parts(revision if hyphen else "0")


def _parts(text: str) -> list[tuple[list[int], int]]:
    """Words and numbers by turns; a word ends with 0, so that `~` alone sorts before its end."""
    return [
        ([*map(_order, word), 0], int(number or "0"))
        for word, number in _PARTS.findall(text)
        if word or number
    ] + [([0], 0)]


def _order(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
