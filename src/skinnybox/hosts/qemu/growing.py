"""A disk of a running QEMU made larger, whose file is so large already.

QEMU may write no file beyond a limit (launch.py), so that one that was taken over cannot fill this machine.
It cannot raise that itself; its own user may, from outside, which takes no privilege and no other right.
"""

import re
from pathlib import Path

from skinnybox import run
from skinnybox.emulation.user import user_of
from skinnybox.errors import CommandFailed, Conflict, Unsupported
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.model import DiskKind, Instance

_LIMIT = re.compile(r"^Max file size +(\d+|unlimited) +(\d+|unlimited) ", re.MULTILINE)


def resize(pid: int, run_folder: Path, instance: Instance, size: int, disk: DiskKind) -> None:
    """See LocalHost._resize_running. Unsupported, with nothing told, where its limit cannot be raised."""
    with Monitor(run_folder) as monitor:
        if _size_of(monitor, disk) >= size:
            return
        _allow(pid, instance, size)
        monitor.execute("block_resize", **{"node-name": disk.value, "size": size})


def _size_of(monitor: Monitor, disk: DiskKind) -> int:
    """As its guest sees it. `command_line` names the nodes. What a QEMU answers is not believed to be an
    answer: a guest may have taken it over."""
    try:
        nodes = monitor.execute("query-named-block-nodes", flat=True)
        found = next((node for node in nodes if node["node-name"] == disk.value), None)
        if found is not None:
            return int(found["image"]["virtual-size"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unsupported("QEMU does not say how large its disks are", hint="restart the machine") from error
    raise Unsupported(f"this start of the machine has no disk {disk}", hint="restart it, and try again")


def _allow(pid: int, instance: Instance, size: int) -> None:
    now, most = _limits(pid)
    if now is None or now >= size:
        return
    if most is not None and most < size:
        raise Unsupported(
            f"{instance.name} was started by a version whose machines grow only while they are off",
            hint=f"skinnybox stop {instance.name}",
        )
    user = user_of(instance)
    become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    try:
        run.run([*become, "prlimit", f"--pid={pid}", f"--fsize={size}:"])
    except CommandFailed as error:
        raise Unsupported(
            f"{instance.name} cannot be allowed a larger disk while it runs: {error.message}",
            hint=f"skinnybox stop {instance.name}",
        ) from error


def _limits(pid: int) -> tuple[int | None, int | None]:
    """Bytes of a file that it may write, now and at most; None: any."""
    try:
        found = _LIMIT.search(Path(f"/proc/{pid}/limits").read_text())
    except OSError as error:
        raise Conflict("the machine has ended", hint="again: its disk grows while it is off") from error
    if found is None:
        raise Unsupported("/proc does not say how large files it may write")
    now, most = (None if each == "unlimited" else int(each) for each in found.groups())
    return now, most
