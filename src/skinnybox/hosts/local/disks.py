"""The disks of every host that keeps them in a folder of this machine. What only some of it needs is imported
there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from uuid import UUID

from skinnybox.errors import NotFound
from skinnybox.hosts.base import Contents, Storage
from skinnybox.hosts.local.store import Store
from skinnybox.model import Allocation, Consistency, Instance, Snapshot
from skinnybox.operation import Operation


class LocalDisks(ABC):
    """Who inherits it knows what runs, and how a running machine's overlay is copied. Everything is here
    already, so no transfer says how far it is; copies can be cancelled."""

    _store: Store

    @abstractmethod
    def _settle(self, instance: Instance) -> None:
        """Conflict while it runs; else its overlay is what its last run left when this returns."""

    @abstractmethod
    def _runs_now(self, instance: Instance) -> bool:
        """Whether it runs just now."""

    @abstractmethod
    def _copy_running(self, instance: Instance, descriptor: int, operation: Operation) -> None:
        """Fill an open file, as large as the overlay, with what that holds at one point in time."""

    @abstractmethod
    def _forget_runs(self, instance: Instance) -> None:
        """It is deleted, and nobody else has its overlay meanwhile; Conflict when it runs after all."""

    def _allocation(self, instance: Instance) -> Allocation:
        return instance.overlay.allocation

    def create_overlay(self, instance: Instance, contents: Contents, operation: Operation) -> None:
        self._store.create(instance, contents, self._allocation(instance))

    def replace_overlay(self, instance: Instance, contents: Contents, operation: Operation) -> None:
        self._settle(instance)
        self._store.replace(instance, contents, self._allocation(instance))

    @contextmanager
    def open_overlay(self, instance: Instance, operation: Operation) -> Iterator[Path]:
        self._settle(instance)
        with self._store.open(instance) as path:
            yield path

    def overlay_size(self, instance: Instance) -> int:
        self._settle(instance)
        try:
            return self._store.overlay(instance.uuid).stat().st_size
        except FileNotFoundError as error:
            raise NotFound(f"{instance.name} has no overlay", hint="`skinnybox repair`") from error

    def storages(self, overlay: int, system: int) -> Sequence[Storage]:
        """A file takes its size."""
        return ()

    def refuse_used(self, instance: Instance) -> None:
        with suppress(NotFound), self.open_overlay(instance, Operation()):
            pass

    def delete(self, instance: Instance) -> None:
        self._settle(instance)
        with self._store.held(instance):
            self._forget_runs(instance)
            self._store.delete(instance)

    def written(self, instances: Iterable[Instance]) -> Mapping[UUID, int]:
        return self._store.written(instances)

    def rebuild_overlay(
        self,
        instance: Instance,
        size: int,
        build: Callable[[Path, Path], None],
        operation: Operation,
    ) -> None:
        from skinnybox.hosts.local import copies

        self._settle(instance)
        copies.rebuild(self._store, instance, size, self._allocation(instance), build)

    def copy_overlay(self, instance: Instance, target: Path, operation: Operation) -> Consistency:
        from skinnybox.hosts.local import copies

        with copies.alone(self._store, instance):
            return self._copied(instance, target, operation)

    def _copied(self, instance: Instance, target: Path, operation: Operation) -> Consistency:
        from skinnybox.hosts.local import copies

        if not self._runs_now(instance):
            self._settle(instance)
            copies.copy_stopped(self._store, instance, target, operation)
            return Consistency.STOPPED
        with (
            self._store.overlay(instance.uuid).open("rb", buffering=0) as source,
            copies.new_target(source.fileno(), target) as descriptor,
        ):
            self._copy_running(instance, descriptor, operation)
        return Consistency.CRASH

    def take_snapshot(self, instance: Instance, label: str, operation: Operation) -> Snapshot:
        from skinnybox.hosts.local import copies

        with copies.alone(self._store, instance):
            return copies.take(
                self._store, instance, label, lambda target: self._copied(instance, target, operation)
            )

    def snapshots(self, instance: Instance) -> Sequence[Snapshot]:
        from skinnybox.hosts.local import copies

        return copies.listed(self._store, instance)

    def open_snapshot(
        self, instance: Instance, label: str, operation: Operation
    ) -> AbstractContextManager[Path]:
        from skinnybox.hosts.local import copies

        return copies.opened(self._store, instance, label)

    def delete_snapshot(self, instance: Instance, label: str) -> None:
        from skinnybox.hosts.local import copies

        with copies.alone(self._store, instance):
            copies.delete(self._store, instance, label)
