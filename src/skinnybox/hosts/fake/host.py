"""A host that only pretends to run machines, and keeps every promise of base.py otherwise.

Disks and records are real files (sparse, whatever was asked for); a started machine is an entry in
`pretended.json`, its guest is ready at once, and its console echoes. For tests, and for trying the commands.
Its guests run no ssh server, unless told when that `answers`: then they have a host key, and are ready once
it does.
"""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox import layout, named_file, private
from skinnybox.errors import Conflict, NotFound
from skinnybox.hosts import events
from skinnybox.hosts.base import Features
from skinnybox.hosts.events import Event, EventKind, Journal
from skinnybox.hosts.local import shared
from skinnybox.hosts.local.host import LocalHost
from skinnybox.hosts.local.store import write_atomically
from skinnybox.issues import Check, Finding
from skinnybox.model import (
    KERNEL_FILE,
    Allocation,
    DiskKind,
    GuestDisk,
    Instance,
    Master,
    Network,
    Power,
    Report,
    Status,
    Usage,
    image_uuid,
)
from skinnybox.operation import Operation
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.encryption import HEADER, key_of

_POLL = 0.02
_MOST_MACHINES = 64 << 20
_KERNEL = "pretended"
_KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()


class FakeHost(LocalHost):
    """Several of them may share a folder, also from several processes."""

    grows_running = True
    features = Features(
        kind="fake",
        allocations=frozenset(Allocation),
        networks=frozenset(Network),
        default_network=Network.RESTRICTED,
        bridges=frozenset({"br0"}),
        console=True,
        dax=True,
        boots=False,
        data=True,
        layers=True,
        encrypts=True,
    )

    def __init__(self, state: Path, answers: Callable[[UUID], bool] | None = None) -> None:
        super().__init__(state)
        self._answers = answers
        self._machines = state / "pretended.json"
        self._changed = threading.Condition()

    def start(self, instance: Instance, master: Master, folder: Path, operation: Operation) -> Status:
        if not (folder / KERNEL_FILE).is_file():
            raise NotFound(f"{folder} holds no kernel of {master.reference}")
        with self._entries() as entries:
            if entries.get(str(instance.uuid), {}).get("runs"):
                raise Conflict(f"{instance.name} runs already")
            for kind in instance.disks:
                os.close(shared.acquire(self._store.disk(instance.uuid, kind)))
            if instance.encrypt is not None:
                key_of(instance.encrypt, instance.name, self._state)
            entry = _entry(instance, self._store.overlay(instance.uuid))
            entry |= {"reachable": None if self._answers is None else False}
            entries[str(instance.uuid)] = entry
            journal = Journal(self._runs)
            journal.write(instance.uuid, instance.name, EventKind.STARTED)
            if self._answers is None:
                journal.write(instance.uuid, instance.name, EventKind.READY)
        self._tell()
        return _status(entry)  # not as it is now: somebody may have deleted it already

    def shutdown(self, instance: Instance) -> None:
        with self._entries() as entries:
            if entries.get(str(instance.uuid), {}).get("runs"):
                entries[str(instance.uuid)]["runs"] = False
                journal = Journal(self._runs)
                journal.write(instance.uuid, instance.name, EventKind.ENDED, "powered off")
        self._tell()

    def power_off(self, instance: Instance) -> None:
        self.shutdown(instance)

    def leftovers(self, known: Collection[UUID]) -> Iterable[Finding]:
        from skinnybox.hosts.local import leftovers

        yield from super().leftovers(known)
        yield from leftovers.within(layout.RUNS, self._runs)

    def statuses(self) -> Mapping[UUID, Status]:
        return {UUID(key): _status(entry) for key, entry in self._read().items() if entry["runs"]}

    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        self._reach()
        entries = self._read()
        return {uuid: _report(uuid, entries[str(uuid)]) for uuid in uuids if str(uuid) in entries}

    def _reach(self) -> None:
        """As a pool does it: whoever looks finds out."""
        if self._answers is None:
            return
        with self._entries() as entries:
            for key, entry in entries.items():
                if entry["runs"] and entry["reachable"] is False and self._answers(UUID(key)):
                    entry["reachable"] = True
                    Journal(self._runs).write(UUID(key), entry["name"], EventKind.READY)

    def wait_change(self, timeout: float) -> None:
        """Also what another process changed: looks at the file's time every 20 ms."""
        before, deadline = self._stamp(), time.monotonic() + timeout
        with self._changed:
            while self._stamp() == before and (left := deadline - time.monotonic()) > 0:
                if self._changed.wait(min(_POLL, left)):
                    return

    def events(self, after: int = 0) -> Iterable[Event]:
        self._reach()
        return events.read(self._runs, after)

    def console_log(self, uuid: UUID) -> bytes:
        return b"pretended guest ready\r\n" if str(uuid) in self._read() else b""

    @contextlib.contextmanager
    def console(self, uuid: UUID) -> Iterator[socket.socket]:
        if uuid not in self.statuses():
            raise Conflict("the machine is off: it has no console", hint="start it first")
        ours, guest = socket.socketpair()
        with ours, guest:
            echo = threading.Thread(target=_echo, args=(guest,), daemon=True)
            echo.start()
            try:
                yield ours
            finally:
                ours.shutdown(socket.SHUT_RDWR)
                echo.join()

    def usage(self, instances: Iterable[Instance]) -> Mapping[UUID, Usage]:
        """What is only pretended takes nothing."""
        nothing = Usage(cpu=0.0, memory=0, read=0, written=0)
        return {instance.uuid: nothing for instance in instances if self._is_running(instance)}

    def doctor(self) -> list[Check]:
        return [Check(name="host", status="note", detail="machines are only pretended")]

    def _allocation(self, instance: Instance, disk: DiskKind) -> Allocation:
        return Allocation.SPARSE

    def _is_running(self, instance: Instance) -> bool:
        return instance.uuid in self.statuses()

    def _copy_running(self, instance: Instance, target: int, operation: Operation, disk: DiskKind) -> None:
        """Nobody writes to the disk of a machine that is only pretended."""
        with self._store.disk(instance.uuid, disk).open("rb", buffering=0) as source:
            copy_data(source.fileno(), target, operation)

    def _resize_running(self, instance: Instance, size: int, disk: DiskKind) -> None:
        """Its guest has grown its filesystem at once, but what is encrypted at its next start."""
        with self._entries() as entries:
            entry = entries.get(str(instance.uuid), {})
            if not entry.get("runs"):
                raise Conflict(f"{instance.name} does not run")
            sizes = entry.setdefault("disks", {})
            if not instance.encrypt:
                sizes[str(disk)] = max(size, sizes.get(str(disk), 0))
        self._tell()

    def _require_stopped(self, instance: Instance) -> None:
        if instance.uuid in self.statuses():
            raise Conflict(f"{instance.name} runs", hint="stop it first")

    def _forget_runs(self, instance: Instance) -> None:
        with self._entries() as entries:
            if entries.get(str(instance.uuid), {}).get("runs"):
                raise Conflict(f"{instance.name} runs", hint="stop it first")
            entries.pop(str(instance.uuid), None)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _stamp(self) -> tuple[int, int]:
        with contextlib.suppress(FileNotFoundError):
            status = self._machines.stat()
            return status.st_mtime_ns, status.st_ino
        return 0, 0

    def _read(self) -> dict[str, dict[str, Any]]:
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, dict[str, Any]] = json.loads(named_file.content(self._machines, _MOST_MACHINES))
            return found
        return {}

    @contextlib.contextmanager
    def _entries(self) -> Iterator[dict[str, dict[str, Any]]]:
        """The machines, to be changed in the block by nobody else."""
        private.make_folder(self._machines.parent)
        with private.lock_file(self._machines.with_suffix(".lock")) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            entries = self._read()
            before = json.dumps(entries)
            yield entries
            if json.dumps(entries) != before:
                write_atomically(self._machines, json.dumps(entries).encode())


def _entry(instance: Instance, overlay: Path) -> dict[str, Any]:
    """What a guest knows that booted from this overlay; the record may be older, as of before a reset."""
    return {
        "runs": True,
        "name": instance.name,
        "since": datetime.now(UTC).isoformat(),
        "nonce": secrets.token_hex(16),
        "images": [str(image_uuid(digest)) for digest in instance.stack.images],
        "dax": instance.stack.dax,
        "generation": instance.seed.generation if instance.encrypt else _generation(overlay),
        "size": instance.overlay.size,
        "disks": {
            str(kind): disk.size - (HEADER if instance.encrypt else 0)
            for kind, disk in instance.disks.items()
        },
    }


def _generation(overlay: Path) -> int:
    from skinnybox.ext4 import open_volume
    from skinnybox.overlays import inspect

    with open_volume(overlay) as volume:
        return inspect.generation(b"".join(volume.read(volume.lookup(b"/skinnybox/seed"), limit=256)))


def _status(entry: dict[str, Any]) -> Status:
    since = datetime.fromisoformat(entry["since"])
    return Status(power=Power.RUNNING, since=since, pid=os.getpid(), nonce=entry["nonce"])


def _report(uuid: UUID, entry: dict[str, Any]) -> Report:
    return Report(
        ready=True,
        nonce=entry["nonce"],
        instance=uuid,
        images=tuple(UUID(image) for image in entry["images"]),
        seed_generation=entry["generation"],
        dax=entry.get("dax", False),
        overlay_size=entry.get("disks", {}).get("overlay", entry["size"]),
        overlay_free=entry.get("disks", {}).get("overlay", entry["size"]),
        disks=tuple(
            GuestDisk(kind=DiskKind(kind), size=size, filesystem=size)
            for kind, size in entry.get("disks", {}).items()
        ),
        data_size=entry.get("disks", {}).get("data"),
        data_free=entry.get("disks", {}).get("data"),
        addresses=("eth0 10.0.2.15/24",),
        kernel=_KERNEL,
        uptime=0.0,
        received=datetime.fromisoformat(entry["since"]),
        ssh_host_keys=() if entry.get("reachable") is None else (_KEY,),
        reachable=entry.get("reachable"),
    )


def _echo(guest: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := guest.recv(4096):
            guest.sendall(data)
