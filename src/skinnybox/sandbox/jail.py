"""How a process shuts itself in, before it sees a byte of a stranger's. Runs in the child, and imports next
to nothing: measured in processor time, a program costs 17 to 19 ms to start where `prlimit unshare setpriv`
before it took 6 (an interpreter 10, ctypes 4), and a reader of ours what it did, 60.

Three kinds of process do it. A reader of ours has imported all it needs, and needs no file any more but
those it was handed. A program (e2fsck) is executed afterwards, so it may open itself, its loader and
libraries. QEMU is such a program, with more of its own (machine.py).
"""

import os
import resource
import stat
import struct

from skinnybox.sandbox import empty_root, landlock, libc, system_calls
from skinnybox.sandbox.sockets import INTERNET, NO_SOCKETS

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes as long as an interpreter; so does `signal`, and `platform`
    from typing import NoReturn

REPORTED, FAILED = "in force", "failed"
LANDLOCK, EMPTY_ROOT, FILTER, NETWORK = "Landlock", "an empty root", "a filter of system calls", "no network"

Place = tuple[str | int, str]
"""A path, or an open file, and what for: "read", "anew" (an open file that surely is opened anew to be read),
"told" (the same of one that never had a name), "execute", "write", "device" or "folder" (all but execute, in
it)."""

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_ALWAYS: tuple[Place, ...] = (
    ("/etc/ld.so.cache", "read"), ("/etc/ld.so.preload", "read"),
    ("/dev/null", "write"), ("/dev/zero", "read"), ("/dev/urandom", "read"),
    ("/proc/mounts", "read"),
)  # fmt: skip
"""The last because resize2fs refuses to work where it cannot ask whether its disk is mounted."""
_LIMITS = {
    "as": resource.RLIMIT_AS, "cpu": resource.RLIMIT_CPU, "fsize": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE, "nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC,
}  # fmt: skip
NOT_SHUT_IN = 125
_INTERPRETER = 3


def run(words: list[str]) -> "NoReturn":
    """The first two words are as shut_in takes them, the rest is a program and what it is told."""
    orders, folder, *program = words
    report = shut_in(orders, folder, program[0])
    libc.default_signals()
    try:
        os.execve(program[0], program, os.environ)
    except OSError as error:
        _fail(report, f"{program[0]} cannot be executed: {error.strerror}")


def read(words: list[str]) -> None:
    """The same for a process that executes nothing more."""
    os.close(shut_in(words[0], words[1], None))


def shut_in(orders: str, folder: str, program: str | None) -> int:
    """Do as `orders` say (see confinement.orders); `folder`, if it is one, may be written to, and is where
    it finds itself. Returns the pipe
    on which what is in force was told. Where something cannot be had that is told there, and the process
    ends."""
    found = dict(word.split("=", 1) for word in orders.split(";"))
    report = int(found["report"])
    os.set_inheritable(report, False)
    try:
        places = [*handed(found["handed"]), *([(folder, "folder")] if folder else [])]
        if program is not None:
            places += of_program(program)
        said = shut(found, places, folder)
    except (OSError, ValueError) as error:
        _fail(report, why(error))
    os.write(report, "\n".join([REPORTED, *said, ""]).encode())
    return report


def _fail(report: int, because: str) -> "NoReturn":
    os.write(report, f"{FAILED}\n{because}\n".encode("utf-8", "replace"))
    os._exit(NOT_SHUT_IN)


def why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def shut(
    found: dict[str, str], places: list[Place], folder: str = "", sockets: str = NO_SOCKETS
) -> list[str]:
    """What is in force then. The order matters: what takes a privilege comes before it is gone."""
    weak, without = found["weak"] == "1", found["without"].split(",")
    libc.give_up_privileges()
    known = 0 if LANDLOCK in without else _version(without)
    ports = [int(port) for port in found.get("ports", "").split(",") if port]
    # Made by who still reaches the paths, and in the root they are in.
    rules = landlock.ruleset(places, known, network=sockets == INTERNET, ports=ports) if known else None
    said = [f"{LANDLOCK} {known}"] if known else []
    if not known or found.get("root") == "1":
        said += _another_root(places, weak or known > 0, without, sockets)
    if rules is not None and EMPTY_ROOT in said:
        landlock.allow_copies(rules, places)
    if sockets == NO_SOCKETS and NETWORK not in said and _alone():
        said.append(NETWORK)
    if folder:
        os.chdir(folder)  # which may lie where nobody but who started us gets: it is not named any more
    limit(found["limits"])
    become(found)
    if rules is not None:
        landlock.restrict(rules)
    return said + _filtered(int(found["threads"]), sockets, weak, without)


def _filtered(threads: int, sockets: str, weak: bool, without: list[str]) -> list[str]:
    try:
        if FILTER in without:
            raise OSError(0, "the kernel has no filter of system calls (seccomp)")
        system_calls.filtered(threads, sockets=sockets)
    except OSError:
        if not weak:
            raise
        return []
    return [FILTER]


def _version(without: list[str]) -> int:
    """Older than any that is to be done without: a number after its name."""
    refused = [int(word.removeprefix(LANDLOCK)) for word in without if word.startswith(LANDLOCK)]
    return min([landlock.version(), *(number - 1 for number in refused)])


def _alone() -> bool:
    """A second wall, where it is to be had: what denies sockets is the filter. For an ordinary user the
    namespace where this is allowed is one in which it is nobody."""
    user = 0 if os.geteuid() == 0 else libc.NEW_USER
    try:
        libc.unshare("a network of its own", libc.NEW_NETWORK | user)
    except OSError:
        return False
    return True


def _another_root(places: list[Place], optional: bool, without: list[str], sockets: str) -> list[str]:
    """Where the kernel has no Landlock (Debian 11) or it was switched off at boot; beside it for a QEMU that
    root starts."""
    network = sockets != NO_SOCKETS
    try:
        if EMPTY_ROOT in without:
            raise OSError(0, "it may not be tried")
        empty_root.enter(places, network=network)
    except OSError as error:
        if optional:
            return []
        because = f"this kernel gives no Landlock, and no root of its own either: {error.strerror}"
        raise OSError(error.errno, because) from error
    return [EMPTY_ROOT] if network else [EMPTY_ROOT, NETWORK]


def limit(limits: str) -> None:
    for word in limits.split(","):
        name, value = word.split(":")
        now, _, later = value.partition("-")
        _, most = resource.getrlimit(_LIMITS[name])
        # Who started us may have less already, and then that holds.
        bounds = [
            int(each) if most == resource.RLIM_INFINITY else min(int(each), most)
            for each in (now, later or now)
        ]
        try:
            resource.setrlimit(_LIMITS[name], (bounds[0], bounds[1]))
        except OSError as error:
            raise OSError(error.errno, f"the limit {name} of {value}: {error.strerror}") from error


def become(found: dict[str, str]) -> None:
    """Who it is to be, and, where that is asked for, nobody any more when who started it is gone."""
    libc.drop_bounding()
    if found["user"]:
        os.setgroups([int(group) for group in found.get("groups", "").split(",") if group])
        os.setresgid(*[int(found["user"])] * 3)
        os.setresuid(*[int(found["user"])] * 3)
    libc.drop_capabilities()
    if found.get("parent"):
        libc.end_with(int(found["parent"]))


def handed(words: str) -> list[Place]:
    return [(int(number), what) for number, what in (word.split(":") for word in words.split(",") if word)]


def of_program(program: str) -> list[Place]:
    """What it takes to execute it; libraries lie beside it where it is not the distribution's."""
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(program)))
    beside = [f"{prefix}/{name}" for name in ("lib", "lib64")]
    folders: list[Place] = [(folder, "read") for folder in dict.fromkeys((*_LIBRARIES, *beside))]
    loader = _loader(program)
    return [*folders, *_ALWAYS, (program, "execute"), *([(loader, "execute")] if loader else [])]


def _loader(program: str) -> str | None:
    """The interpreter that an ELF program of 64 bits names: the kernel executes it as well."""
    with open(program, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02" or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, f"{program} is no program that can be confined: a script?")
        start, size, count = *struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(start + number * size)
            entry = file.read(56)
            if struct.unpack_from("<I", entry)[0] == _INTERPRETER:
                file.seek(struct.unpack_from("<Q", entry, 8)[0])
                return os.fsdecode(file.read(struct.unpack_from("<Q", entry, 32)[0]).rstrip(b"\0"))
    return None
