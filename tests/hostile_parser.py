"""A parser that was taken over: all it tries, and what came of each try, as one line of JSON.

Runs by itself (`python -c`), and as a reader of ours. All it needs of the standard library is imported here.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
NO_SUCH_CALL = 999


def called(name: str, *arguments: object) -> int:
    return done(getattr(LIBC, name)(*arguments))


def done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(10) or b"empty"


def written(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"taken")


def connected(family: int, address: Any) -> None:
    with socket.socket(family) as made:
        made.settimeout(5)
        made.connect(address)


def sent(address: str) -> None:
    """By one end of a pair, which takes no `socket`: datagrams go where they are told to."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendto(b"taken", address)


def sent_at_once(port: int) -> None:
    """TCP, without `connect`."""
    with socket.socket() as made:
        made.sendto(b"taken", socket.MSG_FASTOPEN, ("127.0.0.1", port))


def told_in_a_datagram(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"taken", ("127.0.0.1", port))


def listened(port: int) -> None:
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen(1)


def forked() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def started_thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def told_by_a_pipe(parent: int) -> None:
    """The kernel signals whoever is named as a pipe's owner."""
    reading, _ = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, parent)


def sealed(descriptor: int) -> None:
    """Its flags, which its owner may change where it is open to be read only: nodump."""
    flags = bytearray(8)
    fcntl.ioctl(descriptor, 0x80086601, flags)
    fcntl.ioctl(descriptor, 0x40086602, struct.pack("=q", struct.unpack("=q", flags)[0] ^ 0x40))


def tries(home: str, port: int, parent: int, handed: int, own: int) -> dict[str, Callable[[], Any]]:
    """By name; each raises OSError when it is refused."""
    key, name = f"{home}/.ssh/id", os.path.basename(home)
    one = f"{home}/.ssh/old"
    return {
        "read a secret": lambda: read(key),
        "read /etc/passwd": lambda: read("/etc/passwd"),
        "read /etc/shadow": lambda: read("/etc/shadow"),
        "read another machine's disk": lambda: read(f"{home}/other/overlay.img"),
        "list a folder": lambda: os.listdir(home),
        "write authorized_keys": lambda: written(f"{home}/.ssh/authorized_keys"),
        "overwrite a file": lambda: written(one),
        "make a file in /tmp": lambda: written(f"/tmp/{name}-made"),
        "a file without a name": lambda: os.close(os.open("/tmp", os.O_TMPFILE | os.O_RDWR)),
        "cut a file off": lambda: os.truncate(one, 0),
        "open a file to others": lambda: os.chmod(key, 0o644),
        "date a file": lambda: os.utime(one, (0, 0)),
        "a second name": lambda: os.link(one, f"{home}/second"),
        "an attribute": lambda: os.setxattr(one, "user.a", b"b"),
        "name a file anew": lambda: os.rename(one, f"{home}/.ssh/new"),
        "a link": lambda: os.symlink("/etc", f"{home}/link"),
        "remove a file": lambda: os.unlink(f"{home}/.ssh/spare"),
        "make a folder": lambda: os.mkdir(f"{home}/folder"),
        "write what was handed to be read": lambda: written(f"/proc/self/fd/{handed}"),
        "flags of what was handed to be read": lambda: sealed(handed),
        "mode of what was handed to be read": lambda: os.fchmod(handed, 0o644),
        "connect to 127.0.0.1": lambda: connected(socket.AF_INET, ("127.0.0.1", port)),
        "connect to an abstract socket": lambda: connected(socket.AF_UNIX, f"\0{name}"),
        "connect to a socket": lambda: connected(socket.AF_UNIX, f"{home}/socket"),
        "send to a socket": lambda: sent(f"{home}/log"),
        "send to 127.0.0.1 at once": lambda: sent_at_once(port),
        "a datagram to 127.0.0.1": lambda: told_in_a_datagram(port),
        "listen at its own port": lambda: listened(own),
        "listen at another port": lambda: listened(own + 1),
        "a raw socket of this machine's": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "signal its parent": lambda: os.kill(parent, 0),
        "signal it by a thread": lambda: called("syscall", 234, parent, parent, 0),
        "signal it by a descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(parent), 0),
        "signal it by a pipe": lambda: told_by_a_pipe(parent),
        "trace its parent": lambda: called("ptrace", 0x4206, parent, 0, 0),
        "read its parent's memory": lambda: memory_of(parent),
        "limits of its parent": lambda: resource.prlimit(parent, resource.RLIMIT_CORE),
        "limits of its own": let_go,
        "niceness of its parent": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        "read its parent's environment": lambda: read(f"/proc/{parent}/environ"),
        "shared memory": lambda: called("shmget", 0, 4096, 0o600),
        "a process": forked,
        "a thread": started_thread,
        "another program": lambda: os.execv("/bin/true", ["true"]),
    }


def let_go() -> None:
    """As large files as its hard limit would allow."""
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
    except ValueError as error:  # what Python makes of EPERM
        raise PermissionError(str(error)) from error


def memory_of(parent: int) -> int:
    """One byte of it, where this very program has its own library: the address is as good as any."""
    space = ctypes.create_string_buffer(1)
    mine = struct.pack("@PN", ctypes.addressof(space), 1)
    theirs = struct.pack("@PN", int(read_whole(f"/proc/{parent}/maps").split(b"-")[0], 16), 1)
    return called("process_vm_readv", parent, mine, 1, theirs, 1, 0)


def read_whole(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def main(arguments: Sequence[str]) -> None:
    home, port, parent, handed, own, *but = arguments
    os.umask(0)
    said: dict[str, str | None] = {"handed": os.pread(int(handed), 100, 0).decode()}
    for name, attempt in tries(home, int(port), int(parent), int(handed), int(own)).items():
        if name in but:
            continue
        try:
            attempt()
            said[name] = None
        except (OSError, RuntimeError) as error:
            said[name] = str(error)
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
