"""What is the same of all hosts that keep disks and records in a folder of this machine: all but what runs.
What only some of it needs is imported there."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from skinnybox.errors import Conflict, NotFound
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.local.store import Store, translated
from skinnybox.hosts.local.trouble import of_place
from skinnybox.model import (
    INITRD_FILE,
    KERNEL_FILE,
    Allocation,
    Consistency,
    DiskKind,
    Instance,
    Layer,
    Master,
    Snapshot,
    Space,
    Trouble,
)
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from skinnybox.hosts.building import Buildings
    from skinnybox.hosts.events import EventKind
    from skinnybox.hosts.holding import Holding
    from skinnybox.issues import Finding


class LocalHost(Host):
    """Who inherits it knows what runs, and how a running machine's overlay is copied. Everything is here
    already, so no transfer says how far it is; copies can be cancelled."""

    def __init__(self, state: Path) -> None:
        self._state, self._store = state, Store(state)
        self._runs = state / "run"  # what a run of a machine leaves, in a folder for each

    @abstractmethod
    def _require_stopped(self, instance: Instance) -> None:
        """Conflict while it runs; else its overlay is what its last run left when this returns."""

    @abstractmethod
    def _is_running(self, instance: Instance) -> bool:
        """Whether it runs just now."""

    @abstractmethod
    def _copy_running(self, instance: Instance, target: int, operation: Operation, disk: DiskKind) -> None:
        """Fill an open file, as large as the disk, with what that holds at one point in time."""

    @abstractmethod
    def _resize_running(self, instance: Instance, size: int, disk: DiskKind) -> None:
        """Have a running machine take so many bytes for its disk, whose file has them. Idempotent, also in
        being told fewer than it has. CommandFailed when it refuses; Conflict when it does not run."""

    @abstractmethod
    def _forget_runs(self, instance: Instance) -> None:
        """It is deleted, and nobody else has its disks meanwhile; Conflict when it runs after all."""

    def _allocation(self, instance: Instance, disk: DiskKind) -> Allocation:
        return instance.disks[disk].allocation

    def add_master(self, master: Master, folder: Path, operation: Operation) -> None:
        """Masters are used where they lie."""
        for name in (KERNEL_FILE, INITRD_FILE, *(image.file for image in master.images)):
            if not (folder / name).is_file():
                raise NotFound(f"{folder / name}: missing from {master.reference}")

    def remove_master(self, master: Master) -> None:
        """Nothing was added."""

    def create_overlay(
        self,
        instance: Instance,
        contents: Contents,
        operation: Operation,
        disk: DiskKind = DiskKind.OVERLAY,
    ) -> None:
        self._store.create(instance, contents, self._allocation(instance, disk), disk)

    def replace_overlay(self, instance: Instance, contents: Contents, operation: Operation) -> None:
        self._require_stopped(instance)
        self._store.replace(instance, contents, self._allocation(instance, DiskKind.OVERLAY))

    @contextmanager
    def open_overlay(
        self, instance: Instance, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> Iterator[Path]:
        self._require_stopped(instance)
        with self._store.open(instance, disk) as path:
            yield path

    def overlay_size(self, instance: Instance, disk: DiskKind = DiskKind.OVERLAY) -> int:
        try:
            return self._store.disk(instance.uuid, disk).stat().st_size
        except FileNotFoundError as error:
            what = "overlay" if disk is DiskKind.OVERLAY else "data disk"
            raise NotFound(f"{instance.name} has no {what}", hint="`skinnybox repair`") from error

    def define(self, instance: Instance) -> None:
        self._store.define(instance)

    def delete(self, instance: Instance) -> None:
        self._require_stopped(instance)
        with self._store.held(instance):
            self._forget_runs(instance)
            self._store.delete(instance)

    def records(self) -> Iterable[Instance]:
        return self._store.records()

    def holdings(self) -> "Iterable[Holding]":
        from skinnybox.hosts.local import leftovers

        return leftovers.holdings(self._store.instances)

    def leftovers(self, known: Collection[UUID]) -> "Iterable[Finding]":
        """Of its disks and records; a host adds what it keeps beside them."""
        from skinnybox.hosts.local import leftovers

        return leftovers.leftovers(self._state, known)

    def note_event(self, uuid: UUID, name: str, kind: "EventKind", detail: str) -> None:
        from skinnybox.hosts.events import Journal

        with suppress(OSError):
            Journal(self._runs).write(uuid, name, kind, detail)

    def space(
        self, instances: Iterable[Instance], masters: Iterable[Master], layers: Iterable[Layer] = ()
    ) -> Space:
        return self._store.space(instances, masters)

    def troubles(self, instances: Iterable[Instance]) -> Mapping[UUID, Trouble]:
        looked = {i.uuid: of_place(self._store.folder(i.uuid), self._runs / str(i.uuid)) for i in instances}
        return {uuid: trouble for uuid, trouble in looked.items() if trouble is not None}

    def written(self, instances: Iterable[Instance]) -> Mapping[UUID, int]:
        return self._store.written(instances)

    def rebuild_disks(
        self, instance: Instance, buildings: "Buildings", operation: Operation, ready: Callable[[], None]
    ) -> None:
        from skinnybox.hosts.local import copies

        self._require_stopped(instance)
        allocations = {kind: self._allocation(instance, kind) for kind in buildings}
        copies.rebuild(self._store, instance, buildings, allocations, ready)

    def swap_overlay(
        self,
        instance: Instance,
        label: str,
        aside: str,
        operation: Operation,
        look: Callable[[Path, Path], None],
    ) -> None:
        from skinnybox.hosts.local import keeping

        self._require_stopped(instance)
        keeping.swap(self._store, instance, label, aside, look)

    def enlarge_running(
        self, instance: Instance, size: int, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> None:
        from skinnybox.hosts.local.enlarging import enlarge

        if not self.grows_running:
            super().enlarge_running(instance, size, operation, disk)
        if not self._is_running(instance):
            raise Conflict(f"{instance.name} does not run any more", hint="again: it grows while it is off")
        allocation = self._allocation(instance, disk)
        enlarge(
            self._store,
            instance,
            size,
            disk,
            allocation,
            lambda size: self._resize_running(instance, size, disk),
        )

    def discard_data(self, instance: Instance) -> None:
        self._require_stopped(instance)
        with translated(), suppress(NotFound), self._store.open(instance, DiskKind.DATA) as path:
            path.unlink(missing_ok=True)

    def copy_overlay(
        self, instance: Instance, target: Path, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> Consistency:
        from skinnybox.hosts.local import snapshots

        with snapshots.exclusive(self._store, instance):
            return self._copied(instance, target, operation, disk)

    def _copied(self, instance: Instance, target: Path, operation: Operation, disk: DiskKind) -> Consistency:
        from skinnybox.hosts.local import copies

        if not self._is_running(instance):
            self._require_stopped(instance)
            copies.copy_stopped(self._store, instance, target, operation, disk)
            return Consistency.STOPPED
        with (
            self._store.disk(instance.uuid, disk).open("rb", buffering=0) as source,
            copies.new_target(source.fileno(), target) as descriptor,
        ):
            self._copy_running(instance, descriptor, operation, disk)
        return Consistency.CRASH

    def take_snapshot(
        self, instance: Instance, label: str, operation: Operation, *, data: bool = False
    ) -> Snapshot:
        from skinnybox.hosts.local import copies, snapshots

        def copy(target: Path, disk: DiskKind) -> Consistency:
            return self._copied(instance, target, operation, disk)

        kinds = [kind for kind in DiskKind if data or kind is DiskKind.OVERLAY]
        with snapshots.exclusive(self._store, instance):
            return copies.take(self._store, instance, label, kinds, copy)

    def snapshots(self, instance: Instance) -> Sequence[Snapshot]:
        from skinnybox.hosts.local import snapshots

        return snapshots.listed(self._store, instance)

    def open_snapshot(
        self, instance: Instance, label: str, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> AbstractContextManager[Path]:
        from skinnybox.hosts.local import snapshots

        return snapshots.opened(self._store, instance, label, disk)

    def delete_snapshot(self, instance: Instance, label: str) -> None:
        from skinnybox.hosts.local import snapshots

        with snapshots.exclusive(self._store, instance):
            snapshots.delete(self._store, instance, label)
