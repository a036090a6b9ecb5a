"""What the init of a tree starts by itself: systemd's units, scripts of System V, services of OpenRC."""

import re
from collections import defaultdict

from skinnybox.masters.system.source import Notes, Source
from skinnybox.masters.system.values import Unit

_ADMINISTRATOR = "etc/systemd/system"
_VENDOR = ("usr/lib/systemd/system", "lib/systemd/system")
_WANTS = re.compile(r"(.{1,250})\.(?:wants|requires)")
_SCRIPT = re.compile(r"S\d\d(.{1,250})")
_RUNLEVELS = "etc/runlevels"
_MOST = 10_000


def units(source: Source, notes: Notes) -> list[Unit]:
    """By name. What is masked is left out, wherever it is wanted."""
    links = source.links(_ADMINISTRATOR)
    masked = {name for name, target in links.items() if target == "/dev/null"}
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    native: set[str] = set(links)
    for folder in (_ADMINISTRATOR, *_VENDOR):
        here = source.names(folder)
        native.update(here)
        for name in here:
            found = _WANTS.fullmatch(name)
            if found:
                for unit in source.names(f"{folder}/{name}"):
                    wanted[unit].add(found[1])
    _add_scripts(source, native, wanted)
    for level in source.names(_RUNLEVELS):
        for service in source.names(f"{_RUNLEVELS}/{level}"):
            wanted[service].add(f"runlevel {level}")
    known = sorted(name for name in wanted if name not in masked and len(name) < 256)
    if len(known) > _MOST:
        notes.add(f"more than {_MOST} units: the others were not read")
    return [Unit(name=name, wanted_by=tuple(sorted(wanted[name])[:100])) for name in known[:_MOST]]


def _add_scripts(source: Source, native: set[str], wanted: defaultdict[str, set[str]]) -> None:
    """systemd makes units of the scripts that have none of their own."""
    for level in "2345":
        for name in source.names(f"etc/rc{level}.d"):
            found = _SCRIPT.fullmatch(name)
            if found and f"{found[1]}.service" not in native:
                wanted[f"{found[1]}.service"].add(f"runlevel {level}")
