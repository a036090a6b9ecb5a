"""Altering a private copy of a disk that a guest wrote to, name by name, without mounting it.

debugfs does it, of the e2fsprogs that everything here needs anyway: no root, no kernel that parses what a
guest wrote, and all that is not named stays byte for byte what it was. It runs confined, and its exit code
says nothing: so nothing is believed before the disk was checked and read again (see settled; who edits also
compares).
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from skinnybox.errors import CommandFailed, Corrupt, TimedOut, Unsupported
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays.contents import put
from skinnybox.overlays.e2fsprogs import on_disk
from skinnybox.overlays.edits import Alteration, Creation, Edit, Holed, Link, Removal, Stretch
from skinnybox.overlays.grow import damaged

_CPU_SECONDS = 600
_LINE = 8000
"""Bytes: debugfs reads lines of 8192."""
_BATCH, _CONTENT = 1 << 20, 256 << 20
"""Bytes of requests, and of contents, of one run: it says each of them again, and we hear that."""
_MOST_ALONE = 500
_ALONE = ".skinnybox-edit"
_SECOND = 1_000_000_000
_MOST_MINOR = 0xFFFF
_EXTENTS, _IN_INODE = 0x80000, 60
"""A flag; and so many bytes of a symlink's target need no block."""


def prepared(disk: Path) -> None:
    """Make a private copy clean, its journal replayed, and know that nothing on it contradicts itself: who
    allocates blocks believes what says which are free. Raises Corrupt."""
    with _lent(disk) as descriptor:
        _checked(descriptor, ["-fp"], (0, 1))


def edited(
    disk: Path, edits: Iterable[Edit], contents: int, operation: Operation, task: str = "rebase"
) -> int:
    """Do them in their order; how many. `disk` is prepared, and nobody else's; `contents` an open file. The
    disk is of no use until `settled` said so. Raises Cancelled between two runs; Unsupported for too many
    names that hold a line's end: each takes a run of its own."""
    with (
        _lent(disk) as descriptor,
        tempfile.TemporaryDirectory(dir=disk.parent, prefix=".settle-") as folder,
    ):
        batch = _Batch(descriptor, Path(folder), contents)
        count = 0
        for count, each in enumerate(edits, start=1):
            batch.add(each)
            if batch.is_full:
                operation.step(task=task, done=count, unit="changes")
                batch.run()
        batch.run()
    return count


def settled(disk: Path, *, index: bool = False) -> None:
    """Mend what debugfs is known to leave: attribute blocks of what was removed, and, with `index`, the index
    of large directories that got a name. Raises Corrupt when there is anything afterwards."""
    how = ["-fyD" if index else "-fy", "-E", "no_optimize_extents"]
    with _lent(disk) as descriptor:
        if _checked(descriptor, how, (0, 1)):
            _checked(descriptor, ["-fn"], (0,))


@contextlib.contextmanager
def _lent(disk: Path) -> Iterator[int]:
    """To confined programs, which own it as somebody else; it is ours again whatever happens."""
    with disk.open("r+b", buffering=0) as file:
        try:
            yield file.fileno()
        finally:
            os.fchown(file.fileno(), os.geteuid(), os.getegid())


def _checked(descriptor: int, how: list[str], ok: tuple[int, ...]) -> int:
    try:
        return on_disk(descriptor, "e2fsck", *how, cpu_seconds=_CPU_SECONDS, ok=ok).returncode
    except (CommandFailed, TimedOut) as error:
        raise damaged(DiskKind.OVERLAY, error.message) from error


class _Batch:
    """Requests for one run of debugfs, with the files that they name."""

    def __init__(self, disk: int, folder: Path, contents: int) -> None:
        self._disk = disk
        self._folder = folder
        self._contents = contents
        self._lines: list[bytes] = []
        self._files: list[Path] = []
        self._bytes = self._content = self._alone = 0

    @property
    def is_full(self) -> bool:
        return self._bytes > _BATCH or self._content > _CONTENT

    def add(self, edit: Edit) -> None:
        if isinstance(edit, Removal):
            self._remove(edit)
        elif isinstance(edit, Alteration):
            self._alter(edit)
        elif isinstance(edit, Link):
            self._link(edit)
        else:
            self._create(edit)

    def run(self) -> None:
        """Those that were added; afterwards there are none."""
        if self._lines:
            orders = self._folder / "orders"
            orders.write_bytes(b"".join(line + b"\n" for line in self._lines))
            orders.chmod(0o644)
            self._debugfs("-f", orders.name)
        for path in self._files:
            path.unlink()
        self._lines, self._files, self._bytes, self._content = [], [], 0, 0

    def _remove(self, edit: Removal) -> None:
        word = b"rmdir" if edit.is_folder else b"rm"
        if _is_plain(edit.name):
            self._say(b"cd <%d>" % edit.folder)
            self._say(b"%s %s" % (word, _here(edit.name)))
        else:
            self._count_alone()
            self._say(b"%s %s" % (word, _quoted(b"/" + edit.path)))

    def _alter(self, edit: Alteration) -> None:
        place = b"<%d>" % edit.inode
        self._fields(place, edit.mode, edit.uid, edit.gid)
        if edit.mtime_ns is not None:
            self._time(place, edit.mtime_ns)
        if edit.flags:
            self._say(b"sif %s flags %d" % (place, _EXTENTS | edit.flags))
        for name in edit.without:
            self._say(b"ea_rm %s %s" % (place, _quoted(_raw(name))))
        self._set(place, edit)

    def _create(self, edit: Creation) -> None:
        if all(map(_is_plain, (*edit.below, edit.name, edit.target or b""))):
            self._enter(edit)
            self._make(edit, edit.name)
            return
        self._count_alone()
        if stat.S_ISDIR(edit.mode):
            self._say(b"mkdir %s" % _quoted(b"/" + edit.path))
            self._told(edit, _quoted(b"/" + edit.path))
            return
        # A request that holds a line's end is alone in its run, which starts in the root: made there under
        # another name, it gets its own by one.
        other = f"{_ALONE}-{self._alone}".encode()
        self._say(b"cd /")
        self._make(edit, other)
        self._name_alone(b"/" + other, b"/" + edit.path)
        self._say(b"unlink /%s" % other)

    def _link(self, edit: Link) -> None:
        """`ln` fails where the folder's blocks are full; what makes an inode takes another block. So what had
        the name before makes room for it."""
        if not all(map(_is_plain, (*edit.below, edit.name, edit.of))):
            self._count_alone()
            self._name_alone(b"/" + edit.of, b"/" + edit.path)
            return
        self._enter(edit)
        self._say(b"mknod %s p" % _quoted(edit.name))
        self._say(b"rm %s" % _here(edit.name))
        self._say(b"ln %s %s" % (_quoted(b"/" + edit.of), _quoted(edit.name)))

    def _name_alone(self, of: bytes, path: bytes) -> None:
        for word in (b"mkdir", b"rmdir"):
            self._say(b"%s %s" % (word, _quoted(path)))
        self._say(b"ln %s %s" % (_quoted(of), _quoted(path)))

    def _enter(self, edit: Creation | Link) -> None:
        self._say(b"cd <%d>" % edit.folder)
        for name in edit.below:
            self._say(b"cd %s" % _here(name))

    def _count_alone(self) -> None:
        self._alone += 1
        if self._alone > _MOST_ALONE:
            raise Unsupported(
                f"more than {_MOST_ALONE} names with the end of a line in them are to be changed",
                hint="no program makes such names: remove them in the machine",
            )

    def _make(self, edit: Creation, name: bytes) -> None:
        """In the folder that debugfs is in. Its name is none of an inode's number there: see _here."""
        kind = stat.S_IFMT(edit.mode)
        if kind == stat.S_IFREG:
            self._say(b"write %s %s" % (self._file(edit.content or Stretch(0, 0)), _quoted(name)))
        elif kind == stat.S_IFDIR:
            self._say(b"mkdir %s" % _quoted(name))
        elif kind == stat.S_IFLNK:
            self._say(b"symlink %s %s" % (_quoted(name), _quoted(edit.target or b"")))
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            self._device(b"c" if kind == stat.S_IFCHR else b"b", *edit.rdev, name)
        else:
            self._say(b"mknod %s p" % _quoted(name))
        self._told(edit, _here(name))

    def _device(self, letter: bytes, major: int, minor: int, name: bytes) -> None:
        """debugfs takes no number above 65,535, and a kernel has minor ones of 20 bits: those are written to
        where the kernel has them."""
        large = minor > _MOST_MINOR
        self._say(b"mknod %s %s %d %d" % (_quoted(name), letter, major, _MOST_MINOR if large else minor))
        if large:
            number = minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
            self._say(b"sif %s block[1] %d" % (_here(name), number))

    def _told(self, edit: Creation, place: bytes) -> None:
        self._fields(place, edit.mode, edit.uid, edit.gid)
        self._time(place, edit.mtime_ns)
        if edit.flags:
            self._say(b"sif %s flags %d" % (place, _stored(edit) | edit.flags))
        self._set(place, edit)

    def _time(self, place: bytes, mtime_ns: int) -> None:
        seconds, rest = divmod(mtime_ns, _SECOND)
        self._say(b"sif %s mtime @%d" % (place, seconds & 0xFFFFFFFF))
        self._say(b"sif %s mtime_extra %d" % (place, rest << 2 | _epoch(seconds)))

    def _fields(self, place: bytes, mode: int | None, uid: int | None, gid: int | None) -> None:
        if mode is not None:
            self._say(b"sif %s mode 0%o" % (place, mode))
        if uid is not None:
            self._say(b"sif %s uid %d" % (place, uid))
        if gid is not None:
            self._say(b"sif %s gid %d" % (place, gid))

    def _set(self, place: bytes, edit: Alteration | Creation) -> None:
        for name, value in edit.xattrs:
            self._say(b"ea_set -f %s %s %s" % (self._file(value), place, _quoted(_raw(name))))

    def _file(self, content: Stretch | Holed) -> bytes:
        """One with that content, in the folder where debugfs runs."""
        path = self._folder / f"c{len(self._files)}"
        self._files.append(path)
        self._content += put(self._contents, content, path)
        return path.name.encode()

    def _say(self, request: bytes) -> None:
        if b"\n" not in request and len(request) <= _LINE:
            self._lines.append(request)
            self._bytes += len(request) + 1
            return
        # What it names was made by those before it.
        files, self._files = self._files, []
        self.run()
        self._files = files
        self._debugfs("-R", os.fsdecode(request))

    def _debugfs(self, *words: str) -> None:
        """What it says of what failed is as good as nothing: the disk is compared."""
        try:
            on_disk(self._disk, "debugfs", "-w", *words, cpu_seconds=_CPU_SECONDS, folder=self._folder)
        except (CommandFailed, TimedOut) as error:
            raise Corrupt(f"the overlay could not be altered: {error.message}") from error


def _stored(edit: Creation) -> int:
    """What such an inode has of flags that say how it is stored."""
    has_blocks = stat.S_IFMT(edit.mode) in (stat.S_IFREG, stat.S_IFDIR)
    return _EXTENTS if has_blocks or len(edit.target or b"") >= _IN_INODE else 0


def _is_plain(word: bytes) -> bool:
    """Whether a request with it can be one line: a name is short, a symlink's target need not be."""
    return b"\n" not in word and len(_quoted(word)) < _LINE - 600


def _here(name: bytes) -> bytes:
    """Else a file that is called `<12>` would be inode 12."""
    return _quoted(b"./" + name)


def _quoted(text: bytes) -> bytes:
    return b'"%s"' % text.replace(b'"', b'""')


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _epoch(seconds: int) -> int:
    """How often 32 bits, which count from 1901 on, are full: two bits more of an inode."""
    signed = (seconds & 0xFFFFFFFF) - ((seconds & 0x80000000) << 1)
    return seconds - signed >> 32 & 3
