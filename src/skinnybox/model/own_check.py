"""A machine's own check: a command that its guest runs until it succeeds, before which it is not ready."""

from skinnybox.errors import UsageError
from skinnybox.printable import quoted

LONGEST = 4096
"""Bytes: it is a command, and what is longer is a program, which belongs into a file of the guest."""
_WHITE = "\n\t"


def check_command(text: str) -> str:
    """The text as it is. UsageError for what no shell of a guest could be handed."""
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError("the check is not text") from error
    if not text.strip() or any(not letter.isprintable() and letter not in _WHITE for letter in text):
        raise UsageError(f"{quoted(text)} is no check", hint="a shell command: curl -fs http://localhost/")
    if length > LONGEST:
        hint = "put a program into the guest (--file), and run that"
        raise UsageError(f"a check of {length} bytes is longer than {LONGEST}", hint=hint)
    return text
