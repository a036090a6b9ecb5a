"""What is done to a machine's disk: looked into, reset, grown, copied. What only some of it needs is imported
there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from skinnybox.errors import NotFound, Unsupported
from skinnybox.fleet import asked, encrypted, half_restored, kept_labels, power, thrown, trials
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.machine_queries import MachineQueries
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.model import Acceleration, Change, DiskKind, Instance, Snapshot
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from pathlib import Path

    from skinnybox.fleet.change import Changing
    from skinnybox.fleet.flatten import FlatDisk
    from skinnybox.fleet.grow import Grown
    from skinnybox.fleet.telling import Telling
    from skinnybox.model.diskuse import DiskUse


class Overlays:
    """The overlays of a fleet. Everything here blocks."""

    def __init__(
        self,
        host: Host,
        catalog: Catalog,
        masters: Masters,
        queries: MachineQueries,
        accelerator: Acceleration,
    ) -> None:
        self._host = host
        self._catalog = catalog
        self._masters = masters
        self._queries = queries
        self._accelerator = accelerator

    @contextmanager
    def changes(
        self, name: str, *, include_seed: bool = False, operation: Operation = UNATTENDED
    ) -> Iterator[Iterator[Change]]:
        """What a machine made its own, in path order, read from outside; of a running one, from a copy of
        one point in time. What is as its seed has it only counts with `include_seed`."""
        from skinnybox.fleet.changes import Asked, looked_at, sealed_of

        machine = self._queries.machine(name)
        scratch, asked = self._catalog.path.parent, Asked(seed=include_seed)
        with (
            sealed_of(self._masters, machine) as sealed,
            looked_at(self._host, machine, sealed, scratch, operation, asked) as found,
        ):
            yield found.changes

    def use(
        self,
        patterns: Sequence[str],
        *,
        disk: DiskKind = DiskKind.OVERLAY,
        depth: int = 3,
        rows: int = 20,
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[DiskUse]]":
        """What takes the room of overlays, or data disks, read as `changes` does, and what `slim` would win
        of that. Of folders those down to `depth` are told, `rows` files and folders."""
        from skinnybox.fleet.disk_use import use_of

        def one(machine: MachineView, operation: Operation) -> "DiskUse":
            folder = self._catalog.path.parent
            return use_of(self._host, self._masters, machine, disk, folder, operation, depth=depth, rows=rows)

        return self._queries.each(patterns, one, "read", operation, 1, decides=False)

    @as_job("reset")
    def reset(self, patterns: Sequence[str], operation: Operation = UNATTENDED) -> list[Outcome[Instance]]:
        """Give machines a fresh overlay: the delta is gone, the identity stays. They must be stopped."""
        from skinnybox.fleet.reset import reset

        def one(machine: MachineView, operation: Operation) -> Instance:
            asked.resettable(machine)
            return reset(self._host, self._catalog, machine.instance, operation)

        return self._queries.each(patterns, one, "reset", operation, 1)

    @as_job("grow")
    def grow(
        self,
        patterns: Sequence[str],
        size: int,
        *,
        by: bool = False,
        disk: DiskKind = DiskKind.OVERLAY,
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[Grown]]":
        """Make overlays, or data disks, larger: to `size` bytes, or by so many; what they hold stays. Where
        the host cannot do that to machines that run, they must be stopped. Idempotent without `by`; a
        smaller size is Blocked."""
        from skinnybox.fleet.grow import each_followed, grow

        def one(machine: MachineView, operation: Operation) -> "Grown":
            if not self._host.grows_running:
                power.refuse_running(machine, "grow")
            return grow(
                self._host, self._catalog, machine.instance, size,
                by=by, operation=operation, disk=disk, look=self._queries.view,
            )  # fmt: skip

        done = self._queries.each(patterns, one, "grow", operation, 1)
        return each_followed(self._host, self._queries, done, disk, operation)

    @as_job("set")
    def tell(
        self,
        patterns: Sequence[str],
        telling: "Telling",
        operation: Operation = UNATTENDED,
        *,
        changes: "Changing | None" = None,
        expect: str | None = None,
    ) -> list[Outcome[Instance]]:
        """Change what guests are told of their disks and, with it or not at all, what Fleet.set can change.
        They must be stopped; it counts from their next start, at which all of the seed is applied again.
        What they wrote before they were told to throw it away is gone then."""
        from skinnybox.fleet.catalog.ports import free_ports
        from skinnybox.fleet.change import gives_port
        from skinnybox.fleet.revision import expecting
        from skinnybox.fleet.telling import tell

        gives_port(changes or {}, lambda: self._queries.machines(patterns))
        also = expecting(changes or {}, expect)

        def one(machine: MachineView, operation: Operation) -> Instance:
            power.refuse_running(machine, " and ".join(key.replace("_", "-") for key in telling))
            master = self._masters.by_id(machine.instance.stack.master)
            ports = free_ports(self._catalog.ports(), self._catalog.path.parent)
            return tell(self._host, self._catalog, machine.instance, master, telling, also, ports, operation)

        return self._queries.each(patterns, one, "set", operation, 1)

    @as_job("set")
    def give_data(
        self, patterns: Sequence[str], size: int | None, folders: Sequence[str],
        operation: Operation = UNATTENDED, *, expect: str | None = None,
    ) -> list[Outcome[Instance]]:  # fmt: skip
        """Give machines a data disk, or more folders on the one they have, which are filled at their next
        start with what lies there then. They must be stopped. Idempotent."""
        from skinnybox.fleet import data_disk, knowing
        from skinnybox.fleet.revision import altering
        from skinnybox.fleet.update_seed import reseed

        data_disk.refuse_host(self._host.features)

        def one(machine: MachineView, operation: Operation) -> Instance:
            power.refuse_running(machine, "a data disk")
            alter = altering(partial(data_disk.given, size=size, folders=folders), expect)
            wanted = alter(machine.instance)
            knowing.check(wanted, self._masters.by_id(machine.instance.stack.master))
            if wanted == machine.instance:
                return machine.instance
            return reseed(self._host, self._catalog, machine.instance, alter, operation)

        return self._queries.each(patterns, one, "set", operation, 1)

    @as_job("snapshot")
    def snapshot(
        self,
        patterns: Sequence[str],
        label: str | None = None,
        operation: Operation = UNATTENDED,
        *,
        data: bool = False,
    ) -> list[Outcome[Snapshot]]:
        """Keep overlays as they are now, of running machines as well, and with `data` their data disks. The
        label is the time in UTC if none is given."""
        given = label or f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}"
        kept_labels.refuse_label(given)

        def one(machine: MachineView, operation: Operation) -> Snapshot:
            thrown.refuse_kept(machine.instance, "a snapshot put back")
            half_restored.refuse(machine.instance, "a snapshot would keep both")
            encrypted.refuse_forgotten(machine.instance, "a snapshot")
            if data and machine.instance.data is None:
                raise NotFound(f"{machine.name} has no data disk", hint="without --data its system is kept")
            return self._host.take_snapshot(machine.instance, given, operation, data=data)

        return self._queries.each(patterns, one, "snapshot", operation, 1)

    def snapshots(self, patterns: Sequence[str] = ("*",)) -> list[tuple[MachineView, Snapshot]]:
        """Of each machine, the oldest first."""
        machines = self._queries.machines(patterns)
        return [(machine, found) for machine in machines for found in self._host.snapshots(machine.instance)]

    @as_job("restore")
    def restore(
        self,
        patterns: Sequence[str],
        label: str,
        operation: Operation = UNATTENDED,
        *,
        data: bool = False,
    ) -> list[Outcome[Instance]]:
        """Put overlays back as they were, and with `data` their data disks. They must be stopped; what they
        hold now is gone."""
        from skinnybox.fleet import snapshots

        def one(machine: MachineView, operation: Operation) -> Instance:
            found = self.restorable(machine, label, data=data)
            return snapshots.restore(self._host, self._catalog, machine.instance, found, operation, data=data)

        return self._queries.each(patterns, one, "restore", operation, 1)

    def restorable(self, machine: MachineView, label: str, *, data: bool = False) -> Snapshot:
        """The snapshot. Blocked while it runs, boots from another stack than then or, with `data`, has no
        such data; NotFound without one."""
        from skinnybox.fleet import snapshots

        power.refuse_running(machine, "restore")
        thrown.refuse_kept(machine.instance, "what is put back")
        found = snapshots.find(self._host, machine.instance, label)
        snapshots.refuse(machine.instance, found, data=data)
        return found

    def kept(self, machine: MachineView, label: str) -> Snapshot:
        """The snapshot. NotFound for a machine that has none of this label."""
        from skinnybox.fleet import snapshots

        return snapshots.find(self._host, machine.instance, label)

    @as_job("snapshot delete")
    def delete_snapshot(
        self, patterns: Sequence[str], label: str, operation: Operation = UNATTENDED
    ) -> list[Outcome[None]]:
        """NotFound for a machine that has none of this label; Blocked for its way back from a rebase."""

        def one(machine: MachineView, operation: Operation) -> None:
            self.kept(machine, label)
            if machine.instance.half_restored == label:
                half_restored.refuse(machine.instance, "it is needed for that")
            kept_labels.refuse_deletion(machine.instance, label)
            self._host.delete_snapshot(machine.instance, label)

        return self._queries.each(patterns, one, "delete snapshot", operation, 1)

    @as_job("flatten")
    def flatten(self, name: str, wanted: "FlatDisk", operation: Operation = UNATTENDED) -> "Path":
        """An ordinary disk, that boots under UEFI. Of a running machine it is as a power cut leaves it."""
        from skinnybox.fleet.flatten import flatten

        machine = self._queries.machine(name)
        thrown.refuse_in_memory(machine.instance, "flatten")
        half_restored.refuse(machine.instance, "a disk of both would start")
        trials.refuse_open(machine.instance, "nobody would try a disk of it, nor take it back")
        encrypted.refuse_reading(machine.instance, "flatten")
        with self._masters.kept(machine.instance.stack.master.removeprefix("sha256:")) as master:
            scratch = self._catalog.path.parent
            sealed = self._masters.folder(master)
            return flatten(self._host, machine, master, sealed, wanted, scratch, operation, self._accelerator)

    def seed_disk(
        self, name: str, file: "Path", *, master_disk: str, overlay_disk: str, blank: bool,
        data_disk: str = "skinny-data",
    ) -> None:  # fmt: skip
        """The disk that tells a machine who it is on a host that Skinnybox does not drive. Disks are named by
        their serials, or as the guest's kernel calls them; `blank` orders to format."""
        import secrets

        from skinnybox.fleet.output_file import handed_out
        from skinnybox.overlays.seed import told_disk

        instance = self._queries.machine(name).instance
        encrypted.refuse_telling(instance)
        trials.refuse_open(instance, "nobody would decide it elsewhere")
        if instance.stack.dax:
            raise Unsupported(f"{name} maps its master, which is not read as a disk", hint="create --no-dax")
        if instance.stack.layers:
            raise Unsupported(
                f"{name} has layers, which no seed disk tells of", hint="flatten, or create without"
            )
        content = told_disk(
            instance, master=master_disk, overlay=overlay_disk, data=data_disk,
            nonce=secrets.token_hex(16), may_format=blank,
        )  # fmt: skip
        with handed_out(file) as part:
            part.write_bytes(content)
