"""The scripts with which a system in sysvinit's way goes down: ours comes after the root is read-only and
before the power goes. Where no umountroot makes it read-only (that is Debian's and Ubuntu's), nothing is put:
the next boot replays the journal of the overlay.
"""

import re
from collections.abc import Callable
from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.fitting.own import source

_NAME, _BEFORE = "umountskinnybox", "umountroot"
_SCRIPT = f"etc/init.d/{_NAME}"
_LEVELS = ("etc/rc0.d", "etc/rc6.d")
_LINK = re.compile(rf"([KS]\d\d){_BEFORE}")
_ORDER = "etc/init.d/.depend.stop"
"""What insserv makes of the heads of all scripts: where it is, startpar starts what it names, and no
other. It comes out much the same when insserv makes it anew, as our script has such a head."""
_MOST = 1 << 16
_LAST = ("halt", "reboot", "kexec")


def fit(tree: Path) -> None:
    links = [f"{level}/{at}{_NAME}" for level in _LEVELS for at in _places(tree, level)]
    for link in _links(tree):
        if link not in links:
            inside.remove(tree, link)
    if links:
        inside.put(tree, _SCRIPT, source(_NAME), 0o755)
        for link in links:
            inside.link(tree, link, f"../init.d/{_NAME}")
        _order(tree, _put_in)


def remove(tree: Path) -> None:
    for link in _links(tree):
        inside.remove(tree, link)
    inside.remove(tree, _SCRIPT)
    _order(tree, _take_out)


def _places(tree: Path, level: str) -> list[str]:
    """K05, of K05umountroot: what comes next by its name comes after it."""
    return [found[1] for found in map(_LINK.fullmatch, inside.names(tree, level)) if found]


def _links(tree: Path) -> list[str]:
    return [f"{level}/{name}" for level in _LEVELS for name in inside.names(tree, level) if name[3:] == _NAME]


def _order(tree: Path, change: Callable[[list[str]], list[str]]) -> None:
    text = inside.read(tree, _ORDER, _MOST)
    if text and len(text) < _MOST:
        lines = text.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
        changed = change(_take_out(lines))
        if changed != lines:
            data = "".join(f"{line}\n" for line in changed).encode("utf-8", "surrogateescape")
            inside.rewrite(tree, _ORDER, data)


def _take_out(lines: list[str]) -> list[str]:
    """Of lines `TARGETS = NAME NAME ...` and `NAME: what comes before it`."""
    kept = (line for line in lines if not line.startswith(f"{_NAME}:"))
    return [re.sub(rf" {_NAME}(?= |$)", "", line) for line in kept]


def _put_in(lines: list[str]) -> list[str]:
    changed = [f"{line} {_NAME}" if line.partition(":")[0] in _LAST else line for line in lines]
    changed = [f"{line} {_NAME}" if line.startswith("TARGETS =") else line for line in changed]
    return [*changed, f"{_NAME}: {_BEFORE}"]
