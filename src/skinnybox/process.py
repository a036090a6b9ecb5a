"""Processes that outlive us: found again by pid and start time, watched and ended by descriptor."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from skinnybox.values import dataclass

_STATE, _USER_TIME, _SYSTEM_TIME, _START_TIME = 0, 11, 12, 19
"""Fields of /proc/<pid>/stat behind the command's closing parenthesis (proc(5): 3, 14, 15 and 22)."""
_DEAD = (b"Z", b"X")

_children: set[int] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of one boot of this machine; `started` is in clock ticks since that boot."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    """Which boot of this machine's kernel this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or only its exit code is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STATE] in _DEAD:
        return None
    return Process(pid=pid, started=int(fields[_START_TIME]), boot=boot_id())


def cpu_seconds(pid: int) -> float:
    """What it has used of processors since it began, with all its threads; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")


def holding(folder: Path) -> Iterator[tuple[int, str]]:
    """Processes that have something in it open, as far as we may see, with the names of their programs."""
    inside = f"{folder.resolve()}/"
    for found in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(f"{link.readlink()}/".startswith(inside) for link in (found / "fd").iterdir()):
                yield int(found.name), (found / "comm").read_text().strip()


def alive(process: Process) -> bool:
    return identify(process.pid) == process


def descriptor(process: Process) -> int | None:
    """A pidfd, readable once the process has ended; None when it has already."""
    try:
        opened = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if alive(process):
        return opened
    os.close(opened)
    return None


@contextlib.contextmanager
def held(process: Process) -> Iterator[int | None]:
    opened = descriptor(process)
    try:
        yield opened
    finally:
        if opened is not None:
            os.close(opened)


def ended(pidfd: int, timeout: float) -> bool:
    """Whether it ends within so many seconds."""
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    return bool(waiting.poll(int(timeout * 1000)))


def kill(pidfd: int) -> None:
    """Idempotent."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def reap(pid: int) -> int | None:
    """The exit code of a child that has ended (negative: a signal); None when it runs or is not ours."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if found else None


def remember(pid: int) -> int:
    """A child that may end long before we do; see reap_remembered."""
    _children.add(pid)
    return pid


def reap_remembered() -> None:
    """Let those go that have ended, so that a long-lived process of ours collects no zombies."""
    for pid in list(_children):
        if reap(pid) is not None:
            _children.discard(pid)
