"""What the terminal is like that is written to: how wide, and which characters. Nothing of ours is coloured
but progress, and that (rich) heeds NO_COLOR by itself."""

import os
import re
import sys
from collections.abc import Sequence

_LEAST = 4
"""Characters of a column that still say something."""
_USUAL = (80, 24)
_PYTHONS_OWN = ("C.UTF-8", "C.utf8", "UTF-8")


def width() -> int | None:
    """In characters; None where standard output is no terminal: then nothing is cut."""
    return columns() if sys.stdout.isatty() else None


def columns() -> int:
    """The same, and the usual where it is none."""
    return _size("COLUMNS", 0)


def height() -> int:
    return _size("LINES", 1)


def _size(variable: str, which: int) -> int:
    """As shutil has it, which takes longer to import than all of this to run."""
    said = os.environ.get(variable, "")
    if re.fullmatch("[1-9][0-9]{0,4}", said):
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno())[which] or _USUAL[which]
    except (OSError, ValueError):
        return _USUAL[which]


def knows_unicode() -> bool:
    """Whether it shows more than ASCII, by the locale. Python itself writes UTF-8 under LC_ALL=C, and where
    the locale is C or none that there is it sets LC_CTYPE: neither says anything of the terminal."""
    of_characters = os.environ.get("LC_CTYPE", "")
    said = os.environ.get("LC_ALL"), "" if of_characters in _PYTHONS_OWN else of_characters
    locale = said[0] or said[1] or os.environ.get("LANG", "")
    writes = (sys.stdout.encoding or "").lower().replace("-", "")
    return writes == "utf8" and locale.lower().replace("-", "").endswith("utf8")


def cells(text: str) -> int:
    """How many characters wide a terminal shows it."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(0 if category(c) in ("Mn", "Me") else 1 + (east_asian_width(c) in "FW") for c in text)


def padded(text: str, wide: int) -> str:
    return text + " " * (wide - cells(text))


def cut(text: str, wide: int) -> str:
    """At most so wide; what is cut off ends with an ellipsis."""
    if cells(text) <= wide:
        return text
    mark = "…" if knows_unicode() else "..."
    kept = text[:wide]
    while kept and cells(kept) > wide - len(mark):
        kept = kept[:-1]
    return (kept.rstrip(f"{mark} ") + mark)[:wide]


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Widths of columns that fit into so much room, without what stands between them: the widest give."""
    found = list(widths)
    while sum(found) > room and max(found) > _LEAST:
        widest = max(found)
        beside = max((wide for wide in found if wide < widest), default=_LEAST)
        many = found.count(widest)
        least = max(beside, _LEAST, widest - -(-(sum(found) - room) // many))
        found = [least if wide == widest else wide for wide in found]
    return found
