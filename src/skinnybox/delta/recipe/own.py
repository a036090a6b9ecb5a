"""What of a tree, in which somebody worked, is no part of the stack it was: that alone stays in it.

Everything that was touched has a newer time of change (ctime), which no program can set: only that is
compared with the index, its content included. A layer only adds, so what was deleted is told and seen again.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skinnybox.delta.promote import places
from skinnybox.delta.promote.places import Reason
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.upper import kept_xattrs
from skinnybox.masters.index import Entry, Line, file_digest, read_lines, read_xattrs
from skinnybox.masters.layers import unfit
from skinnybox.masters.layers.fitting import as_entry, key_of, refuse_hiding
from skinnybox.masters.survey import walk
from skinnybox.model.promotion import Going, LayerContents, LeftOut

_TIME = re.compile(rb',"mtime":(\d+)')
_MOST_ROWS = 5000
_REFUSED = ("packages", "accounts")
_MADE_HERE = (b"dev", b"proc")
"""Folders that running a program in the tree takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The tree as it was: `index` of the stack, called `name`, and the filesystem's clock before anybody
    worked in it, in nanoseconds."""

    index: Path
    name: str
    since: int


def newest(index: Path) -> int:
    """The newest mtime of a stack, in nanoseconds."""
    return max(int(found[1]) for line in read_lines(index) if (found := _TIME.search(line.raw)))


def own(tree: Path, before: Before, dated: int) -> LayerContents:
    """Take all out of the tree that a layer above the stack is without, date what was written meanwhile
    `dated`, and tell of both. Unsupported, naming the path, for packages and accounts, and where something
    of the stack would be hidden; Corrupt."""
    sorter = _Sorter(os.fsencode(tree), before)
    for path, info, line in _joined(sorter.tree, before.index):
        sorter.sort(path, info, line)
    sorter.carry_out(dated)
    return LayerContents(going=tuple(sorter.going.values()), left_out=tuple(sorter.left_out()))


def _joined(tree: bytes, index: Path) -> Iterator[tuple[bytes, os.stat_result | None, Line | None]]:
    """Every path of either, in canonical order."""
    lines = read_lines(index)
    line = next(lines, None)
    for path, info in walk(tree):
        key = key_of(path)
        while line is not None and key_of(line.path) < key:
            yield line.path, None, line
            line = next(lines, None)
        if line is not None and line.path == path:
            yield path, info, line
            line = next(lines, None)
        else:
            yield path, info, None
    while line is not None:
        yield line.path, None, line
        line = next(lines, None)


@dataclass(slots=True)
class _Sorter:
    """`folders` are all, parents first, with what the stack has there, when they were written and the
    outermost new one around; `kept` is what goes, `gone` what is to be removed, `emptied` new folders out of
    which something was left."""

    tree: bytes
    before: Before
    folders: list[tuple[bytes, Line | None, int, bytes | None]] = field(default_factory=list)
    kept: dict[bytes, int] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)
    emptied: set[bytes] = field(default_factory=set)
    going: dict[bytes, Going] = field(default_factory=dict)
    rows: dict[tuple[Reason, bytes], list[int]] = field(default_factory=dict)
    deleted: bytes | None = None
    new: bytes | None = None

    def sort(self, path: bytes, info: os.stat_result | None, line: Line | None) -> None:
        if info is None:
            self._deleted(path)
        elif stat.S_ISDIR(info.st_mode):
            self._folder(path, info, line)
        else:
            self._other(path, info, line)

    def _deleted(self, path: bytes) -> None:
        if self.deleted is not None and is_below(path, self.deleted):
            return
        self.deleted = path
        if places.cleaned(path) is None:
            self._leave(Reason.DELETION, path, 1, 0)

    def _folder(self, path: bytes, info: os.stat_result, line: Line | None) -> None:
        if line is not None:
            refuse_hiding(path, True, line, self.before.name)
            entry = line.entry()
            is_same = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (
                entry.mode, entry.uid, entry.gid,
            )  # fmt: skip
            if path and not is_same and self._is_touched(info):
                self._leave(Reason.FOLDER, path, 1, 0)
        elif self.new is None or not is_below(path, self.new):
            self.new = path
        self.folders.append((path, line, info.st_mtime_ns, self.new if line is None else None))

    def _other(self, path: bytes, info: os.stat_result, line: Line | None) -> None:
        if line is not None:
            refuse_hiding(path, False, line, self.before.name)
        is_own = (line is None or self._is_touched(info)) and not stat.S_ISSOCK(info.st_mode)
        if not is_own or (line is not None and self._is_same(path, info, line.entry())):
            self.gone.append(path)
            return
        fate = self._fate(path, info)
        if fate is not None:
            self.gone.append(path)
            self.emptied.add(path.rpartition(b"/")[0])
            self._leave(*fate, 1, info.st_size if stat.S_ISREG(info.st_mode) else 0)
            return
        self.kept[path] = info.st_mtime_ns
        self._go(path, info)

    def _fate(self, path: bytes, info: os.stat_result) -> tuple[Reason, bytes] | None:
        """None for what goes."""
        found = places.cleaned(path) or places.of_a_machine(path)
        if found is None and places.is_log(path):
            found = Reason.LOGS, b"var/log"
        if found is not None:
            return found
        bad = unfit.by_name(path)
        if bad is None and (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)):
            bad = unfit.device(path)
        if bad is not None and bad.kind in _REFUSED:
            raise bad.error()
        return None if bad is None else (Reason(bad.kind), bad.path)

    def _is_touched(self, info: os.stat_result) -> bool:
        return info.st_ctime_ns >= self.before.since

    def _is_same(self, path: bytes, info: os.stat_result, entry: Entry) -> bool:
        """Whatever its time: that alone says nothing."""
        full = self.tree + b"/" + path
        if stat.S_ISLNK(info.st_mode):
            same = entry.type == "l" and os.readlink(full) == entry.target  # noqa: PTH115 (bytes)
        elif stat.S_ISREG(info.st_mode):
            same = (
                entry.type == "-" and info.st_size == entry.size and stat.S_IMODE(info.st_mode) == entry.mode
            )
            same = same and file_digest(Path(os.fsdecode(full))) == entry.digest
        else:
            same = entry.type == "p" and stat.S_ISFIFO(info.st_mode)
        owned = (info.st_uid, info.st_gid) == (entry.uid, entry.gid)
        return same and owned and kept_xattrs(dict(read_xattrs(full))) == kept_xattrs(dict(entry.xattrs))

    def _go(self, path: bytes, info: os.stat_result) -> None:
        top = self.new if self.new is not None and is_below(path, self.new) else path
        if top not in self.going and len(self.going) >= _MOST_ROWS:
            top = b""
        row = self.going.get(top, Going(path=top, files=0, size=0))
        size = info.st_size if stat.S_ISREG(info.st_mode) else 0
        self.going[top] = Going(path=top, files=row.files + 1, size=row.size + size)

    def _leave(self, reason: Reason, place: bytes, files: int, size: int) -> None:
        """Of what is temporary nobody expects more."""
        if reason is Reason.TEMPORARY:
            return
        key = (reason, place if len(self.rows) < _MOST_ROWS else b"")
        row = self.rows.setdefault(key, [0, 0])
        row[0] += files
        row[1] += size

    def left_out(self) -> Iterator[LeftOut]:
        for (reason, place), (files, size) in self.rows.items():
            yield LeftOut(reason=reason, path=place, part=False, files=files, size=size)

    def carry_out(self, dated: int) -> None:
        """Folders of the stack stay where something lies in them, and are as the stack has them."""
        for path in self.gone:
            os.unlink(self.tree + b"/" + path)  # noqa: PTH108 (bytes)
        for path, written in self.kept.items():
            self._date(path, written, dated)
        full = {path.rpartition(b"/")[0] for path in self.kept}
        for path, line, written, top in reversed(self.folders):
            place, parent = self.tree + b"/" + path, path.rpartition(b"/")[0]
            if path and path not in full and self._is_to_go(path, line):
                os.rmdir(place)  # noqa: PTH106 (bytes)
                self.emptied |= {parent} if line is None else set()
                continue
            full |= {parent} if path else set()
            if line is not None:
                as_entry(place, line.entry())
                continue
            self._date(path, written, dated)
            if top is not None:  # there may be no file in it
                self.going.setdefault(top, Going(path=top, files=0, size=0))

    def _is_to_go(self, path: bytes, line: Line | None) -> bool:
        """Of a folder in which nothing is that goes: a new one goes that somebody made empty."""
        if line is not None or path in self.emptied or path in _MADE_HERE:
            return True
        return unfit.by_name(path) is not None or places.cleaned(path) is not None

    def _date(self, path: bytes, written: int, dated: int) -> None:
        """A folder out of which something was taken has been written since."""
        when = dated if written >= self.before.since else written
        os.utime(self.tree + b"/" + path, ns=(when, when), follow_symlinks=False)
