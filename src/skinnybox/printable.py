"""Text of strangers, fit for a terminal and for a line."""

import re

_SHORT = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def printable(text: str) -> str:
    """Without what a terminal would obey: each such character as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(letter: str) -> str:
    """Not by Python's codec, which is looked for on the disk: who reads confined finds nothing there."""
    if letter in _SHORT:
        return _SHORT[letter]
    code = ord(letter)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


MOST_QUOTED = 60


def quoted(value: object) -> str:
    """What is somebody else's as a sentence tells it: a text in quotes, and so much of it as says which it
    is. A table of values may hold a megabyte where an address belongs, and more than letters."""
    shown = repr(value[: MOST_QUOTED + 1] if isinstance(value, str) else value)
    if len(shown) <= MOST_QUOTED + 2:
        return shown
    quote = shown[0] if isinstance(value, str) else ""
    return f"{shown[: MOST_QUOTED + len(quote)]}{quote}..."


def short(text: object) -> str:
    """The same without quotes where it is what one expects."""
    whole = str(text)
    return whole if len(whole) <= MOST_QUOTED and whole.isprintable() else quoted(whole)


def printable_path(raw: bytes) -> str:
    """The bytes of a path as text from which they can be got back, by
    text.encode().decode("unicode_escape").encode("latin-1").

    A backslash is doubled, and what a terminal would obey or is no UTF-8 is told byte by byte: a file may
    really be called what another one's name looks like when it is escaped.
    """
    return "".join(map(_reversible, raw.decode("utf-8", "surrogateescape")))


def raw_path(told: str) -> bytes | None:
    """The bytes of what `printable_path` told; None for what it tells of no path."""
    if re.sub(r"\\(?:[\\tnr]|x[0-9a-f]{2})", "", told).find("\\") >= 0:
        return None
    return told.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1")


def _reversible(letter: str) -> str:
    if letter in _SHORT:
        return _SHORT[letter]
    if letter.isprintable():
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
