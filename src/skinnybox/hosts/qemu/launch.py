"""Starting QEMU: everything it needs opened first, the user dropped, the process left to itself."""

import contextlib
import os
import re
import secrets
import select
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from skinnybox import private, process, run
from skinnybox.emulation import accelerator
from skinnybox.emulation.board import Accelerator
from skinnybox.emulation.user import user_of
from skinnybox.errors import CommandFailed, Conflict, NotFound, SkinnyboxError, TimedOut
from skinnybox.hosts.guest_io import door
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.hosts.guest_io.run_folder import listen, tail
from skinnybox.hosts.local import shared
from skinnybox.hosts.local.store import FILES, RECORD
from skinnybox.hosts.preferences import Preferences
from skinnybox.hosts.qemu import bridge, encrypted, network, stack_images
from skinnybox.hosts.qemu.command_line import Descriptors, Machine, argv
from skinnybox.hosts.qemu.ending import end
from skinnybox.hosts.reach import ways_in
from skinnybox.json_file import write_json
from skinnybox.layout import OF_LAST_RUN, SOCKETS
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Instance, Master, Network, ranges
from skinnybox.printable import printable
from skinnybox.sandbox.confinement import MachineBounds, machine_words, never_began
from skinnybox.sandbox.sockets import INTERNET, LISTENING, NO_SOCKETS
from skinnybox.sizes import MIB

_PATIENCE, _ANSWER = 30.0, 5.0
_POLL = 0.01
_OTHER_THREADS = 500
"""Than its processors', of a user of its own and with its passt's: QEMU has at most 64 that write."""
_TAIL, _MOST_SAID = 4000, 300
_NAMED = re.compile(r"qemu-system-\S+: ")


def launch(
    instance: Instance,
    master: Master,
    sealed: Path,
    overlay: Path,
    run_folder: Path,
    chosen_accelerator: Accelerator,
    preferences: Preferences | None = None,
    note: str = "",
) -> None:
    """Leave a paused QEMU behind, recorded in machine.json with `note`, which is told with its start; or
    nothing, also when killed on the way. Its other disks lie beside the overlay.

    Raises Conflict (overlay or port in use), NotFound (of a file), CommandFailed (QEMU's words), TimedOut.
    """
    with ExitStack() as files, ExitStack() as undo:
        disks = _held(files, instance, overlay)
        chosen = network.choose(instance)
        network.check_ports(instance)
        output = _prepared(run_folder, files)
        doors = files.enter_context(ExitStack())
        undo.callback(_unmark, run_folder)
        sockets = {name: doors.enter_context(listen(run_folder, name)).fileno() for name in SOCKETS}
        descriptors = _opened(files, instance, master, sealed, sockets | disks, chosen, output)
        descriptors = encrypted.added(files, descriptors, instance, master, sealed, overlay.parents[2])
        machine = _machine(instance, chosen_accelerator, chosen, descriptors)
        waiting, gate = _gate(files)
        pid = _detached(machine, output, waiting)
        undo.callback(_give_up, pid, run_folder)
        undo.callback(gate.close)
        undo.callback(doors.close)
        _record(machine, pid, run_folder, preferences or Preferences(), note)
        with contextlib.suppress(BrokenPipeError):
            gate.write(b"go\n")
        # Ours as well, they would keep whoever knocks waiting at the doors of a QEMU that is dead.
        doors.close()
        _await(machine, pid, run_folder)
        undo.pop_all()


def _held(files: ExitStack, instance: Instance, overlay: Path) -> dict[str, int]:
    """Descriptors of its own disks, which nobody else uses meanwhile; the overlay comes first."""
    found = {}
    for kind in instance.disks:
        path = overlay.with_name(FILES[kind])
        disk = found[kind.value] = shared.acquire(path)
        files.callback(os.close, disk)
    if not overlay.with_name(RECORD).exists():
        raise NotFound(f"{instance.name} was deleted meanwhile")
    return found


def _machine(
    instance: Instance, accelerator: Accelerator, chosen: Network, descriptors: Descriptors
) -> Machine:
    """This very start, with a name of its own."""
    return Machine(
        instance=instance,
        nonce=secrets.token_hex(16),
        accelerator=accelerator,
        network=chosen,
        descriptors=descriptors,
    )


def _prepared(run_folder: Path, files: ExitStack) -> int:
    """A run folder without the traces of the last run; a descriptor of QEMU's log."""
    private.make_folder(run_folder)
    for name in OF_LAST_RUN:
        (run_folder / name).unlink(missing_ok=True)
    output = private.to_append(run_folder / "qemu.log")
    files.callback(os.close, output)
    os.ftruncate(output, 0)
    return output


def _opened(
    files: ExitStack,
    instance: Instance,
    master: Master,
    sealed: Path,
    own: dict[str, Any],
    chosen: Network,
    output: int,
) -> Descriptors:
    kernel, initrd = (stack_images.readable(files, sealed / name) for name in (KERNEL_FILE, INITRD_FILE))
    images = stack_images.opened(files, instance, master, sealed)
    stream = tap = None
    if chosen is Network.BRIDGE:
        tap = files.enter_context(bridge.tap(instance, instance.bridge or ""))
    if chosen is Network.PASST:
        stream = files.enter_context(network.stream(instance, user_of(instance), output)).fileno()
    more = tuple(
        files.enter_context(bridge.tap(instance, nic.bridge, number)) if nic.bridge else None
        for number, nic in enumerate(instance.seed.nics, 1)
    )
    return Descriptors(
        kernel=kernel, initrd=initrd, images=images, stream=stream, tap=tap, more_taps=more, **own
    )


def _bounded(machine: Machine) -> list[str]:
    """As its own user, shut in; no core file, which would hold the guest's memory, and no file larger than
    the largest of its disks."""
    # As it is, not as recorded: a `grow` may have been killed before it could write the size down.
    largest = max(MIB, *(os.fstat(disk).st_size for disk in machine.descriptors.disks))
    words = argv(machine)
    files, user, sockets = machine.descriptors, user_of(machine.instance), _sockets(machine)
    kvm, cpus = machine.accelerator is Accelerator.KVM, machine.instance.cpus
    bounds = MachineBounds(
        limits={
            "core": 0,
            "fsize": (largest, ranges.OVERLAY.most),  # raised by growing.py
            **({} if user is None else {"nproc": _OTHER_THREADS + cpus}),
        },
        user=user,
        groups=accelerator.groups() if kvm else (),
        files=(files.kernel, files.initrd, *(image.descriptor for image in files.images)),
        told=[number for _, number in files.firmware],
        sockets=sockets,
        ports=[way.port for way in ways_in(machine.instance)] if sockets == LISTENING else (),
        kvm=kvm,
        resolves=machine.network is Network.OPEN,
    )
    # What shuts in becomes the program it is given: the pid and all descriptors stay.
    return machine_words(words, bounds)


def _sockets(machine: Machine) -> str:
    """What it may make itself. With passt or a tap its network is a descriptor that it was handed."""
    if machine.network is Network.OPEN:
        return INTERNET
    restricted = machine.network is Network.RESTRICTED
    return LISTENING if restricted and ways_in(machine.instance) else NO_SOCKETS


def _gate(files: ExitStack) -> tuple[int, BinaryIO]:
    """QEMU begins when a line comes through: not before it is recorded, and never when we are killed."""
    waiting, gate = os.pipe2(os.O_CLOEXEC)
    files.callback(os.close, waiting)
    return waiting, files.enter_context(os.fdopen(gate, "wb", buffering=0))


def _detached(machine: Machine, output: int, waiting: int) -> int:
    pid = run.detach(
        _bounded(machine),
        output=output,
        gate=waiting,
        pass_fds=machine.descriptors.inherited(),
    )
    return process.remember(pid)


def _record(machine: Machine, pid: int, run_folder: Path, preferences: Preferences, note: str) -> None:
    found = process.identify(pid)
    if found is None:
        raise _failed(machine, pid, run_folder)
    values = {
        "pid": found.pid,
        "start_time": found.started,
        "boot_id": found.boot,
        "nonce": machine.nonce,
        "name": machine.instance.name,
        "thresholds": [preferences.thresholds.warning, preferences.thresholds.critical],
        "network": machine.network.value,
        "way": door.recorded(machine.instance) if preferences.reach else None,
        "accelerator": machine.accelerator.value,
        "started": datetime.now(UTC).isoformat(),
        "note": note,
    }
    write_json(run_folder / "machine.json", values)


def _await(machine: Machine, pid: int, run_folder: Path) -> None:
    """Until QEMU answers: then the command line was good and the ports were free."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.identify(pid) is None:
            raise _failed(machine, pid, run_folder)
        if _hung_up(machine.descriptors.stream):
            raise _failed(machine, pid, run_folder, "passt")
        answer = _answer(run_folder)
        if answer == machine.instance.uuid:
            return
        if answer is not None:
            raise Conflict(f"another machine answers for {machine.instance.name}")
        time.sleep(_POLL)
    raise TimedOut(f"QEMU for {machine.instance.name} does not answer", hint=f"see {run_folder}/qemu.log")


def _answer(run_folder: Path) -> UUID | None:
    """Which machine answers there; None while none does."""
    with contextlib.suppress(Conflict, TimedOut), Monitor(run_folder, timeout=_ANSWER) as monitor:
        return monitor.uuid()
    return None


def _hung_up(stream: int | None) -> bool:
    """Whether passt, at the other end, is gone: QEMU would run on, and the guest without a network."""
    if stream is None:
        return False
    poller = select.poll()
    poller.register(stream, select.POLLRDHUP)
    return bool(poller.poll(0))


def _failed(machine: Machine, pid: int, run_folder: Path, program: str = "QEMU") -> SkinnyboxError:
    code = process.reap(pid)
    said = tail(run_folder / "qemu.log", _TAIL).decode("utf-8", "replace").strip()
    if (unconfined := never_began(code, said)) is not None:
        return unconfined
    why = printable(complaint(said))[:_MOST_SAID]
    name, ways = machine.instance.name, ways_in(machine.instance)
    if "host forwarding rule" in said or (program == "passt" and "in use" in said):
        rule = said.rpartition("host forwarding rule")[2]  # before it QEMU repeats its words, with every port
        named = next((way for way in ways if re.search(rf"\b{way.port}\b", rule)), None)
        unnamed = Conflict(f"a port that leads to {name} is in use by another program")
        return unnamed if named is None else network.in_use(machine.instance, named)
    return CommandFailed(
        f"{program} for {name} did not start: {why}", returncode=code if code is not None else 1, stderr=said
    )


def complaint(said: str) -> str:
    """The last thing that a program said, with the hints that QEMU puts on lines of their own behind it."""
    lines = said.splitlines() or ["it said nothing"]
    named = [number for number, line in enumerate(lines) if _NAMED.match(line)]
    return "; ".join(lines[named[-1] :]) if named else lines[-1]


def _give_up(pid: int, run_folder: Path) -> None:
    found = process.identify(pid)
    if found is not None:
        end(found, run_folder)
    process.reap(pid)


def _unmark(run_folder: Path) -> None:
    """Nothing says any more that a machine runs here."""
    for name in ("machine.json", *SOCKETS):
        (run_folder / name).unlink(missing_ok=True)
