"""The part of a host that is a folder on this machine: disks, and the records beside them (layout.py has what
lies where). A record is written last: what has none is not an instance."""

import contextlib
import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from skinnybox import named_file, private
from skinnybox.durable import sync
from skinnybox.errors import Corrupt, NotFound, of_system
from skinnybox.hosts.base import Contents
from skinnybox.hosts.local import shared
from skinnybox.hosts.record import from_record, to_text
from skinnybox.model import Allocation, DataDisk, DiskKind, Instance, Master, Overlay, Space
from skinnybox.overlays import lock

if TYPE_CHECKING:
    from skinnybox.overlays.template import Template

RECORD = "instance.json"
FILES = {DiskKind.OVERLAY: "overlay.img", DiskKind.DATA: "data.img"}
RECORD_LIMIT = 64 << 20


class Store:
    """The disks and records of one state folder. Safe for several threads and processes."""

    def __init__(self, state: Path) -> None:
        self.instances = state / "instances"
        self._state = state
        self._templates: dict[tuple[DiskKind, int, int], Template] = {}
        self._lock = threading.Lock()

    def folder(self, uuid: UUID) -> Path:
        return self.instances / str(uuid)

    def overlay(self, uuid: UUID) -> Path:
        return self.disk(uuid, DiskKind.OVERLAY)

    def disk(self, uuid: UUID, kind: DiskKind) -> Path:
        return self.folder(uuid) / FILES[kind]

    def create(self, instance: Instance, contents: Contents, allocation: Allocation, kind: DiskKind) -> None:
        """A fresh disk. Conflict when there is one; NoSpace with nothing left behind."""
        folder = self.folder(instance.uuid)
        try:
            private.make_folder(folder)
        except OSError as error:
            raise of_system(error) from error
        try:
            self._make(folder / FILES[kind], instance, contents, allocation, kind)
        except BaseException:
            with contextlib.suppress(OSError):  # only an empty folder goes
                folder.rmdir()
            raise

    def replace(self, instance: Instance, contents: Contents, allocation: Allocation) -> None:
        """A new overlay beside the old, then renamed. The old one's lock keeps everybody else out meanwhile.

        What earlier calls left when they were killed is removed first.
        """
        target = self.overlay(instance.uuid)
        with lock.exclusive(target):
            sweep(target.parent)
            beside = target.with_name(f".{os.urandom(8).hex()}.new")
            try:
                self._make(beside, instance, contents, allocation, DiskKind.OVERLAY)
                sync(beside)
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
            sync(target.parent)

    def _make(
        self, path: Path, instance: Instance, contents: Contents, allocation: Allocation, kind: DiskKind
    ) -> None:
        if instance.encrypt and kind is DiskKind.OVERLAY:
            from skinnybox.overlays.encryption import put_blank

            return put_blank(path, instance.overlay.size, allocation)
        from skinnybox.overlays.make import make
        from skinnybox.overlays.seed import seed_capacity

        capacity = seed_capacity(contents.seed) if contents.seed else 0
        make(
            self._template(kind, instance.disks[kind].size, capacity), path,
            base=contents.base, seed=contents.seed, identity=contents.identity, allocation=allocation,
        )  # fmt: skip

    def _template(self, kind: DiskKind, size: int, capacity: int) -> "Template":
        from skinnybox.overlays.template import template

        with self._lock:
            if (kind, size, capacity) not in self._templates:
                folder = self._state / "templates"
                self._templates[kind, size, capacity] = template(folder, size, capacity, kind)
            return self._templates[kind, size, capacity]

    @contextlib.contextmanager
    def open(self, instance: Instance, kind: DiskKind = DiskKind.OVERLAY) -> Iterator[Path]:
        path = self.disk(instance.uuid, kind)
        with lock.exclusive(path):
            yield path

    @contextlib.contextmanager
    def held(self, instance: Instance) -> Iterator[None]:
        """Like `open`, of all its disks, and well also where there is none (any more). The overlay comes
        first, as with everybody who takes several."""
        with contextlib.ExitStack() as held:
            for kind in DiskKind:
                with contextlib.suppress(NotFound):
                    held.enter_context(self.open(instance, kind))
            yield

    def delete(self, instance: Instance) -> None:
        """Idempotent; for who holds its disks. The record first; what a kill left half made goes too."""
        import shutil

        folder = self.folder(instance.uuid)
        if not folder.is_dir():
            return
        with translated(), contextlib.suppress(FileNotFoundError):
            (folder / RECORD).unlink(missing_ok=True)
            for kind in DiskKind:
                self.disk(instance.uuid, kind).unlink(missing_ok=True)
            sweep(folder)
            shutil.rmtree(folder / shared.SNAPSHOTS)
        _remove_empty(folder)

    def written(self, instances: Iterable[Instance], kind: DiskKind = DiskKind.OVERLAY) -> Mapping[UUID, int]:
        found = {}
        for instance in instances:
            with contextlib.suppress(OSError):
                found[instance.uuid] = self.disk(instance.uuid, kind).stat().st_blocks * 512
        return found

    def define(self, instance: Instance) -> None:
        record, text = self.folder(instance.uuid) / RECORD, to_text(instance).encode()
        try:
            if not private.put_whole(record, text):  # the first replaces none, which is half the work
                write_atomically(record, text)
        except FileNotFoundError:  # it has no overlay either
            with translated():
                private.make_folder(record.parent)
                write_atomically(record, text)
        except OSError as error:
            raise of_system(error) from error

    def records(self) -> Iterator[Instance]:
        """Every whole record; Corrupt, naming the file, for one that is not."""
        for path in sorted(self.instances.glob("*/instance.json")):
            try:
                yield from_record(json.loads(named_file.content(path, RECORD_LIMIT)))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError, Corrupt) as error:
                raise Corrupt(f"{path}: {error}") from error

    def space(self, instances: Iterable[Instance], masters: Iterable[Master]) -> Space:
        known = list(instances)
        disks = list(self._disks(known))
        disk = os.statvfs(existing(self._state))
        return Space(
            total=disk.f_blocks * disk.f_frsize,
            free=disk.f_bavail * disk.f_frsize,
            masters=sum(self._master_size(master) for master in masters),
            promised=sum(of.size for _, of, _ in disks),
            written=sum(self._filled(file, of.size, taken) for file, of, taken in disks if taken),
            allocated=sum(taken for _, _, taken in disks),
            owed=sum(max(0, of.size - taken) for _, of, taken in disks),
            instances=len(known),
            snapshots=sum(self._snapshots_size(instance.uuid) for instance in known),
            layers=self._blocks("layers/[0-9a-f]*/*"),
        )

    def _disks(self, instances: Iterable[Instance]) -> "Iterator[tuple[Path, Overlay | DataDisk, int]]":
        """Each that they are to have, and what its file takes: nothing, when it is not there."""
        for instance in instances:
            for kind, of in instance.disks.items():
                file, taken = self.disk(instance.uuid, kind), 0
                with contextlib.suppress(OSError):
                    taken = file.stat().st_blocks * 512
                yield file, of, taken

    def _filled(self, file: Path, size: int, taken: int) -> int:
        """What was ever written of a disk that takes so much. Blocks that are reserved and were never
        written count as holes to SEEK_DATA, also while what was written is in memory only; FIEMAP calls those
        unwritten still. Where less is taken than was promised, nothing was reserved, and nothing need be
        looked at: that is what makes thousands of sparse ones cheap."""
        if taken < size:
            return taken
        from skinnybox.overlays.space import data_ranges

        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # deleted meanwhile
            return 0
        try:
            return min(taken, sum(end - start for start, end in data_ranges(descriptor)))
        finally:
            os.close(descriptor)

    def _snapshots_size(self, uuid: UUID) -> int:
        with contextlib.suppress(OSError):
            entries = list(os.scandir(self.folder(uuid) / shared.SNAPSHOTS))
            return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries)
        return 0

    def _master_size(self, master: Master) -> int:
        found = self._blocks(f"masters/{master.id.removeprefix('sha256:')}/*")
        return found or sum(image.size for image in master.images)

    def _blocks(self, pattern: str) -> int:
        return sum(path.stat().st_blocks * 512 for path in self._state.glob(pattern))


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there already."""
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def write_atomically(path: Path, data: bytes) -> None:
    """Whoever reads sees the old bytes or the new, whole; not synced to disk. Clears away what a killed
    writer of the same file left: a lock on it tells the living from the dead."""
    for left in path.parent.glob(f".{path.name}.*.new"):
        _remove_dead(left)
    while not _put(path, data):
        pass  # another writer swept ours before it was locked


def _put(path: Path, data: bytes) -> bool:
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    try:
        with private.create(beside) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            beside.replace(path)
        return True
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
        return False
    finally:
        beside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what lies half made in it; only for whoever keeps everybody else out."""
    shared.drop(folder / FILES[DiskKind.OVERLAY], folder / shared.SNAPSHOTS)
    for left in (*folder.glob(".*.new"), *folder.glob(".settle-*")):
        if left.is_dir() and not left.is_symlink():
            import shutil

            shutil.rmtree(left, ignore_errors=True)
            continue
        left.unlink(missing_ok=True)


def _remove_dead(left: Path) -> None:
    with contextlib.suppress(FileNotFoundError, BlockingIOError), left.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    """What has something in it stays: an overlay that is to go next, or what is not ours."""
    with translated():
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What the system refuses in the block, as errors of ours."""
    try:
        yield
    except OSError as error:
        raise of_system(error) from error
