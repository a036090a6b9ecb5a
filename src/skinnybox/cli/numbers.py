"""Numbers as people type them on a command line; argparse says what is wrong with one, and exits with 2."""

import argparse
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from skinnybox.errors import UsageError
from skinnybox.sizes import parse_size

if TYPE_CHECKING:
    from skinnybox.model import Encryption, Swap, ThrowAway

MOST_SECONDS = 10_000_000
"""A third of a year: more than anybody waits, and less than what the kernel's clocks overflow at."""
_MOST = 1_000_000
_LASTING = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def count(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1)


def count_or_none(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0)


def seconds(text: str) -> float:
    """Not nan, not negative; with a fraction, if one likes."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,30})?|\.[0-9]{1,30}", text) or float(text) > MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no number of seconds, 0 to {MOST_SECONDS}")
    return float(text)


def lasting(text: str) -> timedelta:
    """12h, 90d, 4w."""
    found = re.fullmatch("([1-9][0-9]{0,4})([hdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no time: 12h, 90d or 4w")
    return int(found[1]) * _LASTING[found[2]]


def size(text: str) -> int:
    """In bytes: 512M, 1.5G."""
    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.hint}") from error


def swap(text: str) -> "Swap":
    """512M, zram, zram:256M."""
    from skinnybox.model.swap import parse_swap

    try:
        return parse_swap(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.hint}") from error


def swap_or_none(text: str) -> "Swap | None":
    """The same, or none."""
    return None if text == "none" else swap(text)


def throw_away(text: str) -> "ThrowAway":
    """disk, memory, memory:256M."""
    from skinnybox.model.throwaway import parse_throw_away

    try:
        return parse_throw_away(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.hint}") from error


def throw_away_or_none(text: str) -> "ThrowAway | None":
    """The same, or none."""
    return None if text == "none" else throw_away(text)


def own_check(text: str) -> str:
    """A shell command of a guest."""
    from skinnybox.model.own_check import check_command

    try:
        return check_command(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.hint}") from error


def own_check_or_none(text: str) -> str | None:
    """The same, or none."""
    return None if text == "none" else own_check(text)


def encryption(text: str) -> "Encryption":
    """random, or the path of a key."""
    from skinnybox.model.encryption import RANDOM, parse_encryption
    from skinnybox.named_file import expanded

    try:
        return parse_encryption(text if text == RANDOM or not text else str(expanded(text).absolute()))
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.hint}") from error


def _whole(text: str, least: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no whole number from {least} to {_MOST}")
    return int(text)
