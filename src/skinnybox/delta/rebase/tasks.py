"""What the first start does, and is expected to have running then: a file in the machine's overlay.

    skinnybox-rebase 1
    id 3f1c09a2
    task ldconfig
    unit apache2.service
    end

The guest knows what each word of `WORDS` is to run; a machine is ready only when all of them are done.
"""

import re
from collections.abc import Iterable

from skinnybox.delta.rebase.services import Wants, file_of, united
from skinnybox.delta.rebase.special import special
from skinnybox.masters.system.source import Source, bytes_of

PATH = "var/lib/skinnybox/rebase"
LEFT = (f"{PATH}.done", f"{PATH}.failed")
"""What an earlier one left there."""
ACTIVE = "var/lib/skinnybox/active-units"
"""What ran when the machine was last shut down, by its own word."""
WORDS = (
    "updated", "ldconfig", "alternatives", "configure", "triggers", "certificates", "locales", "hwdb",
    "catalog", "mime", "icons", "schemas",
)  # fmt: skip
_BY_WHAT = {
    "systemd's own updates at the first start": ("updated",),
    "update-ca-certificates --fresh": ("certificates",),
    "ldconfig": ("ldconfig",),
    "locale-gen": ("locales",),
    "systemd-hwdb update; journalctl --update-catalog": ("hwdb", "catalog"),
    "dpkg --triggers-only -a": ("triggers",),
}
_BY_PATH = (
    (re.compile(r"usr/share/mime/.+", re.DOTALL), ("mime",)),
    (re.compile(r"usr/share/icons/.+", re.DOTALL), ("icons",)),
    (re.compile(r"usr/share/glib-2\.0/schemas/.+", re.DOTALL), ("schemas",)),
)
_UNIT = re.compile(r"[A-Za-z0-9:_.@-]{1,240}\.(?:service|socket|timer|path|mount)")
_MOST_UNITS = 256
_SMALL = 64 << 10
_EACH_BOOT = ("multi-user.target", "graphical.target", "sockets.target")
"""Of systemd; runlevels of other inits have no such name."""
_BEGINNERS = ("socket", "timer", "path")
FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")


def words_of(path: str) -> tuple[str, ...]:
    """What makes a generated file that was dropped."""
    found = special(bytes_of(path))
    if found is None:
        return ()
    by_path = next((words for pattern, words in _BY_PATH if pattern.fullmatch(path)), None)
    return by_path or _BY_WHAT.get(found.with_what, ())


def units(
    sides: tuple[Source, Source, Source], wants: tuple[Wants, Wants, Wants], *, replay: bool = False
) -> tuple[str, ...]:
    """Those that ran in the machine, or were to, as far as there is such a unit afterwards, and somebody
    still wants it. Sides are the old master, the new one, and the machine. In a replay its own packages are
    yet to be installed: all that ran, and who installs them looks which are there."""
    old, new, machine = sides
    before, after = ({name for name, _ in each} for each in (wants[2], united(*wants)))
    ran = _active(machine.read(ACTIVE, _SMALL))
    if ran is not None:
        ran = [name for name in ran if _comes_up(name, machine, before)]
    expected = after & _started(wants[2]) if ran is None else {*ran} - (before - after)
    there = _files(new) | (_files(machine) - (set() if replay else _files(old)))
    found = sorted(name for name in expected if _UNIT.fullmatch(name) and file_of(name) in there)
    return tuple(found[:_MOST_UNITS])


def _comes_up(unit: str, machine: Source, wanted: set[str]) -> bool:
    """Whether it would run again after a boot of the machine as it was. What can be enabled, and is not, some
    script started once, as a package's does when it is installed. Of what nobody can enable others decide."""
    stem = unit.rpartition(".")[0]
    if unit in wanted or any(f"{stem}.{kind}" in wanted for kind in _BEGINNERS):
        return True
    found = (machine.read(f"{folder}/{file_of(unit)}", _SMALL) for folder in FOLDERS)
    text = next((each for each in found if each is not None), b"")
    return b"[Install]" not in map(bytes.strip, text.splitlines())


def _started(wants: Wants) -> set[str]:
    """Those that each boot comes to. What else wants a unit may never come up itself, as what is wanted of an
    initramfs, or by who waits for a network when nobody does."""
    return {name for name, wanted_by in wants if wanted_by in _EACH_BOOT or "." not in wanted_by}


def _active(told: bytes | None) -> list[str] | None:
    """None where it says nothing, or was cut off."""
    lines = (told or b"").decode("ascii", "replace").splitlines()
    if lines[:1] != ["skinnybox-active-units 1"] or lines[-1:] != ["end"]:
        return None
    found = [line.removeprefix("unit ") for line in lines if line.startswith("unit ")]
    return [name for name in found if _UNIT.fullmatch(name)]


def _files(side: Source) -> set[str]:
    found = {name for folder in FOLDERS for name in side.names(folder) if _UNIT.fullmatch(name)}
    return found | {f"{name}.service" for name in side.names("etc/init.d")}


def text(identifier: str, words: Iterable[str], expected: Iterable[str]) -> bytes:
    """The whole file."""
    wanted = set(words)
    lines = [
        "skinnybox-rebase 1",
        f"id {identifier}",
        *(f"task {word}" for word in WORDS if word in wanted),
        *(f"unit {name}" for name in expected),
        "end",
    ]
    return "".join(f"{line}\n" for line in lines).encode()
