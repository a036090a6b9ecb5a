"""Which filesystems of a system go into its tree, which are left out, and which can be neither.

A thin machine has one tree and none of the old disks. So each filesystem that the system mounts is put in
its place there, or left out because somebody said so; nothing is lost without a word, and no line stays
that would keep a machine waiting for a disk, which ends in systemd's emergency mode.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from skinnybox.errors import NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters.disk_parts import TAR, DiskPart
from skinnybox.masters.filesystem_table import (
    Entry,
    Tables,
    Treatment,
    below,
    simple,
    treatment,
)

_KEPT = ("ro", "nosuid", "nodev", "noexec")
"""Options by which a system protects itself: they are kept, by mounting the folder over itself with them."""
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where the files of a filesystem are: on a part of the disk, or (`here`) in the tree already; and why
    they cannot be had, if so."""

    part: DiskPart | None = None
    here: bool = False
    why_not: str = ""


Locate = Callable[[Entry], Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a master's tree was put together of: places, sorted; or the master of a machine it was made of."""

    placed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    made_from: str | None = None


NOTHING = Brought()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`parts` are to be put at these places, those above before those below; `fstab` and `crypttab` are what
    the two files are to be then, None where they stay; `units` are mount units that are not to be started."""

    parts: tuple[tuple[str, DiskPart], ...]
    brought: Brought
    fstab: str | None
    crypttab: str | None
    units: tuple[str, ...] = ()


def decide(tables: Tables, locate: Locate, leave_out: Sequence[str], subject: str) -> Plan:
    """Raises Unsupported with all that can be neither brought nor is left out, by name; NotFound for what is
    to be left out and is not there."""
    wanted = _checked(tables, leave_out, subject)
    left = [entry for entry in tables.entries if entry.place in wanted]
    rest = [entry for entry in tables.entries if entry.place not in wanted]
    found = [(entry, _found(entry, locate)) for entry in rest if _is_to_come(entry, tables)]
    refused = [*_refused(found), *_unnamed(tables, wanted)]
    if refused:
        raise _refusal(refused, subject)
    found.sort(key=lambda pair: pair[0].place)
    placed = [entry for entry, _ in found]
    left += _shown_of_nothing(rest, left, placed)
    gone = _gone(tables, left, placed)
    return Plan(
        parts=tuple((entry.place, where.part) for entry, where in found if where.part),
        brought=Brought(
            placed=tuple(entry.place for entry in placed),
            left_out=tuple(sorted({entry.place for entry in left} | (wanted & _devices(tables)))),
        ),
        fstab=_fstab(tables, gone, placed),
        crypttab=_crypttab(tables),
        units=tuple(entry.unit for entry in gone if entry.unit),
    )


def _is_to_come(entry: Entry, tables: Tables) -> bool:
    return treatment(entry) is Treatment.BRING and entry.source not in _thrown_away(tables)


def _thrown_away(tables: Tables) -> set[str]:
    return {mapping.device for mapping in tables.mappings if mapping.thrown_away}


def _found(entry: Entry, locate: Locate) -> Found:
    if entry.served:
        return Found(why_not=f"{entry.source} ({entry.kind}) lies on another machine")
    return locate(entry)


def _shown_of_nothing(rest: Sequence[Entry], left: Sequence[Entry], placed: Sequence[Entry]) -> list[Entry]:
    """What shows a folder of a filesystem that is left out at another place: that mount would fail."""
    absent = {entry.place for entry in left}

    def of(source: str) -> str:
        around = [entry.place for entry in (*left, *placed) if below(source, entry.place)]
        return max(around, key=len, default="")

    return [entry for entry in rest if entry.inside and of(simple(entry.source)) in absent]


def _checked(tables: Tables, leave_out: Sequence[str], subject: str) -> set[str]:
    wanted = set()
    for path in leave_out:
        place = simple(path)
        if not path.startswith("/") or place == "/":
            raise UsageError(f"{path} cannot be left out", hint="as in --leave-out /srv: where it is mounted")
        if not tables.at(place) and place not in _devices(tables):
            there = ", ".join(entry.place for entry in tables.entries if entry.place != "/") or "none"
            raise NotFound(f"{subject}: it mounts nothing at {place}", hint=f"there are: {there[:300]}")
        wanted.add(place)
    return wanted


def _devices(tables: Tables) -> set[str]:
    return {mapping.device for mapping in tables.mappings}


def _refused(found: Sequence[tuple[Entry, Found]]) -> Iterator[tuple[str, str]]:
    """(what, why), also for what is there twice: which of the two was meant, nobody can say."""
    places: set[str] = set()
    parts: dict[int, str] = {}
    for entry, where in found:
        other = parts.get(where.part.number) if where.part else None
        if where.why_not:
            yield entry.place, where.why_not
        elif entry.place in places:
            yield entry.place, "is mounted twice"
        elif entry.place == "/etc":
            yield entry.place, "no system mounts that by what lies in it"
        elif other:
            yield entry.place, f"{entry.source} is mounted at {other} too"
        places.add(entry.place)
        if where.part:
            parts[where.part.number] = entry.place


def _unnamed(tables: Tables, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """What is decrypted at boot for nobody knows what. Below LVM it is known: what lies on it has a line."""
    if any(is_mapped(entry.source) and entry.source not in _devices(tables) for entry in tables.entries):
        return
    sources = {entry.source for entry in tables.entries}
    for mapping in tables.mappings:
        if not (mapping.noauto or mapping.thrown_away or mapping.device in sources | wanted):
            yield mapping.device, "its crypttab decrypts that, and its fstab does not say where it belongs"


def is_mapped(source: str) -> bool:
    """A device of LVM, or of another mapping: /dev/mapper/NAME, /dev/GROUP/VOLUME."""
    return source.startswith("/dev/") and source.count("/") == 3 and not source.startswith("/dev/disk/")


def _refusal(refused: Sequence[tuple[str, str]], subject: str) -> SkinnyboxError:
    told = "; ".join(f"{what}: {why}" for what, why in refused[:_MOST_TOLD])
    more = f"; and {len(refused) - _MOST_TOLD} more" if len(refused) > _MOST_TOLD else ""
    names = [what for what, _ in refused[:_MOST_TOLD]]
    # To be typed into a shell, and written by whoever made the image.
    folders = shlex.join(f".{name}" for name in names if not name.startswith("/dev/"))
    options = " ".join(f"--leave-out {shlex.quote(name)}" for name in names)
    return Unsupported(
        f"{subject}: what it mounts cannot be brought: {told}{more}",
        hint=f"do without: {options}; or {TAR} {folders}".rstrip(),
    )


def _gone(tables: Tables, left: Sequence[Entry], placed: Sequence[Entry]) -> list[Entry]:
    thrown_away = _thrown_away(tables)
    lines = {entry.line for entry in (*left, *placed)}

    def is_gone(entry: Entry) -> bool:
        return entry.line in lines or treatment(entry) is Treatment.GOES or entry.source in thrown_away

    return [entry for entry in tables.entries if is_gone(entry)]


def _fstab(tables: Tables, gone: Sequence[Entry], placed: Sequence[Entry]) -> str | None:
    lines = {entry.line for entry in gone}
    added = list(_protected(placed))
    if not added and not any(entry.line >= 0 for entry in gone):
        return None
    kept = [line for number, line in enumerate(tables.fstab) if number not in lines]
    at = len(kept) - 1 if kept and not kept[-1] else len(kept)
    end = [] if kept[at:] else [""]
    return "\n".join([*kept[:at], *added, *kept[at:], *end])


def _protected(placed: Sequence[Entry]) -> Iterator[str]:
    for entry in placed:
        options = [option for option in _KEPT if option in entry.options]
        if options and entry.place != "/boot":
            place = entry.place.replace("\\", "\\134").replace(" ", "\\040")
            yield f"{place} {place} none bind,{','.join(options)} 0 0"


def _crypttab(tables: Tables) -> str | None:
    """A thin machine has none of these disks; what was on them is in its tree, or left out."""
    gone = {mapping.line for mapping in tables.mappings if not mapping.noauto}
    if not gone:
        return None
    return "\n".join(line for number, line in enumerate(tables.crypttab) if number not in gone)
