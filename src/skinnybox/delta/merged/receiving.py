"""What a machine that is off sees at a path, read by a confined process and checked here, frame by frame."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from skinnybox.delta.merged import frames
from skinnybox.delta.merged.frames import Entry
from skinnybox.delta.settled import NO_ANSWER, Unsettled
from skinnybox.errors import Corrupt
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import stream

ENGINES = (
    "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/incus", "/var/lib/kubelet",
    "/var/lib/lxc", "/var/lib/lxd", "/var/lib/rancher",
)  # fmt: skip
"""Folders that the guest part binds over the root where it finds them (guest/lib/direct.sh)."""
_PER_SECOND = 2 << 20
"""Bytes of what is packed: to unpack them is Python's work."""
_LARGEST = 1 << 63
_MOST_PATH = 4096


class OnTheDataDisk(Exception):
    """Some of it may lie there, and that was not handed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """Files of one machine: `images` are those of its stack, the topmost first; `data` is None until somebody
    asks for it. `folders` are those of its data disk, where it has one."""

    overlay: Path
    images: Sequence[Path]
    data: Path | None = None
    folders: Sequence[str] = ()


@contextmanager
def told(disks: Disks, path: bytes, *, recursive: bool) -> Iterator["Frames | None"]:
    """What is at this path, where the links on its way lead; None for nothing there. Left early, the reader
    is stopped. Raises OnTheDataDisk; Unsettled for a disk whose journal is to be replayed first; Corrupt,
    also for one made to hurt; Unsupported."""
    if b"\0" in path or len(path) > _MOST_PATH:
        yield None
        return
    with _reader(disks, path, recursive=recursive) as pieces:
        found = Frames(pieces)
        first = found.begin()
        if first == frames.UNSETTLED:
            raise Unsettled(disks.overlay)
        if first == frames.DATA_DISK:
            raise OnTheDataDisk
        yield None if first == frames.NOTHING else found


@contextmanager
def _reader(disks: Disks, path: bytes, *, recursive: bool) -> Iterator[Iterator[bytes]]:
    with ExitStack() as held:
        overlay = held.enter_context(opened(disks.overlay))
        data = None if disks.data is None else held.enter_context(opened(disks.data))
        images = [held.enter_context(opened(image)) for image in disks.images]
        handed = [overlay, *images, *([] if data is None else [data])]
        size = sum(os.fstat(descriptor).st_size for descriptor in handed)
        words = [
            str(overlay), "-" if data is None else str(data), ",".join(map(str, images)),
            _hex(disks.folders), _hex(ENGINES), path.hex(), "all" if recursive else "one",
        ]  # fmt: skip
        bounds = Bounds(memory=512 << 20, cpu_seconds=300 + size // _PER_SECOND, output=1 << 44)
        module = "skinnybox.delta.merged.sending"
        subject = str(disks.overlay)
        yield held.enter_context(stream(module, words, subject=subject, bounds=bounds, pass_fds=handed))


def _hex(folders: Sequence[str]) -> str:
    return ",".join(os.fsencode(folder.strip("/")).hex() for folder in folders) or "-"


class Frames:
    """Read from the first to the last. Every method raises Corrupt for what is no answer."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._came = pieces, bytearray()
        self._at = 0
        self.deep = 0
        """Files and folders that have begun and not ended."""
        self.top = Entry(name=b"", mode=0, size=0)

    def begin(self) -> bytes:
        """The kind of the first; `top` is the entry."""
        kind = self._take(1)
        if kind == frames.ENTRY:
            self.top = self._entry()
        elif kind not in (frames.NOTHING, frames.UNSETTLED, frames.DATA_DISK):
            raise Corrupt(NO_ANSWER)
        return kind

    def below(self) -> Iterator[Entry]:
        """Of the folder that has begun last: what is in it, one after another. What nobody looks into is
        passed over."""
        level = self.deep
        while True:
            while self.deep > level:
                self.pass_over()
            kind = self._take(1)
            if kind == frames.END:
                self.deep -= 1
                return
            if kind != frames.ENTRY:
                raise Corrupt(NO_ANSWER)
            found = self._entry()
            if not found.name:
                raise Corrupt(NO_ANSWER)
            yield found

    def content(self, entry: Entry) -> Iterator[bytes | int]:
        """Of the file that has begun last: what is written, in pieces, and how many bytes of a hole come
        next; never more than the entry has announced."""
        stored, size = entry.stored, entry.size
        while (kind := self._take(1)) != frames.END:
            if kind == frames.DATA:
                piece = self._take(self._length())
                stored, size = stored - len(piece), size - len(piece)
                found: bytes | int = piece
            elif kind == frames.HOLE:
                found = self._size()
                size -= found
            else:
                raise Corrupt(NO_ANSWER)
            if stored < 0 or size < 0:
                raise Corrupt(NO_ANSWER)
            yield found
        self.deep -= 1

    def pass_over(self) -> None:
        kind = self._take(1)
        if kind == frames.ENTRY:
            self._entry()
        elif kind == frames.DATA:
            self._take(self._length())
        elif kind == frames.HOLE:
            self._size()
        elif kind == frames.END:
            self.deep -= 1
        else:
            raise Corrupt(NO_ANSWER)

    def _entry(self) -> Entry:
        mode, size, stored, name, target = frames.HEAD.unpack(self._take(frames.HEAD.size))
        if name > frames.MOST_NAME or target > frames.MOST_TARGET or max(size, stored) >= _LARGEST:
            raise Corrupt(NO_ANSWER)
        found = Entry(
            name=self._take(name), mode=mode, size=size, stored=min(stored, size), target=self._take(target)
        )
        if b"/" in found.name or b"\0" in found.name + found.target or found.name in (b".", b".."):
            raise Corrupt(NO_ANSWER)
        if stat.S_ISLNK(mode) != bool(target):
            raise Corrupt(NO_ANSWER)
        self.deep += stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        return found

    def _length(self) -> int:
        found: int = frames.LENGTH.unpack(self._take(frames.LENGTH.size))[0]
        if not 0 < found <= frames.MOST_DATA:
            raise Corrupt(NO_ANSWER)
        return found

    def _size(self) -> int:
        found: int = frames.SIZE.unpack(self._take(frames.SIZE.size))[0]
        if not 0 < found < _LARGEST:
            raise Corrupt(NO_ANSWER)
        return found

    def _take(self, length: int) -> bytes:
        while len(self._came) - self._at < length:
            piece = next(self._pieces, None)
            if piece is None:
                raise Corrupt(NO_ANSWER)
            if self._at:
                del self._came[: self._at]
                self._at = 0
            self._came += piece
        self._at += length
        return bytes(self._came[self._at - length : self._at])
