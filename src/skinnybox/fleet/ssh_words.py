"""Paths in the little language of ssh's options (ssh_config(5)): the one place that writes them.

An option that takes files takes several, so words end at blanks and `#` begins a comment; `"` and `'` quote,
with a backslash before what is meant itself. In each word `%` begins a token (`%h` is the host, `%%` itself),
and `${NAME}` is a variable of the environment, which nothing can quote. A relative path counts from ssh's
folder and `~` is somebody's home, so paths are made absolute.
"""

import re
from pathlib import Path

from skinnybox.errors import UsageError

_PLAIN = re.compile("[A-Za-z0-9_@+=:,./-]+")


def quoted(path: Path) -> str:
    """The path as one word of an option whose value ssh expands: IdentityFile, UserKnownHostsFile. UsageError
    when ssh has no way to write it."""
    text = str(path.absolute())
    if "${" in text:
        raise UsageError(
            f"{text}: ssh takes '${{' in the path of a file for a variable",
            hint="use a folder of another name",
        )
    if _PLAIN.fullmatch(text):
        return text
    within = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{within}"'
