"""Runs a command and strikes at one of its changes to a folder: the n-th, in the order of all its processes.

Made with seccomp's user notification: the kernel holds every call that changes something until we answer. So
threads and programs the command starts count as well, in one order (strace counts for each thread by itself).
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

CREAT, DIRFD, NOWHERE = 0o100, -100, -1
_CALLS: dict[int, tuple[str, int, int]] = {
    # number on x86_64: name, argument with the descriptor, argument with the path (of what is changed)
    1: ("write", 0, NOWHERE), 18: ("pwrite64", 0, NOWHERE), 20: ("writev", 0, NOWHERE),
    296: ("pwritev", 0, NOWHERE), 326: ("copy_file_range", 2, NOWHERE), 40: ("sendfile", 0, NOWHERE),
    77: ("ftruncate", 0, NOWHERE), 285: ("fallocate", 0, NOWHERE),
    74: ("fsync", 0, NOWHERE), 75: ("fdatasync", 0, NOWHERE),
    76: ("truncate", NOWHERE, 0), 2: ("open", NOWHERE, 0), 257: ("openat", 0, 1),
    82: ("rename", NOWHERE, 1), 264: ("renameat", 2, 3), 316: ("renameat2", 2, 3),
    86: ("link", NOWHERE, 1), 265: ("linkat", 2, 3), 88: ("symlink", NOWHERE, 1), 266: ("symlinkat", 1, 2),
    87: ("unlink", NOWHERE, 0), 263: ("unlinkat", 0, 1), 84: ("rmdir", NOWHERE, 0),
    83: ("mkdir", NOWHERE, 0), 258: ("mkdirat", 0, 1), 133: ("mknod", NOWHERE, 0), 259: ("mknodat", 0, 1),
}  # fmt: skip
_OPENS = {2: 1, 257: 2}
"""Which argument of an open holds its flags: only those that may create a file are held."""

NEEDS_SPACE = frozenset(
    """
    write pwrite64 writev pwritev copy_file_range sendfile fallocate open openat rename renameat renameat2
    link linkat symlink symlinkat mkdir mkdirat mknod mknodat
    """.split()  # noqa: SIM905
)
"""What a full disk refuses. (A truncate makes a hole; what syncs found its space before.)"""


class Deed(StrEnum):
    KILL = "kill"  # kill -9 of the command itself; what it started lives on
    FULL = "full"  # no space, from the n-th call that needs any to the end
    FAIL = "fail"  # EIO, once


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`at` counts from 1, for FULL only those calls that need space."""

    deed: Deed
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the command ended; `calls` are its changes below the folder; `struck`: the fault came."""

    code: int
    out: str
    err: str
    calls: tuple[str, ...]
    struck: bool


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_SECCOMP, _SET_FILTER, _NEW_LISTENER, _NO_NEW_PRIVILEGES = 317, 1, 1 << 3, 38
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _ANSWER, _CONTINUE = 0xC0502100, 0xC0182101, 1
_libc = ctypes.CDLL(None, use_errno=True)
PATIENCE = 60.0


def possible() -> bool:
    """Whether the calls of this machine are those that the table above numbers."""
    return platform.machine() == "x86_64" and os.geteuid() == 0


needs_injector = pytest.mark.skipif(not possible(), reason="holding system calls needs root, on x86_64")


def _filter() -> bytes:
    """BPF: call number in the table, and for opens O_CREAT in their flags, means notify; else allow."""

    def op(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    words = [op(0x20, 0, 0, 0)]  # load the number
    for number in _CALLS:
        if number in _OPENS:
            flags = 16 + 8 * _OPENS[number]
            words += [op(0x15, 0, 4, number), op(0x20, 0, 0, flags), op(0x45, 0, 1, CREAT)]
            words += [op(6, 0, 0, _NOTIFY), op(6, 0, 0, _ALLOW)]
        else:
            words += [op(0x15, 0, 1, number), op(6, 0, 0, _NOTIFY)]
    return b"".join([*words, op(6, 0, 0, _ALLOW)])


def _installer(to: socket.socket) -> Callable[[], None]:
    code = _filter()
    buffer = ctypes.create_string_buffer(code)
    program = _Program(len(code) // 8, ctypes.addressof(buffer))

    def install() -> None:
        listener = _libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER, ctypes.byref(program))
        if listener < 0:
            raise OSError(ctypes.get_errno(), "seccomp")
        socket.send_fds(to, [b"!"], [listener])
        _ = buffer  # the filter's bytes live as long as this function

    return install


def struck(
    argv: Sequence[str | Path], *, watched: Path, fault: Fault | None, env: Mapping[str, str] | None = None
) -> Ended:
    """Run to the end, programs it leaves behind included. Without a fault, only count."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            [os.fspath(word) for word in argv],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            preexec_fn=_installer(theirs), start_new_session=True,
        )  # fmt: skip
        listener = socket.recv_fds(ours, 1, 1)[1][0]
    try:
        watch = _Watch(listener, child.pid, os.fsencode(watched.resolve()), fault)
        out, err = watch.serve(child)
    finally:
        os.close(listener)
        with contextlib.suppress(ProcessLookupError), child:
            os.killpg(child.pid, signal.SIGKILL)
    return Ended(
        code=child.returncode,
        out=out.decode(),
        err=err.decode(),
        calls=tuple(watch.calls),
        struck=watch.struck,
    )


class _Watch:
    def __init__(self, listener: int, command: int, watched: bytes, fault: Fault | None) -> None:
        self._listener, self._command, self._watched, self._fault = listener, command, watched, fault
        self.calls: list[str] = []
        self.struck = False
        self._counted = 0

    def serve(self, child: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
        """Until every process under the filter is gone. Returns what the command printed."""
        assert child.stdout and child.stderr
        said = {child.stdout.fileno(): b"", child.stderr.fileno(): b""}
        poll = select.poll()
        for descriptor in (self._listener, *said):
            poll.register(descriptor, select.POLLIN)
        over = False
        while not over:
            events = poll.poll(PATIENCE * 1000)
            assert events, f"no call and no end within {PATIENCE:g} s after {self.calls[-3:]}"
            for descriptor, event in events:
                if descriptor != self._listener:
                    if data := os.read(descriptor, 65536):
                        said[descriptor] += data
                    else:
                        poll.unregister(descriptor)
                elif event & select.POLLIN:
                    self._answer()
                else:
                    over = True
            if over:
                child.wait()
        for descriptor in said:
            while data := os.read(descriptor, 65536):
                said[descriptor] += data
        first, second = said.values()
        return first, second

    def _answer(self) -> None:
        held = bytearray(80)
        with contextlib.suppress(FileNotFoundError):  # it was killed while we were on our way
            fcntl.ioctl(self._listener, _RECEIVE, held)
            identity, pid, _, number = struct.unpack_from("=QIIi", held)
            arguments = struct.unpack_from("=6Q", held, 32)
            error = self._verdict(pid, number, arguments)
            if error is None:
                return
            answer = struct.pack("=QqiI", identity, 0, -error, 0 if error else _CONTINUE)
            fcntl.ioctl(self._listener, _ANSWER, bytearray(answer))

    def _verdict(self, pid: int, number: int, arguments: tuple[int, ...]) -> int | None:
        """The error it is to get; 0: go on; None: nobody waits for an answer any more."""
        name, descriptor, path = _CALLS[number]
        try:
            place = _place(pid, arguments, descriptor, path)
        except OSError:
            return 0  # gone meanwhile, or the call itself is wrong
        if not (place + b"/").startswith(self._watched + b"/"):
            return 0
        self.calls.append(f"{name} {os.fsdecode(place[len(self._watched) + 1 :])}")
        return self._strike(pid, name) if self._fault else 0

    def _strike(self, pid: int, name: str) -> int | None:
        assert self._fault
        full = self._fault.deed is Deed.FULL
        if full and name not in NEEDS_SPACE:
            return 0
        self._counted += 1
        if self._counted != self._fault.at and not (full and self.struck):
            return 0
        self.struck = True
        if self._fault.deed is Deed.KILL:
            own = Path(f"/proc/{self._command}/task/{pid}").exists()
            os.kill(self._command, signal.SIGKILL)
            return None if own else 0
        return errno.ENOSPC if full else errno.EIO


def _place(pid: int, arguments: tuple[int, ...], descriptor: int, path: int) -> bytes:
    """What the call changes, as a path."""
    base = ctypes.c_int(arguments[descriptor]).value if descriptor != NOWHERE else DIRFD
    link = Path(f"/proc/{pid}/cwd" if base == DIRFD else f"/proc/{pid}/fd/{base}")
    if path == NOWHERE:
        return bytes(link.readlink())
    named = _string(pid, arguments[path])
    return os.path.normpath(named if named.startswith(b"/") else bytes(link.readlink()) + b"/" + named)


def _string(pid: int, address: int) -> bytes:
    """A path in the memory of a process. It may end just before a page that is not there."""
    found = b""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        while b"\0" not in found and len(found) < 4096:
            at = address + len(found)
            memory.seek(at)
            found += memory.read(4096 - at % 4096)
    return found.split(b"\0")[0]
