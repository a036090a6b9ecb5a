"""What a tree says of its filesystems: /etc/fstab, /etc/crypttab and mount units, which strangers write.

Nothing here opens a file. What comes in is bounded text; what comes out are lines that can be shown.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from skinnybox.errors import Unsupported
from skinnybox.masters import mount_units

FSTAB, CRYPTTAB = "etc/fstab", "etc/crypttab"
LONGEST, MOST = 1 << 16, 512
"""Bytes of either file, and lines that mount something: more are refused, not cut off."""

VIRTUAL = frozenset({
    "autofs", "bpf", "binfmt_misc", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nfsd", "overlay", "proc", "pstore", "ramfs",
    "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs", "usbfs",
})  # fmt: skip
"""Kinds that hold nothing of their own: such a line is as good in a thin machine."""
SERVED = frozenset({
    "9p", "afs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs",
})  # fmt: skip
"""Kinds whose files lie on another machine."""
_REMOVABLE = re.compile(r"/dev/(sr|scd|cdrom|cdrw|dvd|fd)\w*")
_DISCS = frozenset({"iso9660", "udf"})
_NOT_OURS = frozenset({"/", "/boot/efi", "/efi"})
"""What the guest part takes out itself, as it does swap: it says nothing of files to be brought."""
_AUTOMOUNT = frozenset({"x-systemd.automount", "comment=systemd.automount"})
_OCTAL = re.compile(r"\\([0-3][0-7]{2})")
_NAME, _PATH = 255, 3072
_THROWN_AWAY = frozenset({"swap", "tmp"})


class Treatment(Enum):
    """What becomes of a line, if nothing is left out."""

    STAYS = "stays"
    GOES = "goes"
    BRING = "bring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the fstab, or a mount unit. `place` is where it is mounted, without needless slashes."""

    line: int
    source: str
    place: str
    kind: str
    options: frozenset[str]
    unit: str = ""

    @property
    def served(self) -> bool:
        """Whether its files lie on another machine."""
        return (
            bool(SERVED.intersection(self.kind.split(",")))
            or "_netdev" in self.options
            or self.source.startswith("//")
            or (":" in self.source and not self.source.startswith("/"))
        )

    @property
    def inside(self) -> bool:
        """Whether it shows a folder or a file of this system at another place."""
        return self.source.startswith("/") and not self.source.startswith(("/dev/", "//"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One line of the crypttab; `thrown_away`: it has a new key at each boot, so nothing in it lasts."""

    line: int
    name: str
    noauto: bool
    thrown_away: bool

    @property
    def device(self) -> str:
        return f"/dev/mapper/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Both files: their lines as they stand, and what each means."""

    fstab: tuple[str, ...]
    crypttab: tuple[str, ...]
    entries: tuple[Entry, ...]
    mappings: tuple[Mapping, ...]

    def at(self, place: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.place == place), None)


def parsed(fstab: bytes, crypttab: bytes, units: Sequence[tuple[str, bytes]] = ()) -> Tables:
    """`units` are names and texts of mount units. Raises Unsupported for a line that names what cannot be
    shown, or no folder that can be."""
    lines, others = _lines(fstab), _lines(crypttab)
    entries = (*_entries(lines), *_of_units(units))
    mappings = tuple(_mappings(others))
    if max(len(entries), len(mappings)) > MOST:
        raise Unsupported(f"it mounts more than {MOST} filesystems", hint="take out what no system needs")
    return Tables(fstab=lines, crypttab=others, entries=entries, mappings=mappings)


def treatment(entry: Entry) -> Treatment:
    if entry.kind == "swap" or entry.place in _NOT_OURS or entry.kind in VIRTUAL or entry.inside:
        return Treatment.STAYS
    if "noauto" in entry.options and not _AUTOMOUNT & entry.options:
        return Treatment.STAYS
    if _REMOVABLE.fullmatch(entry.source) or _DISCS.intersection(entry.kind.split(",")):
        return Treatment.GOES
    return Treatment.BRING


def simple(place: str) -> str:
    """A path without needless slashes and dots."""
    return "/" + "/".join(part for part in place.split("/") if part not in ("", "."))


def below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def linked(path: str) -> Unsupported:
    return Unsupported(f"its /{path} is a symlink", hint="put the file itself there")


def too_long(path: str, limit: int) -> Unsupported:
    return Unsupported(f"its /{path} has more than {limit} bytes", hint="take out what no system needs there")


def _lines(raw: bytes) -> tuple[str, ...]:
    return tuple(raw.decode("utf-8", "surrogateescape").split("\n"))


def _fields(line: str) -> list[str]:
    """As getmntent(3) has them: separated by blanks, which in them are octal."""
    words = re.findall(r"[^ \t\r]+", line)
    if not words or words[0].startswith("#"):
        return []
    return [_OCTAL.sub(lambda found: chr(int(found[1], 8)), word) for word in words]


def _entries(lines: tuple[str, ...]) -> Iterator[Entry]:
    for number, line in enumerate(lines):
        source, place, kind, options, *_ = [*_fields(line), *[""] * 4]
        if not place.startswith("/"):  # nothing, a comment, swap, or what systemd passes over too
            continue
        _check(FSTAB, number, source, place, kind)
        yield Entry(
            line=number,
            source=source,
            place=simple(place),
            kind=kind or "auto",
            options=frozenset(options.split(",")),
        )


def _of_units(units: Sequence[tuple[str, bytes]]) -> Iterator[Entry]:
    """Their lines are those before the first: they have none."""
    for number, (name, raw) in enumerate(units, start=1):
        found = mount_units.settings(raw.decode("utf-8", "surrogateescape"))
        source, place, kind = (found.get(key, "") for key in ("What", "Where", "Type"))
        if not source or not place.startswith("/"):
            continue
        _check(f"{mount_units.FOLDER}/{name}", 0, source, place, kind)
        yield Entry(
            line=-number,
            source=source,
            place=simple(place),
            kind=kind or "auto",
            options=frozenset(found.get("Options", "").split(",")) - {"noauto"},
            unit=name,
        )


def _mappings(lines: tuple[str, ...]) -> Iterator[Mapping]:
    for number, line in enumerate(lines):
        name, _, key, words, *_ = [*_fields(line), *[""] * 4]
        if not name:
            continue
        _check(CRYPTTAB, number, name, "/")
        options = frozenset(option.split("=")[0] for option in words.split(","))
        yield Mapping(
            line=number,
            name=name,
            noauto="noauto" in options,
            thrown_away=bool(options & _THROWN_AWAY) or key in ("/dev/urandom", "/dev/random", "/dev/hwrng"),
        )


def _check(file: str, number: int, source: str, place: str, kind: str = "") -> None:
    parts = place.split("/")
    if not (source + place + kind).isprintable():
        why = "names what cannot be shown"
    elif ".." in parts or any(len(part.encode()) > _NAME for part in parts) or len(place.encode()) > _PATH:
        why = "names no folder that can be"
    else:
        return
    where = f"line {number + 1} of its /{file}" if file in (FSTAB, CRYPTTAB) else f"its /{file}"
    raise Unsupported(f"{where} {why}", hint="correct that, or take it out")
