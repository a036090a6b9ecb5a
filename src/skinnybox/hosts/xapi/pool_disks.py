"""The disks of a pool's machines, as base.py asks for them. What only some of it needs is imported there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.building import Buildings
from skinnybox.hosts.xapi import account
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.model import Consistency, DiskKind, Instance, Snapshot
from skinnybox.operation import Operation


class PoolDisks(Host):
    """Who inherits it knows what runs."""

    _pool: Pool
    _templates: Path

    def create_overlay(
        self,
        instance: Instance,
        contents: Contents,
        operation: Operation,
        disk: DiskKind = DiskKind.OVERLAY,
    ) -> None:
        from skinnybox.hosts.xapi import disks

        make = disks.make_first if disk is DiskKind.OVERLAY else disks.make_data
        make(self._pool, instance, contents, self._templates, operation)

    def replace_overlay(self, instance: Instance, contents: Contents, operation: Operation) -> None:
        from skinnybox.hosts.xapi import disks

        disks.replace(self._pool, instance, contents, self._templates, operation)

    def overlay_size(self, instance: Instance, disk: DiskKind = DiskKind.OVERLAY) -> int:
        from skinnybox.hosts.xapi import fetching

        return fetching.size_of(instance, self._pool.overlay(instance, disk)[1])

    @contextmanager
    def open_overlay(
        self, instance: Instance, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> Iterator[Path]:
        from skinnybox.hosts.xapi import disks

        with disks.opened(self._pool, instance, self._templates, operation, disk) as path:
            yield path

    def refuse_used(self, instance: Instance) -> None:
        from skinnybox.hosts.xapi import disks

        with disks.exclusive(self._pool, instance):
            self._pool.refuse_running(instance)

    def rebuild_disks(
        self, instance: Instance, buildings: Buildings, operation: Operation, ready: Callable[[], None]
    ) -> None:
        from skinnybox.hosts.xapi import rebuilding

        rebuilding.rebuild(self._pool, instance, buildings, self._templates, operation, ready)

    def swap_overlay(
        self,
        instance: Instance,
        label: str,
        aside: str,
        operation: Operation,
        look: Callable[[Path, Path], None],
    ) -> None:
        from skinnybox.hosts.xapi import swapping

        swapping.swap(self._pool, instance, label, aside)

    def discard_data(self, instance: Instance) -> None:
        from skinnybox.hosts.xapi import disks

        disks.discard_data(self._pool, instance)

    def copy_overlay(
        self, instance: Instance, target: Path, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> Consistency:
        from skinnybox.hosts.xapi import disks

        return disks.copy(self._pool, instance, target, self._templates, operation, disk)

    def take_snapshot(
        self, instance: Instance, label: str, operation: Operation, *, data: bool = False
    ) -> Snapshot:
        from skinnybox.hosts.xapi import snapshots

        return snapshots.take(self._pool, instance, label, operation, data=data)

    def snapshots(self, instance: Instance) -> Sequence[Snapshot]:
        from skinnybox.hosts.xapi import snapshots

        return snapshots.listed(self._pool, instance)

    @contextmanager
    def open_snapshot(
        self, instance: Instance, label: str, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> Iterator[Path]:
        from skinnybox.hosts.xapi import snapshots

        with snapshots.opened(self._pool, instance, label, self._templates, operation, disk) as path:
            yield path

    def delete_snapshot(self, instance: Instance, label: str) -> None:
        from skinnybox.hosts.xapi import snapshots

        snapshots.delete(self._pool, instance, label)

    def written(self, instances: Iterable[Instance]) -> Mapping[UUID, int]:
        return account.written(self._pool, instances)
