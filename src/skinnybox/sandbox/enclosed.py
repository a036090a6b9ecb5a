"""A program of a tree that is to be sealed, with that tree as its whole world. Runs in the child only.

It is root of a user namespace in which every id means itself, so it can give files to whomever the tree
knows; to the kernel it may do no more than whoever started it, and nothing outside: it has process ids,
mounts, a hostname and, unless it is given ours, a network of its own, in which nobody is. No program of the
tree runs before that is so. Every id means itself to files of this computer as well: so nothing that leads to
one is left there, neither an open file nor, by /proc, the interpreter of the first process.
"""

import contextlib
import os
import sys

from skinnybox.sandbox import libc
from skinnybox.sandbox.empty_root import BIND, NO_DEVICES, NO_SET_UID, PRIVATE, REMOUNT, WITH_ALL, kept

_NO_EXECUTE, _DETACH = 8, 2
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_STREAMS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_FAILED = 125
NETWORK, ALONE = "network", "alone"
NOT_EXECUTED = "cannot be executed"


def main() -> None:
    """Words: the tree; whether with our network; the program and what it is told. Its exit code is ours, 128
    and the number of a signal that ended it, 125 where it was not begun."""
    tree, network, *program = sys.argv[1:]
    try:
        # Before the namespace: what is without devices there stays so.
        libc.unshare("mounts of its own", libc.NEW_MOUNTS)
        libc.mount("", "/", "", WITH_ALL | PRIVATE)
        libc.mount(tree, tree, "", BIND)
        libc.mount("", tree, "", REMOUNT | BIND | NO_SET_UID | NO_DEVICES | kept(tree))
        code = _mapped(tree, 0 if network == NETWORK else libc.NEW_NETWORK, program)
    except OSError as error:
        print(f"{error.strerror}", file=sys.stderr)
        code = _FAILED
    os._exit(code)


def _mapped(tree: str, network: int, program: list[str]) -> int:
    """Who has left our user namespace cannot say who is who in the new one: we do."""
    unshared, told = os.pipe(), os.pipe()
    maps = {name: _identity(f"/proc/self/{name}") for name in ("uid_map", "gid_map")}
    child = os.fork()
    if child == 0:
        _as_child(tree, network, program, (unshared[1], told[0]))
    os.close(unshared[1])
    if os.read(unshared[0], 1):
        for name, text in maps.items():
            with open(f"/proc/{child}/{name}", "w") as file:
                file.write(text)
        os.write(told[1], b".")
    return _code(os.waitpid(child, 0)[1])


def _identity(file: str) -> str:
    with open(file) as lines:
        rows = [line.split() for line in lines]
    return "".join(f"{row[0]} {row[0]} {row[2]}\n" for row in rows)


def _as_child(tree: str, network: int, program: list[str], ends: tuple[int, int]) -> None:
    try:
        own = libc.NEW_MOUNTS | libc.NEW_PROCESSES | libc.NEW_QUEUES | libc.NEW_HOSTNAME | network
        libc.unshare("a user namespace", libc.NEW_USER | own)
        libc.end_with_who_forked()
        os.write(ends[0], b".")
        if not os.read(ends[1], 1):
            os._exit(_FAILED)
        first = os.fork()
        if first == 0:
            libc.end_with_who_forked()
            libc.hide_from_others()
            _inside(tree)
            os._exit(_first(program))
        os._exit(_code(os.waitpid(first, 0)[1]))
    except OSError as error:
        print(f"{error.strerror}", file=sys.stderr)
    os._exit(_FAILED)


def _inside(tree: str) -> None:
    """What a tree for machines has as empty folders. Where it came from it cannot be taken off: it lies once
    more on itself, without devices as there."""
    libc.mount(tree, tree, "", BIND)
    for folder in ("proc", "dev"):
        if os.path.islink(f"{tree}/{folder}"):
            raise OSError(0, f"/{folder} of the tree is a symlink")
        os.makedirs(f"{tree}/{folder}", exist_ok=True)
    with contextlib.suppress(PermissionError):  # where parts of ours are hidden, as in some containers
        libc.mount("proc", f"{tree}/proc", "proc", NO_SET_UID | NO_DEVICES | _NO_EXECUTE)
    libc.mount("tmpfs", f"{tree}/dev", "tmpfs", NO_SET_UID | _NO_EXECUTE, "mode=755")
    for name in _DEVICES:
        os.close(os.open(f"{tree}/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        libc.mount(f"/dev/{name}", f"{tree}/dev/{name}", "", BIND)
    for name, target in _STREAMS.items():
        os.symlink(target, f"{tree}/dev/{name}")
    os.mkdir(f"{tree}/dev/shm")
    os.chmod(f"{tree}/dev/shm", 0o1777)
    libc.make_root(tree, _DETACH)
    os.umask(0o022)


def _first(program: list[str]) -> int:
    """The first process there cannot be ended by a signal of its own, so it is not the program. All that this
    left running ends with it."""
    child = os.fork()
    if child == 0:
        libc.default_signals()
        os.setsid()
        _execute(program)
    while True:
        ended, status = os.wait()
        if ended == child:
            return _code(status)


def _execute(program: list[str]) -> None:
    """By hand: nothing of Python's own can be imported any more."""
    why = "there is none"
    for folder in os.environ["PATH"].split(":"):
        try:
            os.execve(f"{folder}/{program[0]}", program, os.environ)
        except FileNotFoundError:
            continue
        except OSError as error:
            why = str(error.strerror)
    os.write(2, f"{program[0]} of the tree {NOT_EXECUTED}: {why}\n".encode())
    os._exit(_FAILED)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
