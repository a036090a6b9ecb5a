"""A copy of a disk of a running machine, as it is at one point in time.

QEMU writes it, into a file that it is handed: it runs as another user, and may open none. A mirror is kept
until it is level with the disk and then let go of; unlike a backup job it keeps holes (which would be
written as reserved space otherwise), and the point in time is the copy's end.

The monitor serves one client at a time, so it is asked now and then, never held.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skinnybox.errors import CommandFailed, SkinnyboxError, TimedOut
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.operation import Operation
from skinnybox.overlays.copy import dig_holes
from skinnybox.sizes import MIB

_COPY = "skinnybox-copy"
"""Its node's name, and that of the file, its fd set and the job. `command_line` names the disks' nodes."""
_FILE = f"{_COPY}-file"
_POLL = (0.02, 0.5)
_PATIENCE = 60.0
_SLOWEST = 4 * MIB
_ENDING = 30.0


def copy_running(folder: Path, descriptor: int, operation: Operation, node: str) -> None:
    """Fill an open file, as large as the disk that is this `node`, from the machine whose run folder this is.
    For one process at a time: what an earlier one left in QEMU when it was killed is cleared away first.

    Raises Conflict when the machine ends meanwhile, TimedOut when it takes longer than a slow disk would.
    """
    _clear(folder)
    deadline = time.monotonic() + _PATIENCE + os.fstat(descriptor).st_size / _SLOWEST
    try:
        _begin(folder, descriptor, node)
        _await(folder, deadline, operation)
    except BaseException:
        # What stopped us is what the user must hear.
        with contextlib.suppress(SkinnyboxError):
            _clear(folder)
        raise
    _clear(folder)
    dig_holes(descriptor)


def _begin(folder: Path, descriptor: int, node: str) -> None:
    """All in one conversation: QEMU drops a file that nothing uses when it ends."""
    with Monitor(folder) as monitor:
        number = monitor.add_file(descriptor, _COPY)
        kept = {"discard": "unmap", "detect-zeroes": "unmap"}
        file = {"driver": "file", "filename": f"/dev/fdset/{number}", "locking": "off", "node-name": _FILE}
        monitor.execute(
            "blockdev-add", **{"driver": "raw", "node-name": _COPY, "file": {**file, **kept}, **kept}
        )
        monitor.execute(
            "blockdev-mirror",
            **{
                "job-id": _COPY,
                "device": node,
                "target": _COPY,
                "sync": "full",
                # the guest's writes go to both, so that it cannot outrun the copy
                "copy-mode": "write-blocking",
                "auto-dismiss": False,
            },
        )


def _await(folder: Path, deadline: float, operation: Operation) -> None:
    """Until the copy is level; then it is let go of, as it is at that moment."""
    for pause in _pauses():
        operation.sleep(pause)
        with Monitor(folder) as monitor:
            job = _job(monitor)
            if job is None or job["status"] in ("concluded", "aborting", "null"):
                raise _gave_up(job or {})
            if job["status"] == "ready":
                monitor.execute("block-job-cancel", device=_COPY)
                return _conclude(monitor)
        if time.monotonic() > deadline:
            raise TimedOut(
                "QEMU did not copy the overlay in time", hint="try again when the disk is less busy"
            )


def _conclude(monitor: Monitor) -> None:
    """The end of a mirror that is level is its success: QEMU says when all of it is in the file."""
    job = _ended(monitor)
    if "error" in job:
        raise _gave_up(job)
    monitor.execute("job-dismiss", id=_COPY)
    monitor.execute("blockdev-del", **{"node-name": _COPY})


def _gave_up(job: dict[str, Any]) -> CommandFailed:
    return CommandFailed(f"QEMU gave up copying the overlay: {job.get('error', 'it gives no reason')}")


def _ended(monitor: Monitor) -> dict[str, Any]:
    deadline = time.monotonic() + _ENDING
    while time.monotonic() < deadline:
        job = _job(monitor)
        if job is None or job["status"] == "concluded":
            return job or {}
        time.sleep(_POLL[0])
    raise TimedOut("QEMU does not end its copying of the overlay", hint="the machine runs on; try again")


def _clear(folder: Path) -> None:
    """Idempotent. Ends the job and closes the file, whoever began it."""
    with Monitor(folder) as monitor:
        if _job(monitor) is not None:
            with contextlib.suppress(CommandFailed):  # it may just have ended
                monitor.execute("block-job-cancel", device=_COPY, force=True)
            if _ended(monitor):
                monitor.execute("job-dismiss", id=_COPY)
        nodes = monitor.execute("query-named-block-nodes", flat=True)
        if any(node["node-name"] == _COPY for node in nodes):
            monitor.execute("blockdev-del", **{"node-name": _COPY})
        for group in monitor.execute("query-fdsets"):
            if any(file.get("opaque") == _COPY for file in group["fds"]):
                monitor.execute("remove-fd", **{"fdset-id": group["fdset-id"]})


def _job(monitor: Monitor) -> dict[str, Any] | None:
    return next((job for job in monitor.execute("query-jobs") if job["id"] == _COPY), None)


def _pauses() -> Iterator[float]:
    pause, longest = _POLL
    while True:
        yield pause
        pause = min(longest, pause * 1.5)
