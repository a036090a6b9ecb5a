"""The edits that let parts of a machine's own go, written down by a confined process that reads its disk.

One walk over the upper directory beside the master's index. Held are the folders around where it is, the
paths that were asked for, and those of the packages that the machine itself changed.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from skinnybox.delta import belongs, leading
from skinnybox.delta.beside import DIRECT
from skinnybox.delta.drop.choosing import Below, Idle, Secrets, is_whiteout
from skinnybox.delta.rebase import machine, owners, packages, planning, standing
from skinnybox.delta.rebase.merged_source import UPPER, Merged
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.reading import buffered
from skinnybox.delta.rebase.standing import Standing
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.rebase.whole import Side
from skinnybox.delta.rebase.work import empty_work
from skinnybox.delta.rebase.written import Contents, Need, Written
from skinnybox.delta.upper import OPAQUE
from skinnybox.delta.upper_disk import reader_of
from skinnybox.errors import Blocked, NotFound
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters.index import Entry
from skinnybox.masters.system.compare import names
from skinnybox.masters.system.source import Notes, bytes_of
from skinnybox.masters.system.values import System
from skinnybox.model.drop import Wanted
from skinnybox.overlays.edits import Alteration, Removal
from skinnybox.printable import printable, printable_path
from skinnybox.sandbox.reader import answer

_TOP = b"upper"
_SECTOR = 512
_BUFFER = 1 << 18
Chosen = Below[Node] | Idle[Node] | Secrets[Node]


def to_text(wanted: Wanted) -> bytes:
    """For the confined child."""
    paths = [path.decode("utf-8", "surrogateescape") for path in wanted.paths]
    return json.dumps([paths, wanted.packages, wanted.idle, wanted.secrets]).encode()


def of_text(text: bytes) -> Wanted:
    paths, packages, idle, secrets = json.loads(text)
    found = tuple(path.encode("utf-8", "surrogateescape") for path in paths)
    return Wanted(paths=found, packages=tuple(packages), idle=idle is True, secrets=secrets is True)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    device, asked, master, *scratch = arguments
    wanted = of_text(buffered(int(asked)).read())
    answer(_answers(int(device), wanted, master, list(map(int, scratch))))


def _answers(device: int, wanted: Wanted, master: str, scratch: list[int]) -> Iterator[Any]:
    """What is refused is an answer: as an error it would be said of the file, and it is about the machine."""
    try:
        yield from _told(device, wanted, master, scratch)
    except (Blocked, NotFound) as error:
        yield {"refused": type(error).__name__, "why": error.message, "hint": error.hint}


def _told(device: int, wanted: Wanted, master: str, scratch: list[int]) -> Iterator[Any]:
    """Whether it is settled, whose it is, a line for each name that goes, and what came of it."""
    volume = open_descriptor(device)
    yield volume.superblock.clean
    if not volume.superblock.clean:
        return
    yield belongs.images(volume)
    side = planning.side(master)
    with ExitStack() as held:
        removals, changes, lines, contents = (
            held.enter_context(os.fdopen(each, "r+b", _BUFFER)) for each in scratch
        )
        out = Written(
            removals=removals, changes=changes, lines=lines, contents=Contents(contents),
            need=Need(volume.superblock.block_size),
        )  # fmt: skip
        chosen = _chosen(volume, side, wanted)
        walk = Walk(chosen, out, volume)
        for path, node in volume.walk(UPPER):
            line = side.index.at(path)
            yield from walk.at(path, node, None if line is None else line.entry())
        yield from walk.end()
        told = _settled(chosen, wanted, side, walk.count)
        empty_work(volume, out)
    yield [out.count, walk.count, walk.freed, told]


def _chosen(volume: Volume, side: Side, wanted: Wanted) -> Chosen:
    if wanted.secrets:
        return Secrets()
    if wanted.idle:
        return Idle(reader=reader_of(volume), links=lambda node: node.links)
    return _below(volume, side, wanted)


def _below(volume: Volume, side: Side, wanted: Wanted) -> Below[Node]:
    """The paths where they lie, through the machine's own symlinks."""
    found = Notes()
    source = Merged(volume, side.source)
    system = machine.system_of(source, side.system, found)
    versions = packages.versions(side.system, side.system, system)
    settled = {each.name: packages.settled(each) for each in versions}
    owned = _owned(source, side, system, settled, found)
    paths = set(leading.where(wanted.paths, source))
    of_packages = frozenset(_of_packages(wanted.packages, settled, _listed(side, system)))
    for path in sorted(paths):
        _refuse_beside(volume, path)
    return Below(paths=frozenset(paths), files=of_packages, owners=owned)


def _listed(side: Side, system: System) -> owners.Listed:
    called = names(side.system, side.system, system)
    return ((called.get(key, key), paths) for key, paths in side.listed())


def _owned(
    source: Merged, side: Side, system: System, settled: Mapping[str, Settled], found: Notes
) -> owners.Owners:
    """Whose files do not go alone: of packages that the machine installed, upgraded or removed."""
    if not any(each.touched for each in settled.values()):
        return {}
    theirs = machine.listed(source, system, machine.touched(settled), found)
    return owners.owners(settled, old=_listed(side, system), new=(), machine=theirs)


def _of_packages(
    wanted: Sequence[str], settled: Mapping[str, Settled], listed: owners.Listed
) -> Iterator[bytes]:
    """Their files, as the master has them. NotFound, Blocked."""
    for name in wanted:
        package = settled.get(name)
        if package is None or package.versions.old is None:
            hint = "`skinnybox master show` lists them"
            raise NotFound(f"its master has no package {printable(name)}", hint=hint)
        if package.touched:
            raise Blocked(
                f"the machine has changed the package {printable(name)} itself "
                f"({packages.versions_told(package)}): its files alone would be another version's",
                hint="its package manager, in the machine, undoes that",
            )
    for name, paths in listed if wanted else ():
        if name in wanted:
            yield from map(bytes_of, paths)


def _refuse_beside(volume: Volume, path: bytes) -> None:
    for name in _beside(volume):
        if path == name or is_below(path, name):
            raise Blocked(
                f"/{printable_path(name)} lies beside overlayfs, on the overlay's own disk: nothing of a "
                "master is seen there",
                hint="delete it in the machine, or reset all of it",
            )


def _beside(volume: Volume) -> Iterator[bytes]:
    return (name.replace(b"%", b"/") for name in volume.names(DIRECT))


def _settled(chosen: Chosen, wanted: Wanted, side: Side, count: int) -> list[str]:
    """What is to be said of what stays. Blocked, NotFound."""
    if not isinstance(chosen, Below):
        return []
    for path in chosen.hidden:
        if side.index.at(path) is not None:
            chosen.see_hidden(path)
    stays = chosen.stays.lines()
    if refused := chosen.refused.lines() or (stays if not count else []):
        raise Blocked("; ".join(refused))
    for path, covering in chosen.unmet():
        where = f"/{printable_path(path)}"
        if covering is not None:
            what = f"/{printable_path(covering)} is no folder there any more"
            raise Blocked(f"{where}: {what}", hint=f"name /{printable_path(covering)}")
        raise NotFound(f"it has nothing of its own at {where}", hint="`skinnybox changes` lists what it has")
    if wanted.packages and not chosen.hits:
        told = ", ".join(map(printable, wanted.packages))
        raise NotFound(f"it has nothing of its own in place of the files of {told}")
    return stays


@dataclass(slots=True)
class _Open:
    """A folder around where the walk is. `line`: what is written down when it turns out to stay."""

    path: bytes
    node: Node
    hides: bool
    line: bytes | None
    clears: Alteration | None = None


class Walk:
    """All names in canonical order; yields what goes."""

    def __init__(self, chosen: Chosen, out: Written, volume: Volume) -> None:
        self._chosen, self._out, self._volume = chosen, out, volume
        self._open: list[_Open] = []
        self.count = self.freed = 0

    def at(self, path: bytes, node: Node, entry: Entry | None) -> Iterator[list[Any]]:
        """`entry` is what the master has there."""
        yield from self._left(path)
        hidden = any(each.hides for each in self._open)
        goes = self._chosen.goes(path, node, entry, hidden=hidden)
        if node.type == "d":
            self._enter(path, node, goes=goes)
        elif goes:
            self._remove(path, node)
            yield self._gone(path, node)
        else:
            self._occupied()
            self._out.line(standing.kept(path, node, self._standing(node)))

    def end(self) -> Iterator[list[Any]]:
        return self._left(None)

    def _enter(self, path: bytes, node: Node, *, goes: bool) -> None:
        found = self._standing(node)
        opaque = path != b"" and found.xattrs.get(OPAQUE) == b"y"
        clears = None
        if opaque and (goes or self._chosen.clears(path)):
            clears = Alteration(inode=node.inode, without=(OPAQUE,))
            found = standing.without(found, OPAQUE)
        line = standing.kept(path, node, found)
        hides = opaque and clears is None
        self._open.append(_Open(path, node, hides=hides, line=line, clears=clears))
        if hides:
            self._chosen.hides(path)
        if not goes:
            self._occupied()

    def _occupied(self) -> None:
        """Something stays here: so all folders around do."""
        for folder in self._open:
            if folder.line is not None:
                self._out.line(folder.line)
                folder.line = None
                if folder.clears is not None:
                    self._out.alter(folder.clears)

    def _left(self, path: bytes | None) -> Iterator[list[Any]]:
        while self._open and (path is None or not is_below(path, self._open[-1].path)):
            folder = self._open.pop()
            if folder.line is not None:
                self._remove(folder.path, folder.node)
                yield self._gone(folder.path, folder.node)

    def _remove(self, path: bytes, node: Node) -> None:
        name, is_folder = path.rpartition(b"/")[2], node.type == "d"
        inode = self._open[-1].node.inode
        self._out.remove(Removal(folder=inode, name=name, path=_TOP + b"/" + path, is_folder=is_folder))

    def _gone(self, path: bytes, node: Node) -> list[Any]:
        self.count += 1
        if node.links == 1 or node.type == "d":
            self.freed += node.sectors * _SECTOR
        letter = "c" if is_whiteout(node) else node.type
        return [path.decode("utf-8", "surrogateescape"), letter, node.size if node.type in "-l" else 0]

    def _standing(self, node: Node) -> Standing:
        return standing.of_node(node, self._volume.xattrs(node))
