"""What of the caller's environment a program gets: what is named here or by whoever starts it, nothing else.

/proc/PID/environ shows it to everything that runs as the same user, for as long as the program lives. A QEMU
runs as a user that its guest may have come to be, for months, and whoever started the machine may have had
the password of a pool, a token of a cloud or the key of a backup in the environment. So there is no list of
what is secret, which nobody could keep whole, but one of what is needed.
"""

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Names: TypeAlias = Sequence[str]
"""Of variables; `*` stands for any letters."""

NOTHING: Names = ()
"""For what outlives us or works on what guests wrote: QEMU, passt, the supervisor, readers of disks."""
ORDINARY: Names = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR")
"""For tools that do one thing and end, and for what the user is handed the terminal of."""
WITH_AGENT: Names = (*ORDINARY, "SSH_AUTH_SOCK")
"""For an ssh that is to use a key of the user's own, which an agent may hold open. The fleet's needs none."""
FETCHING: Names = (
    *ORDINARY,
    *(f"{kind}_proxy" for kind in ("http", "https", "ftp", "all", "no")),
    *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "FTP", "ALL", "NO")),
    "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "APT_CONFIG", "SOURCE_DATE_EPOCH",
)  # fmt: skip
"""For what fetches packages: the way out of this network, and whom to believe. A proxy's address may bear a
password, which is of no use without it."""
OURSELVES: Names = (
    *FETCHING, "SKINNYBOX_*", "XDG_*", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE",
    "NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES",
)  # fmt: skip
"""For the same command of ours again, in a namespace. Never a password: it may read the file that
SKINNYBOX_XAPI_PASSWORD_FILE names."""

_NEVER = ("*PASSWORD", "*PASSPHRASE", "*SECRET*", "*TOKEN", "*CREDENTIALS")
"""Whatever a pattern takes in."""
_ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    """The caller's, and the system's administration folders, whatever the caller's PATH says."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_ADMINISTRATION]
    return os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))


def find(program: str) -> Path | None:
    """Where a program is, on that path unless it says so itself."""
    folders = [""] if "/" in program else [f"{folder}/" for folder in search_path().split(os.pathsep)]
    files = (f"{folder}{program}" for folder in folders)
    found = (Path(file) for file in files if os.access(file, os.X_OK))
    return next((file for file in found if file.is_file()), None)


def environment(
    keep: Names, given: Mapping[str, str] | None = None, *, locale: str | None = "C.UTF-8"
) -> dict[str, str]:
    """PATH, those of our own variables that `keep` names, and `given`. `locale` None: the caller's own."""
    kept = {name: value for name, value in os.environ.items() if _is_kept(name, keep)}
    fixed = {"PATH": search_path()} if locale is None else {"PATH": search_path(), "LC_ALL": locale}
    return {**kept, **fixed, **(given or {})}


def _is_kept(name: str, keep: Names) -> bool:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _NEVER):
        return False
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in keep)
