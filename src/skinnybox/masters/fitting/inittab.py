"""A tree whose init reads /etc/inittab: sysvinit, and busybox's, each with lines of its own kind.

Our line stands last, so that it is done after the scripts of the runlevel have ended, ssh and network among
them. It needs no place in the order of these scripts, which other programs (insserv) make anew.
"""

from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.fitting import rc
from skinnybox.masters.fitting.own import HOME

_FILE = "etc/inittab"
_MOST = 1 << 16
_SYSVINIT = (f"skin:2345:once:/{HOME}/after-boot",)
_BUSYBOX = (f"::once:/{HOME}/after-boot", f"::shutdown:/{HOME}/settle")
_OURS = f":/{HOME}/"


def is_there(tree: Path, init: str) -> bool:
    """One that starts the system: RHEL 6 has one that only names a runlevel for upstart."""
    return init in ("init", "busybox") and any(line.split(":")[2:3] == ["sysinit"] for line in _lines(tree))


def fit(tree: Path) -> None:
    lines = _lines(tree)
    kept = [line for line in lines if _OURS not in line]
    is_busybox = any(line.startswith("::") for line in kept)
    _write(tree, [*kept, *(_BUSYBOX if is_busybox else _SYSVINIT)])
    rc.fit(tree)


def remove(tree: Path) -> None:
    lines = _lines(tree)
    kept = [line for line in lines if _OURS not in line]
    if kept != lines:
        _write(tree, kept)
    rc.remove(tree)


def _lines(tree: Path) -> list[str]:
    """None of one that is too long to be one."""
    text = inside.read(tree, _FILE, _MOST) or b""
    return text.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n") if len(text) < _MOST else []


def _write(tree: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    inside.rewrite(tree, _FILE, text.encode("utf-8", "surrogateescape"))
