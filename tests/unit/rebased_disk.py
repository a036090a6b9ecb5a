"""Overlays with anything in them, and a rebase of one as a whole, for the tests of what carries a plan out.

Nothing here needs root: what a guest would write is put there by the same program that alters it later.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from skinnybox import run
from skinnybox.delta.rebase import comparing, doing, ordering
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.rebase.orders import decoded
from skinnybox.delta.rebase.rules import Policy
from skinnybox.delta.upper import sort_key
from skinnybox.ext4 import Node, Volume, open_volume
from skinnybox.masters import index, lookup
from skinnybox.masters.index import Entry
from skinnybox.masters.system import image
from skinnybox.masters.system.record import to_text
from skinnybox.masters.system.values import System
from skinnybox.model import Allocation
from skinnybox.operation import Operation
from skinnybox.overlays import e2fsprogs, edit
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.edits import Alteration, Creation, Edit, Stretch
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB
from tests.unit.rebased import Thing, a_system, d, digest

BASE, IMAGES = b"skinnybox-base 1\nimage sha256:1 2\nend\n", ["sha256:1"]
ORIGIN = {"trusted.overlay.origin": bytes.fromhex("00fb1d000100") + bytes(23)}
TYPES = {
    "-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "c": stat.S_IFCHR, "b": stat.S_IFBLK,
    "p": stat.S_IFIFO, "s": stat.S_IFSOCK,
}  # fmt: skip
Tree = Mapping[bytes, Thing]
Listed = Mapping[str, tuple[str, ...]]
Rebased = Callable[..., dict[bytes, Thing]]
NOW = 1_700_000_000_123_456_789
PLAIN = a_system(manager=None)
TASKS, REMEMBERED = b"var/lib/skinnybox/rebase", b"var/lib/skinnybox/converged"
MOVES = b"var/lib/skinnybox/owners"


def whole(tree: Tree) -> dict[bytes, Thing]:
    """In canonical order, with the folders that nobody said."""
    found = dict(tree)
    for path in tuple(found):
        while path:
            path = path.rpartition(b"/")[0]
            found.setdefault(path, d())
    return dict(sorted(found.items(), key=lambda item: sort_key(item[0])))


@dataclass
class Model:
    """A master's image, as it is read."""

    tree: Tree

    def names(self, folder: str) -> list[str]:
        return sorted(name for name, _ in self._in(folder))

    def links(self, folder: str) -> dict[str, str]:
        return {name: text(thing.content) for name, thing in self._in(folder) if thing.type == "l"}

    def read(self, path: str, limit: int) -> bytes | None:
        thing = self.tree.get(raw(path))
        return thing.content[:limit] if thing is not None and thing.type == "-" else None

    def pieces(self, path: str) -> Iterator[bytes]:
        yield self.tree[raw(path)].content

    def _in(self, folder: str) -> Iterator[tuple[str, Thing]]:
        for path, thing in self.tree.items():
            parent, _, name = path.rpartition(b"/")
            if path and parent == raw(folder):
                yield text(name), thing


def _file() -> Any:
    return tempfile.TemporaryFile()


def text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def entry(path: bytes, t: Thing) -> Entry:
    return Entry(
        path=path, type=t.type, mode=t.mode, uid=t.uid, gid=t.gid, mtime_ns=t.mtime_ns, size=t.size,
        rdev=os.makedev(*t.rdev), digest=digest(t.content) if t.type == "-" else None,
        target=t.content if t.type == "l" else None, xattrs=tuple(sorted(t.xattrs.items())), link=t.link,
    )  # fmt: skip


def overlay(
    path: Path,
    cache: Path,
    upper: Tree,
    size: int = 64 * MIB,
    work: Tree = MappingProxyType({}),
    base: bytes = BASE,
) -> Path:
    """One whose machine wrote that; `work` is what overlayfs keeps."""
    make(template(cache, size), path, base=base, seed=b"s\n", allocation=Allocation.SPARSE)
    with contextlib.ExitStack() as held:
        contents = held.enter_context(tempfile.TemporaryFile())
        with open_volume(path) as volume:
            tops = {name: volume.lookup(name).inode for name in (b"upper", b"work")}
        put = [*creations(whole(upper), tops[b"upper"], b"upper", contents)]
        put += creations(whole(work), tops[b"work"], b"work", contents)
        contents.flush()
        edit.edited(path, put, contents.fileno(), Operation())
    edit.settled(path)
    return path


def creations(tree: Tree, top: int, name: bytes, contents: Any) -> Iterator[Edit]:
    for path, t in tree.items():
        if not path:
            xattrs = tuple((key, stretch(contents, value)) for key, value in t.xattrs.items())
            yield Alteration(inode=top, mode=stat.S_IFDIR | t.mode, uid=t.uid, gid=t.gid, xattrs=xattrs)
        else:
            folder, _, last = path.rpartition(b"/")
            yield Creation(
                folder=top, below=tuple(folder.split(b"/")) if folder else (), name=last,
                path=name + b"/" + path, mode=TYPES[t.type] | t.mode, uid=t.uid, gid=t.gid,
                mtime_ns=t.mtime_ns, content=stretch(contents, t.content) if t.type == "-" else None,
                target=t.content if t.type == "l" else None, rdev=t.rdev,
                xattrs=tuple((key, stretch(contents, value)) for key, value in t.xattrs.items()),
            )  # fmt: skip


def stretch(contents: Any, value: bytes) -> Stretch:
    start = contents.tell()
    contents.write(value)
    return Stretch(start, len(value))


def read(path: Path, top: bytes = b"upper") -> dict[bytes, Thing]:
    with open_volume(path) as volume:
        return {place: thing(volume, node) for place, node in volume.walk(top)}


def thing(volume: Volume, node: Node) -> Thing:
    content = b""
    if node.type == "-":
        content = b"".join(volume.read(node))
    elif node.type == "l":
        content = volume.target(node)
    return Thing(
        node.type, content, node.mode, node.uid, node.gid, volume.xattrs(node), node.rdev, node.mtime_ns
    )


@dataclass
class Rebase:
    """One, by everything that a real one goes through. Without `direct` its processes are confined; with it
    they are none, which is what a test has time for that does many."""

    folder: Path
    direct: pytest.MonkeyPatch | None = None
    policy: Policy = field(default_factory=Policy)
    systems: tuple[System, System] = (PLAIN, PLAIN)
    files: tuple[Listed, Listed] = field(default_factory=lambda: ({}, {}))

    def of(self, disk: Path, old: Tree, new: Tree) -> tuple[dict[bytes, Thing], list[Any]]:
        """What its upper directory has afterwards, and what was told."""
        target = self.folder / "new.img"
        target.unlink(missing_ok=True)
        with contextlib.ExitStack() as held:
            trees = whole(old), whole(new)
            every = zip(trees, self.systems, self.files, strict=True)
            sides = [self._files(held, *side) for side in every]
            models = {files.image: Model(tree) for files, tree in zip(sides, trees, strict=True)}
            told = self._built(held, disk, target, sides, models)
        return read(target), told

    def _files(self, held: contextlib.ExitStack, tree: Tree, system: System, listed: Listed) -> Files:
        lines, table, record, content = (held.enter_context(_file()) for _ in "1234")
        place = self.folder / "index"
        index.write_index((entry(path, t) for path, t in tree.items()), place)
        lookup.unpack(place, lines, table)
        record.write(to_text(system, listed))
        for file in (lines, table, record):
            file.flush()
        return Files(
            index=lines.fileno(), table=table.fileno(), system=record.fileno(), image=content.fileno()
        )

    def _built(
        self,
        held: contextlib.ExitStack,
        disk: Path,
        target: Path,
        sides: Sequence[Files],
        models: Mapping[int, Model],
    ) -> list[Any]:
        assert self.direct is not None
        self.direct.setattr(image, "opened", lambda descriptor: models[descriptor])
        with disk.open("rb", buffering=0) as source, target.open("xb", buffering=0) as copy:
            os.truncate(copy.fileno(), disk.stat().st_size)
            copy_data(source.fileno(), copy.fileno(), Operation())
        edit.prepared(target)
        scratch = held.enter_context(doing._scratch(self.folder))
        twins = ordering.Scratch(**{name: os.dup(getattr(scratch, name)) for name in scratch.__slots__})
        with target.open("rb") as device:
            words = [each.word for each in sides]
            _, _, *told = ordering._told(
                device.fileno(), words, self.policy, twins, "f00", ("sha256:new",), NOW
            )
        if len(told) < 3:
            return told
        size = os.fstat(scratch.contents).st_size
        with doing._reading(scratch.removals) as removals, doing._reading(scratch.changes) as changes:
            edits = [*decoded(removals, size), *decoded(changes, size)]
        edit.edited(target, edits, scratch.contents, Operation())
        edit.settled(target, index=told[2][1])
        with open_volume(target) as volume:
            list(comparing.compared(volume, os.dup(scratch.lines)))
        return told


def without_confinement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the time, for what no stranger wrote."""
    monkeypatch.setattr(e2fsprogs, "confined", _not_confined)


def _not_confined(
    argv: list[str],
    *,
    owned: Sequence[int],
    ok: Sequence[int] = (0,),
    folder: Path | None = None,
    **_: object,
) -> run.Ended:
    return run.run(argv, cwd=folder, pass_fds=owned, ok=ok)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rebased(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Rebased:
    """The upper directory afterwards, without what tells the first start what to do, and the next rebase."""
    without_confinement(monkeypatch)

    def done(upper: Tree, old: Tree, new: Tree, work: Tree | None = None, **more: Any) -> dict[bytes, Thing]:
        (tmp_path / "old.img").unlink(missing_ok=True)
        disk = overlay(tmp_path / "old.img", cache, upper, work=work or {}, size=more.pop("size", 64 * MIB))
        for link in more.pop("links", ()):
            _link(disk, link)
        before = disk.read_bytes()
        after, told = Rebase(tmp_path, monkeypatch, **more).of(disk, old, new)
        assert len(told) == 3, told
        assert disk.read_bytes() == before
        return {path: t for path, t in after.items() if not is_told(path) or path in (b"", MOVES)}

    return done


def is_told(path: bytes) -> bool:
    """Whether it is what a rebase itself leaves in a machine, or a folder of that."""
    return path in (REMEMBERED, MOVES) or TASKS.startswith(path)


def _link(disk: Path, path: str) -> None:
    """Another name of /usr/a."""
    run.run(["debugfs", "-w", "-R", f"ln upper/usr/a {path}", disk])
    run.run(["e2fsck", "-fy", disk], ok=(0, 1))


def shown(after: Tree) -> dict[bytes, Thing]:
    """Without folders."""
    return {path: t for path, t in after.items() if t.type != "d"}
