"""Files of a machine that is off, as it would see them: read from its disks and its master, and nothing is
started or written."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skinnybox.delta.merged.frames import Entry
from skinnybox.delta.merged.receiving import Disks, Frames, OnTheDataDisk, told
from skinnybox.delta.settled import Unsettled
from skinnybox.errors import UsageError
from skinnybox.fleet import encrypted, stack_files, thrown
from skinnybox.fleet.context import Context
from skinnybox.fleet.sftp.packets import Attributes
from skinnybox.fleet.view import MachineView
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed, replayed_copy


@contextmanager
def opened(
    context: Context, machine: MachineView, operation: Operation, *, recursive: bool
) -> "Iterator[Off]":
    """While its disks are held, so that it cannot be started. Conflict where somebody else has them;
    Unsupported for what is not on its disk, or cannot be read there."""
    instance = machine.instance
    thrown.refuse_in_memory(instance, "cp")
    encrypted.refuse_reading(instance, "cp")
    with ExitStack() as held:
        images = held.enter_context(stack_files.all_images(context, instance))
        overlay = held.enter_context(context.host.open_overlay(instance, operation))
        folders = instance.data.folders if instance.data is not None else ()
        disks = Disks(overlay=overlay, images=images, folders=folders)
        yield Off(context, instance, disks, held, operation, recursive=recursive)


class Off:
    """A Source, as sftp/fetch.py asks it: each path in turn, from what one reader says. Raises Corrupt, also
    for a disk made to hurt; Unsupported."""

    def __init__(
        self,
        context: Context,
        instance: Instance,
        disks: Disks,
        held: ExitStack,
        operation: Operation,
        *,
        recursive: bool,
    ) -> None:
        self._context, self._instance, self._disks = context, instance, disks
        self._held, self._operation, self._recursive = held, operation, recursive
        self._reader = held.enter_context(ExitStack())
        self._frames: Frames | None = None
        self._last = Entry(name=b"", mode=0, size=0)

    def look(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """Where its links lead in the machine. UsageError for a path that is not from the root on."""
        if not path.startswith(b"/"):
            raise UsageError(
                f"{self._instance.name} is off, and nobody is at home there",
                hint=f"an absolute path: {self._instance.name}:/etc/hostname, say; or start it",
            )
        self._reader.close()
        self._frames = self._begun(path)
        if self._frames is None:
            return None
        self._last = self._frames.top
        return _attributes(self._last)

    def names(self, path: bytes) -> Iterator[tuple[bytes, Attributes]]:
        assert self._frames is not None
        for entry in self._frames.below():
            self._last = entry
            yield entry.name, _attributes(entry)

    def target(self, path: bytes) -> bytes:
        return self._last.target

    def read(self, path: bytes, most: int, *, ahead: bool = True) -> Iterator[bytes | int]:
        assert self._frames is not None
        return self._frames.content(self._last)

    def _begun(self, path: bytes) -> Frames | None:
        """Asked again with what turns out to be needed."""
        for _ in range(2):
            try:
                return self._reader.enter_context(told(self._disks, path, recursive=self._recursive))
            except Unsettled:
                self._disks = self._with(overlay=self._held.enter_context(replayed_copy(self._disks.overlay)))
            except OnTheDataDisk:
                self._disks = self._with(data=self._data())
        return self._reader.enter_context(told(self._disks, path, recursive=self._recursive))

    def _with(self, *, overlay: Path | None = None, data: Path | None = None) -> Disks:
        disks = self._disks
        return Disks(
            overlay=overlay or disks.overlay,
            images=disks.images,
            data=data or disks.data,
            folders=disks.folders,
        )

    def _data(self) -> Path:
        host, held = self._context.host, self._held
        disk = held.enter_context(host.open_overlay(self._instance, self._operation, DiskKind.DATA))
        return held.enter_context(replayed(disk))


def _attributes(entry: Entry) -> Attributes:
    return Attributes(size=entry.size, mode=entry.mode, stored=entry.stored)
