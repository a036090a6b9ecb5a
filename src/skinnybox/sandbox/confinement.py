"""What a parser of foreign bytes may do: its bounds, who it runs as, and how its process is told (see jail).

Started by root, it runs as a user of its own that nobody else is; started by an ordinary user, it still is
that user to the kernel, so who it is protects nothing. Whoever started it: it opens no file but those it was
handed (a program: and those it consists of), makes and changes none, has no sockets, sends no signals, starts
no process, gains no privilege, and has no terminal and none of our environment.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import CommandFailed, NotStarted, TimedOut
from skinnybox.sandbox.sockets import NO_SOCKETS
from skinnybox.values import dataclass

if TYPE_CHECKING:
    from skinnybox.run import Child

FIRST_USER, USERS = 0x6F000000, 1 << 24
"""The uids that confined programs run as when root starts them: a random one for each call."""

WITHOUT: tuple[str, ...] = ()
"""What of jail is done without, by name: so a test runs as on a kernel that has less."""

_PYTHON = (sys.executable, "-I", "-S", "-c")
_PACKAGES = Path(__file__).parent.parent.parent
# The standard library comes first: what else lies beside our package has no say here.
_RUN = "import sys; sys.path.append(sys.argv[1]); from skinnybox.sandbox import jail; jail.run(sys.argv[2:])"
_MACHINE = _RUN.replace("jail", "machine")
# Imports come first: what root may read (a home, a virtual environment) its user often may not; and
# afterwards nothing at all may be opened.
_READ = (
    "import sys; sys.path.append(sys.argv[1]); from importlib import import_module; "
    "from skinnybox.sandbox import jail; main = import_module(sys.argv[4]).main; "
    "jail.read(sys.argv[2:4]); main(sys.argv[5:])"
)
NOT_SET_UP = "the confinement could not be set up"
HINT = (
    "what reads foreign disks, and QEMU, is shut in by Landlock (Linux 5.13, and not switched off at boot), "
    "else by a mount namespace, and by seccomp: `skinnybox doctor`. With `confinement = weak` in the "
    "settings it runs with what there is"
)
WEAK = "a kernel with Landlock and seccomp, and without `confinement = weak`: then nothing runs with less"
_weak = False
_MANY = 1 << 16
_FEWEST_IDS = 1024
_WATCH = 0.5
_MAPS = (Path("/proc/self/uid_map"), Path("/proc/self/gid_map"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one call may take: `memory` (address space), `file_size` (the largest file it may write) and
    `output` (all it may print) in bytes; `waiting` is the seconds we wait for it, all together; `threads`
    counts its threads; it has no processes. More than one are counted only where it has a user of its own.
    `pipe` is how much of what it prints may wait for us: more, where it prints much."""

    memory: int = 1 << 30
    cpu_seconds: int = 60
    file_size: int = 0
    output: int = 16 << 20
    threads: int = 1
    files: int = 64
    pipe: int = 1 << 16

    @property
    def waiting(self) -> float:
        return self.cpu_seconds * 4.0


def user() -> int | None:
    """A uid and gid for one call; None when we cannot give up ours, or have none that is worth it."""
    if os.geteuid() != 0:
        return None
    ranges = [_mapped(file) for file in _MAPS]
    if all(_covers(found, FIRST_USER, USERS) for found in ranges):
        return FIRST_USER + _below(USERS)
    # Root of a namespace: one of the last ids it has, where no system of its own puts a user.
    last = min(max(first + count for first, count in found) for found in ranges) - 4
    if all(_covers(found, last - _FEWEST_IDS, _FEWEST_IDS) for found in ranges):
        return last - _below(_FEWEST_IDS)
    return None


def allow_weak(allowed: bool) -> None:
    """Whether programs may run with less around them than is promised, where this machine cannot give it.

    Said once for the whole process, by who read the settings: a reader is started far below those, by much
    that has no business knowing them.
    """
    global _weak
    _weak = allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a confined process is given: open files to read, `owned` ones also to be written and opened anew,
    and a folder in which it may do as it likes, and starts."""

    files: Sequence[int] = ()
    owned: Sequence[int] = ()
    folder: Path | None = None


def program_words(
    bounds: Bounds, who: int | None, handed: Handed, report: int, words: list[str]
) -> list[str]:
    """The words that run a program shut in; what is in force is told on `report` (see jail)."""
    return [*_PYTHON, _RUN, str(_PACKAGES), *_told(bounds, who, handed, report), *words]


def reader_words(
    bounds: Bounds, who: int | None, handed: Handed, report: int, module: str, arguments: Sequence[str]
) -> list[str]:
    """The same for `main(arguments)` of a module of this package: without site-packages, in 50 ms."""
    return [*_PYTHON, _READ, str(_PACKAGES), *_told(bounds, who, handed, report), module, *arguments]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineBounds:
    """What a QEMU is left (see machine): who it is (None: ourselves) and in which `groups`, limits by name
    (two numbers: what holds now, and how far we may raise it, which itself it cannot), what of `sockets` (see
    there; `ports` are where it listens), files it opens anew to be read (`told`: those that never had a
    name), the device of KVM, and which resolvers this machine has. `tied`: it ends with us, which start it
    and wait for it."""

    limits: Mapping[str, int | tuple[int, int]]
    user: int | None
    groups: Sequence[int] = ()
    files: Sequence[int] = ()
    told: Sequence[int] = ()
    sockets: str = NO_SOCKETS
    ports: Sequence[int] = ()
    kvm: bool = False
    resolves: bool = False
    tied: bool = False


def machine_words(words: Sequence[str], bounds: MachineBounds, report: int | None = None) -> list[str]:
    """The words that run QEMU shut in; what is in force is told on `report`. What never began ends as
    never_began knows it. CommandFailed where there is no such program."""
    from skinnybox.run.environment import find
    from skinnybox.run.programs import missing, words_of

    if find(words[0]) is None:
        raise missing(words[0])
    program, *told = words_of(words)
    orders = {
        "report": "" if report is None else report, "user": "" if bounds.user is None else bounds.user,
        "groups": ",".join(map(str, bounds.groups)), "threads": _MANY,
        "limits": ",".join(f"{name}:{_bound(value)}" for name, value in bounds.limits.items()),
        "handed": ",".join(
            [*(f"{file}:anew" for file in bounds.files), *(f"{file}:told" for file in bounds.told)]
        ), "sockets": bounds.sockets,
        "ports": ",".join(map(str, bounds.ports)), "kvm": int(bounds.kvm), "resolves": int(bounds.resolves),
        # Beside Landlock, which closes what matters: no more than who is root has anyhow is used for it.
        "root": int(os.geteuid() == 0), "parent": os.getpid() if bounds.tied else "",
        "weak": int(_weak), "without": ",".join(WITHOUT),
    }  # fmt: skip
    said = ";".join(f"{key}={value}" for key, value in orders.items())
    return [*_PYTHON, _MACHINE, str(_PACKAGES), said, program, *told]


def _bound(value: int | tuple[int, int]) -> str:
    return str(value) if isinstance(value, int) else f"{value[0]}-{value[1]}"


def never_began(code: int | None, said: str) -> NotStarted | None:
    """What is to be raised when that is how QEMU ended, and what it said: it was never begun, for want of a
    confinement. Nothing that a guest or a kernel is to blame for."""
    from skinnybox.printable import printable
    from skinnybox.sandbox import jail, machine

    last = (said.strip().splitlines() or [""])[-1]
    if code != jail.NOT_SHUT_IN or machine.FAILED not in last:
        return None
    return NotStarted(f"{NOT_SET_UP}: {printable(last)[:300]}", hint=HINT)


def _told(bounds: Bounds, who: int | None, handed: Handed, report: int) -> list[str]:
    limits = {
        "as": bounds.memory, "cpu": bounds.cpu_seconds, "fsize": bounds.file_size, "core": 0,
        "nofile": bounds.files,
    }  # fmt: skip
    if who is not None:
        limits["nproc"] = bounds.threads
    files = [*(f"{file}:read" for file in handed.files), *(f"{file}:write" for file in handed.owned)]
    orders = {
        "report": report, "user": "" if who is None else who, "threads": bounds.threads,
        "limits": ",".join(f"{name}:{value}" for name, value in limits.items()), "handed": ",".join(files),
        "weak": int(_weak), "without": ",".join(WITHOUT),
    }  # fmt: skip
    return [";".join(f"{key}={value}" for key, value in orders.items()), str(handed.folder or "")]


def path_of(descriptor: int) -> str:
    """Where a confined program finds a file it was handed as a descriptor, when it must have a path."""
    return f"/proc/self/fd/{descriptor}"


def pieces(
    child: "Child", name: str, bounds: Bounds, watch: Callable[[], None] | None = None
) -> Iterator[bytes]:
    """What it prints until it closes its output. CommandFailed for too much, TimedOut for too slow: the time
    we wait for it counts, not what we do between. `watch` is called now and then while we wait."""
    assert child.stdout is not None
    descriptor, poller = child.stdout.fileno(), select.poll()
    poller.register(descriptor, select.POLLIN)
    left, total = bounds.waiting, 0
    while True:
        before = time.monotonic()
        ready = poller.poll(max(0.0, min(left, _WATCH)) * 1000)
        left -= time.monotonic() - before
        if watch is not None:
            watch()
        if not ready:
            if left <= 0:
                raise TimedOut(f"{name} did not end within {bounds.waiting:g} s")
            continue
        piece = os.read(descriptor, bounds.pipe)
        if not piece:
            return
        total += len(piece)
        if total > bounds.output:
            raise CommandFailed(f"{name} was stopped: it printed more than {bounds.output} bytes")
        yield piece


def kill(child: "Child") -> None:
    """With all that it started; it leads a session of its own."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _below(count: int) -> int:
    """At random; `count` is a power of two."""
    return int.from_bytes(os.urandom(4), "little") % count


def _mapped(file: Path) -> list[tuple[int, int]]:
    """(first, count) of the ids that this user namespace has."""
    rows = [line.split() for line in file.read_text().splitlines()]
    return [(int(row[0]), int(row[2])) for row in rows] or [(0, 1)]


def _covers(ranges: list[tuple[int, int]], first: int, count: int) -> bool:
    return any(start <= first and first + count <= start + length for start, length in ranges)
