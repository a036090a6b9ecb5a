"""Whether dpkg is through with all packages of a tree: what is half installed in a master is so in every
machine of it, for good."""

from pathlib import Path

from skinnybox.errors import Blocked
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.source import Notes, Tree

_HALF = ("half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
_MOST_TOLD = 5


def refuse_half_installed(tree: Path) -> None:
    """Blocked, naming them, as `dpkg --audit` would. A tree without dpkg has none."""
    source = Tree(tree)
    found = dpkg.packages(source, Notes()) or []
    half = [package.name for package in found if _is_half(package.status or "")]
    interrupted = source.names(f"{dpkg.FOLDER}/updates")
    if half or interrupted:
        more = f" and {len(half) - _MOST_TOLD} more" if len(half) > _MOST_TOLD else ""
        what = f"half installed: {', '.join(half[:_MOST_TOLD])}{more}" if half else "interrupted in its work"
        raise Blocked(
            f"dpkg left packages {what}; so they would be in every machine of the master",
            hint="in the machine: dpkg --configure -a",
        )


def _is_half(status: str) -> bool:
    words = status.split()
    return len(words) == 3 and (words[1] != "ok" or words[2] in _HALF)
