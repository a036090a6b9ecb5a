"""Whether KVM works here: not whether /dev/kvm is there, but whether a guest runs on it.

Under nested virtualisation the device may open, answer, and then hang every guest. So a boot sector of seven
bytes is really started; it writes to a debug device and QEMU ends with a code nothing else gives.
"""

import grp
import os
from collections.abc import Sequence
from pathlib import Path

from skinnybox import run
from skinnybox.hosts.qemu import process
from skinnybox.hosts.qemu.command_line import Accelerator
from skinnybox.hosts.qemu.verdicts import Verdict, cached, stamp

DEADLINE = 5.0
_DEVICE = Path("/dev/kvm")
_CODE = 0x10
_EXIT = _CODE << 1 | 1
# mov dx, 0xf4; mov al, CODE; out dx, al; hlt
_SECTOR = bytes([0xBA, 0xF4, 0x00, 0xB0, _CODE, 0xEE, 0xF4]).ljust(510, b"\0") + b"\x55\xaa"


def verdict() -> Verdict:
    """About KVM; may take DEADLINE seconds once per boot of this machine."""
    program = run.find("qemu-system-x86_64")
    device = f"{_DEVICE.stat().st_mode:o}" if _DEVICE.exists() else "none"
    return cached("kvm", f"{stamp(program)} {device} {os.access(_DEVICE, os.R_OK | os.W_OK)}", _kvm)


def choose() -> Accelerator:
    return Accelerator.KVM if verdict().works else Accelerator.TCG


def groups() -> Sequence[int]:
    """What a dropped user needs besides itself to open the device."""
    try:
        return (grp.getgrnam("kvm").gr_gid,)
    except KeyError:
        return ()


def _kvm() -> Verdict:
    if not _DEVICE.exists():
        return Verdict(works=False, detail="there is no /dev/kvm: guests are emulated, which is slow")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Verdict(
            works=False,
            detail="/dev/kvm may not be opened",
            hint='sudo adduser "$USER" kvm, and log in again',
        )
    return boots("kvm")


def boots(accelerator: str, deadline: float = DEADLINE) -> Verdict:
    """Whether QEMU with this accelerator runs a guest within so many seconds. Leaves no process behind, but
    one that the kernel itself does not let go."""
    descriptor = os.memfd_create("boot-sector")
    output = os.memfd_create("output")
    try:
        os.write(descriptor, _SECTOR)
        root = os.geteuid() == 0
        pid = run.detach(
            _argv(accelerator, descriptor),
            output=output,
            pass_fds=[descriptor],
            user=65534 if root else None,
            groups=groups() if root else (),
        )
        return _judged(accelerator, pid, deadline, output)
    finally:
        os.close(descriptor)
        os.close(output)


def _argv(accelerator: str, descriptor: int) -> list[str]:
    # fmt: off
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", accelerator, "-m", "16M",
        "-add-fd", f"fd={descriptor},set=1",
        "-blockdev", "driver=file,filename=/dev/fdset/1,node-name=sector,locking=off",
        "-device", "ide-hd,drive=sector",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
    ]
    # fmt: on


def _judged(accelerator: str, pid: int, deadline: float, output: int) -> Verdict:
    name = accelerator.upper()
    pidfd = os.pidfd_open(pid)
    try:
        if not process.ended(pidfd, deadline):
            process.kill(pidfd)
            process.ended(pidfd, 1.0)
            process.reap(pid)
            return Verdict(works=False, detail=f"a guest started with {name} hangs on this machine")
    finally:
        os.close(pidfd)
    code = process.reap(pid)
    if code == _EXIT:
        return Verdict(works=True, detail=f"a guest started with {name} runs")
    said = os.pread(output, 500, 0).decode("utf-8", "replace").strip().replace("\n", "; ")
    return Verdict(works=False, detail=f"{name} does not run a guest ({code}): {said or 'QEMU said nothing'}")
