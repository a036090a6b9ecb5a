"""Plain QEMU on this machine: no daemon, no root, no acceleration needed.

What runs is found in the run folder (folder.py) and checked against the kernel's processes; what was said and
how it ended is written there by the supervisor.
"""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from skinnybox import process
from skinnybox.errors import CommandFailed, Conflict, NotStarted, SkinnyboxError, TimedOut
from skinnybox.hosts.base import Features
from skinnybox.hosts.guest_io import supervisor_client
from skinnybox.hosts.guest_io.run_folder import machine_process, machines, read_machine, stamps
from skinnybox.hosts.local.host import LocalHost
from skinnybox.hosts.preferences import Preferences
from skinnybox.json_file import read_json
from skinnybox.layout import FILE
from skinnybox.model import (
    KERNEL_FILE,
    Allocation,
    DiskKind,
    Instance,
    Master,
    Network,
    Report,
    Status,
    Usage,
)
from skinnybox.operation import Operation
from skinnybox.values import replace

if TYPE_CHECKING:
    from socket import socket

    from skinnybox.emulation.board import Accelerator
    from skinnybox.hosts.events import Event
    from skinnybox.issues import Check, Finding

_POLL, _CONCLUDING = 0.05, 3.0
_WORKED = 3.0
"""Seconds of a processor in which a guest has done something: an idle one takes longer than anybody waits."""


class QemuHost(LocalHost):
    """The machines of one state folder. Several objects, also in several processes, may serve one folder."""

    grows_running = True

    def __init__(self, state: Path, preferences: Preferences | None = None) -> None:
        super().__init__(state)
        self._preferences = preferences or Preferences()
        self._starting = threading.Lock()

    @property
    def features(self) -> Features:
        """The default network is found out by trying, once in each boot of this machine."""
        from skinnybox.hosts.qemu import bridge, network

        passt, bridged = network.verdict().works, bridge.may()
        missing = {n for n, there in ((Network.PASST, passt), (Network.BRIDGE, bridged)) if not there}
        return Features(
            kind="qemu",
            allocations=frozenset(Allocation),
            networks=frozenset(Network) - missing,
            bridges=bridge.bridges() if bridged else frozenset(),
            default_network=Network.PASST if passt else Network.RESTRICTED,
            console=True,
            dax=True,
            data=True,
            layers=True,
            encrypts=True,
            boots=True,
            presses_a_button=True,
            memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        )

    def start(self, instance: Instance, master: Master, folder: Path, operation: Operation) -> Status:
        from skinnybox.hosts.events import EventKind, Journal
        from skinnybox.hosts.qemu import watched
        from skinnybox.hosts.qemu.launch import launch

        self._require_stopped(instance)
        overlay, run_folder = self._store.overlay(instance.uuid), self._run(instance.uuid)

        def up(accelerator: "Accelerator", note: str) -> None:
            launch(instance, master, folder, overlay, run_folder, accelerator, self._preferences, note)
            supervisor_client.adopt(self._runs, instance.uuid)

        attempt = watched.Attempt(
            instance=instance,
            kernel=folder / KERNEL_FILE,
            run_folder=run_folder,
            up=up,
            down=lambda: self.power_off(instance),
            status=lambda: self._status(instance.uuid),
            operation=operation,
        )
        try:
            return watched.start(attempt, self._preferences.acceleration, watched.PATIENCE)
        except (CommandFailed, NotStarted, TimedOut) as error:
            with contextlib.suppress(OSError):
                Journal(self._runs).write(instance.uuid, instance.name, EventKind.FAILED, error.message)
            raise

    def shutdown(self, instance: Instance) -> None:
        from skinnybox.hosts.guest_io.qmp import Monitor

        if self._process(instance.uuid) is None:
            return
        with contextlib.suppress(Conflict), Monitor(self._run(instance.uuid)) as monitor:
            monitor.execute("system_powerdown")

    def power_off(self, instance: Instance) -> None:
        from skinnybox.hosts.qemu.ending import end

        folder = self._run(instance.uuid)
        found = self._process(instance.uuid)
        if found is not None:
            with contextlib.suppress(OSError):  # a full disk: it is recorded as a crash then
                (folder / "stopping").touch(mode=FILE)
            end(found, folder)
        self._await_conclusion(instance.uuid)
        try:
            (folder / "end.json").unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.EROFS:  # there nothing is written down either
                raise

    def leftovers(self, known: Collection[UUID]) -> "Iterable[Finding]":
        from skinnybox.hosts.qemu.leftovers import of_runs

        yield from super().leftovers(known)
        yield from of_runs(self._runs, known)

    def statuses(self) -> Mapping[UUID, Status]:
        process.reap_remembered()
        found = {uuid: self._status(uuid) for uuid in machines(self._runs)}
        self._attend(uuid for uuid, status in found.items() if status and status.pid)
        return {uuid: status for uuid, status in found.items() if status is not None}

    def _attend(self, running: Iterator[UUID]) -> None:
        """Machines that run while nobody listens get a new supervisor, which takes all of them over."""
        first = next(running, None)
        if first is not None and not supervisor_client.answers(self._runs):
            with contextlib.suppress(SkinnyboxError, OSError), self._starting:
                supervisor_client.adopt(self._runs, first)

    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        found = {uuid: read_json(self._run(uuid) / "report.json") for uuid in uuids}
        if not any(found.values()):
            return {}
        from skinnybox.hosts.guest_io import reports, states

        understood = {uuid: states.understood(reports.from_record, values) for uuid, values in found.items()}
        read = {uuid: report for uuid, report in understood.items() if report is not None}
        if self._preferences.reach:
            return read
        return {uuid: replace(each, reachable=None) for uuid, each in read.items()}

    def wait_change(self, timeout: float) -> None:
        """Looks at the run folders' times every 50 ms: each status and report is a file made anew there."""
        before, deadline = stamps(self._runs), time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(_POLL, left))
            process.reap_remembered()
            if stamps(self._runs) != before:
                return

    def moving(self, uuid: UUID) -> int | None:
        """What it has printed, and one for each few seconds of a processor: a guest that waits for what never
        comes uses hardly any."""
        running = self._process(uuid)
        if running is None:
            return None
        from skinnybox.hosts.guest_io.machine_output import printed_bytes

        printed = printed_bytes(self._run(uuid))
        return printed + int(process.cpu_seconds(running.pid) / _WORKED)

    def slowed(self, uuid: UUID) -> str | None:
        from skinnybox.emulation.board import Accelerator
        from skinnybox.hosts.local.load import busy

        values = read_machine(self._run(uuid)) or {}
        emulated = values.get("accelerator") == Accelerator.TCG.value
        return " and ".join(filter(None, ["its processor is emulated" if emulated else None, busy()])) or None

    def events(self, after: int = 0) -> "Iterable[Event]":
        from skinnybox.hosts import events

        return events.read(self._runs, after)

    def console_log(self, uuid: UUID) -> bytes:
        from skinnybox.hosts.guest_io.machine_output import read_log

        return read_log(self._run(uuid))

    @contextlib.contextmanager
    def console(self, uuid: UUID) -> "Iterator[socket]":
        if self._process(uuid) is None:
            raise Conflict("the machine is off: it has no console", hint="start it first")
        with supervisor_client.console(self._runs, uuid) as opened:
            yield opened

    def usage(self, instances: Iterable[Instance]) -> Mapping[UUID, Usage]:
        from skinnybox.hosts.qemu import usage

        running = {i.uuid: found.pid for i in instances if (found := self._process(i.uuid))}
        taken = {uuid: usage.of_process(pid) for uuid, pid in running.items()}
        return {uuid: each for uuid, each in taken.items() if each is not None}

    def doctor(self) -> "list[Check]":
        from skinnybox.hosts.qemu.doctor import checks

        return list(checks(self._state, self._preferences.acceleration))

    def close(self) -> None:
        process.reap_remembered()

    def _run(self, uuid: UUID) -> Path:
        return self._runs / str(uuid)

    def _status(self, uuid: UUID) -> Status | None:
        from skinnybox.hosts.guest_io import stall, states

        folder = self._run(uuid)
        values = read_machine(folder)
        if values is not None and not process.alive(machine_process(values)):
            concluded = self._await_conclusion(uuid)
            values = read_machine(folder)
            if values is not None and not concluded:
                return states.understood(states.unwritten, values)
        if values is not None:
            return states.understood(
                states.stalled if (folder / stall.FILE).exists() else states.running, values
            )
        ended = read_json(folder / "end.json")
        return states.understood(states.crashed, ended) if ended and ended.get("reason") else None

    def _process(self, uuid: UUID) -> process.Process | None:
        """The machine's QEMU, if it runs."""
        process.reap_remembered()
        values = read_machine(self._run(uuid))
        found = machine_process(values) if values else None
        return found if found and process.alive(found) else None

    def _is_running(self, instance: Instance) -> bool:
        return self._process(instance.uuid) is not None

    def _copy_running(self, instance: Instance, target: int, operation: Operation, disk: DiskKind) -> None:
        from skinnybox.hosts.guest_io.backup import copy_running

        copy_running(self._run(instance.uuid), target, operation, disk.value)

    def _resize_running(self, instance: Instance, size: int, disk: DiskKind) -> None:
        from skinnybox.hosts.qemu.growing import resize

        if (running := self._process(instance.uuid)) is None:
            raise Conflict(f"{instance.name} has ended", hint="again: its disk grows while it is off")
        resize(running.pid, self._run(instance.uuid), instance, size, disk)

    def _require_stopped(self, instance: Instance) -> None:
        """Conflict while it runs; else its last end has been recorded when this returns."""
        if self._process(instance.uuid) is not None:
            raise Conflict(f"{instance.name} runs", hint=f"skinnybox stop {instance.name}")
        self._await_conclusion(instance.uuid)

    def _forget_runs(self, instance: Instance) -> None:
        """Whoever starts it now waits for the overlay, then sees it gone."""
        folder = self._run(instance.uuid)
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            folder.rmdir()

    def _await_conclusion(self, uuid: UUID) -> bool:
        """A dead machine whose end is not written down yet: have the supervisor do it. False when it tried
        and could not."""
        record = self._run(uuid) / "machine.json"
        if read_machine(record.parent) is None:
            return True
        with self._starting:
            try:
                first = supervisor_client.adopt(self._runs, uuid)
            except (SkinnyboxError, OSError):  # there is no room for one, or no right
                return False
            if not first:
                return not record.exists()
        deadline = time.monotonic() + _CONCLUDING
        while record.exists() and time.monotonic() < deadline and self._process(uuid) is None:
            time.sleep(0.01)
        return True
