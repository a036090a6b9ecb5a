"""A start that goes on emulated when KVM fails it.

A trial (trial.py) has booted the same kernel on the same hardware, so this is rare; but a machine has disks,
ports and an initramfs beside it, and KVM is not one thing. So of each kernel the first machine under KVM is
watched, for a second or two, until it writes to a disk, as mounting its overlay does, or reports: then its
kernel is up, its drivers are, and KVM has done what a machine asks of it. Later ones are not. A disk that is
read is no sign: the firmware does that, also where the kernel then hangs.

What is KVM's failure and what the guest's own? Before it runs, QEMU has only its words: they were good if it
starts emulated. Once it runs, these are KVM's: QEMU vanishes with a word of its own, as an assertion leaves
it; it stops with an internal error; the guest does nothing at all. A guest that panics, gives up or powers
off lives, whatever else is wrong with it.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skinnybox.emulation import accelerator
from skinnybox.emulation.board import Accelerator
from skinnybox.errors import CommandFailed, SkinnyboxError, TimedOut, Unsupported
from skinnybox.hosts.guest_io.machine_output import VANISHED, WITHOUT_A_WORD
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.hosts.guest_io.run_folder import tail
from skinnybox.model import Acceleration, Instance, Status
from skinnybox.operation import Operation
from skinnybox.printable import printable

PATIENCE = 30.0
"""Seconds until a guest must have written to a disk, reported, or at least printed. It takes one or two."""
_POLL = 0.1
_ANSWER = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one machine is started: `up(accelerator, note)` powers it on, and `note` is told with its start;
    `down()` pulls the plug; `status()` says how it is, and None when it is simply off."""

    instance: Instance
    kernel: Path
    run_folder: Path
    up: Callable[[Accelerator, str], None]
    down: Callable[[], None]
    status: Callable[[], Status | None]
    operation: Operation

    def proven(self) -> bool:
        return accelerator.is_proven(self.kernel, self.instance.cpus)

    def note(self, works: bool, detail: str) -> None:
        accelerator.note(self.kernel, self.instance.cpus, works=works, detail=detail)


def start(attempt: Attempt, wanted: Acceleration, patience: float) -> Status:
    """Power on. Unsupported when KVM alone is wanted and fails it; what `up` raises."""
    chosen = accelerator.choose(wanted, attempt.kernel, attempt.instance.cpus)
    if chosen is Accelerator.TCG:
        attempt.up(chosen, "")
        return _stayed(attempt, attempt.status())
    try:
        attempt.up(chosen, "")
    except (CommandFailed, TimedOut) as error:
        return _without(attempt, wanted, error.message)
    status = attempt.status()
    if not (status and status.pid and attempt.proven()):
        why = _failure(attempt, patience)
        if why is not None:
            attempt.down()
            return _without(attempt, wanted, f"{attempt.instance.name} {why}")
    return _stayed(attempt, status)


def _stayed(attempt: Attempt, status: Status | None) -> Status:
    if status is None or status.pid is None:
        why = status.reason if status else "it ended at once"
        raise SkinnyboxError(f"{attempt.instance.name} did not stay up: {why}")
    return status


def _without(attempt: Attempt, wanted: Acceleration, why: str) -> Status:
    """Go on emulated. That it starts so is what shows that KVM was to blame."""
    if wanted is Acceleration.KVM:
        attempt.note(works=False, detail=why)
        raise Unsupported(f"only KVM is wanted: {why}", hint=accelerator.GO_ON)
    attempt.up(Accelerator.TCG, f"emulated, since KVM failed: {why}")
    status = _stayed(attempt, attempt.status())
    attempt.note(works=False, detail=why)
    attempt.operation.note(f"KVM fails on this computer, and machines are emulated from now on: {why}")
    return status


def _failure(attempt: Attempt, patience: float) -> str | None:
    """Why KVM does not run it; None when it lives, which is kept, or ended by itself."""
    deadline = time.monotonic() + patience
    while True:
        status = attempt.status()
        if status is None or status.pid is None:
            return _vanished(status)
        found = _state(attempt.run_folder)
        if found == "internal-error":
            return f"was stopped by QEMU under KVM: {_error(attempt.run_folder)}"
        late = time.monotonic() > deadline
        if found == "lives" or (late and _printed(attempt.run_folder)):
            attempt.note(works=True, detail=f"{attempt.instance.name} runs with KVM")
            return None
        if late:
            return f"did nothing for {patience:g} s after its start with KVM"
        attempt.operation.sleep(_POLL)


def _state(run_folder: Path) -> str:
    """`lives` once the guest has done what only one does that is up; else what QEMU says it does itself, ""
    when it does not say."""
    if (run_folder / "report.json").exists():
        return "lives"
    with contextlib.suppress(SkinnyboxError), Monitor(run_folder, timeout=_ANSWER) as monitor:
        disks = monitor.execute("query-blockstats")
        if any(disk["stats"]["wr_operations"] for disk in disks):
            return "lives"
        return str(monitor.execute("query-status")["status"])
    return ""


def _error(run_folder: Path) -> str:
    said = tail(run_folder / "qemu.log", 4000).decode("utf-8", "replace").splitlines()
    return printable(next((line for line in said if "KVM" in line or "kvm" in line), "internal error"))[:300]


def _vanished(status: Status | None) -> str | None:
    """Of a machine that ended: killed without a word it was by somebody, or when memory ran out."""
    reason = str(status.reason or "") if status else ""
    if not reason.startswith(VANISHED) or reason == VANISHED + WITHOUT_A_WORD:
        return None
    return f"ended under KVM: {reason}"


def _printed(run_folder: Path) -> bool:
    return bool(tail(run_folder / "console.log", 1))
