"""Text of strangers, fit for a terminal and for a line."""


def printable(text: str) -> str:
    """Without what a terminal would obey: each such character as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_path(raw: bytes) -> str:
    """The bytes of a path as text from which they can be got back, by
    text.encode().decode("unicode_escape").encode("latin-1").

    A backslash is doubled, and what a terminal would obey or is no UTF-8 is told byte by byte: a file may
    really be called what another one's name looks like when it is escaped.
    """
    return "".join(map(_reversible, raw.decode("utf-8", "surrogateescape")))


def _reversible(letter: str) -> str:
    if letter in "\\\t\n\r":
        return letter.encode("unicode_escape").decode()
    if letter.isprintable():
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
