"""Filesystems that systemd's own mount units name: the other place where a system says what it mounts.

Only those that somebody made and enabled, in /etc: what packages bring mounts nothing but what is virtual.
"""

import re
from collections.abc import Callable, Iterator

FOLDER = "etc/systemd/system"
LONGEST, MOST = 1 << 14, 256
"""Bytes of a unit, and how many of them: more are passed over."""

_NAME = re.compile(r"[\w:.\\@-]{1,240}\.mount", re.ASCII)
_SETTING = re.compile(r"(What|Where|Type|Options)\s*=\s*(.*)")


def pulled_in(folder: str) -> bool:
    """Whether a folder of that name holds links to what is started together."""
    return folder.endswith((".wants", ".requires"))


def automount(name: str) -> str:
    """The unit that mounts this one at its first use."""
    return f"{name.removesuffix('.mount')}.automount"


def enabled(
    names: Callable[[str], list[str]], content: Callable[[str], bytes]
) -> Iterator[tuple[str, bytes]]:
    """Name and text of each, of the tree whose folders and files the two functions read."""
    there = names(FOLDER)
    wanted = {name for folder in there if pulled_in(folder) for name in names(f"{FOLDER}/{folder}")}
    found = [name for name in there if _NAME.fullmatch(name) and {name, automount(name)} & wanted]
    for name in found[:MOST]:
        yield name, content(f"{FOLDER}/{name}")


def is_name(text: object) -> bool:
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def settings(text: str) -> dict[str, str]:
    """What, Where, Type and Options of a unit, as far as it has them; the last of each counts."""
    found: dict[str, str] = {}
    section = ""
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("["):
            section = line
        setting = _SETTING.fullmatch(line) if section == "[Mount]" else None
        if setting:
            found[setting[1]] = setting[2].strip()
    return found
