"""Text of strangers, fit for a terminal and for a line."""


def printable(text: str) -> str:
    """Without what a terminal would obey: each such character as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
