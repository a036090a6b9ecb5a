"""Making masters without being root: the same program again, as root of a user namespace with many ids.

Such a root cannot keep device nodes (a guest makes those in /dev itself) and trusted.* xattrs. A tree that
has them elsewhere, or is to be sealed as it is, needs the real root.
"""

import os
import pwd
from pathlib import Path

from skinnybox import run
from skinnybox.errors import Unsupported

_LEAST_IDS = 65536


def needed() -> bool:
    """Whether this process cannot give files to other users."""
    return os.geteuid() != 0


def require_root() -> None:
    """Raises Unsupported for who is neither root nor root of a namespace."""
    if needed():
        hint = why_not() or f"run it after {' '.join(argv_prefix())}"
        raise Unsupported("only root can give a tree's files to their owners", hint=hint)


def argv_prefix() -> list[str]:
    """What to put before a command to run it as root of a namespace of this user's own ids."""
    return ["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--fork", "--kill-child", "--"]


def why_not() -> str | None:
    """What is missing for that, and how to get it; None when nothing is."""
    if not (run.find("newuidmap") and run.find("newgidmap")):
        return "newuidmap is missing: install the package uidmap"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in a container that runs as some uid; /etc/subuid takes numbers as well
        user = str(os.geteuid())
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        if _ids(file, user) < _LEAST_IDS:
            return (
                f"{user} has no range of ids in {file}: run "
                f"`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
            )
    limit = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if limit.exists() and limit.read_text().strip() == "1" and not _works():
        return "AppArmor keeps ordinary users from namespaces here: run this with sudo"
    return None


def _ids(file: Path, user: str) -> int:
    if not file.exists():
        return 0
    rows = [line.split(":") for line in file.read_text().splitlines()]
    return max(
        (int(row[2]) for row in rows if row[0] in (user, str(os.geteuid())) and len(row) == 3), default=0
    )


def _works() -> bool:
    return run.run([*argv_prefix(), "true"], ok=range(256)).returncode == 0
