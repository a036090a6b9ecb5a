"""System calls that Python has no words for. Used in a child of ours, before it does what it is for, and by
masters/uncopied.py."""

import ctypes
import os

NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
NEW_PROCESSES, NEW_QUEUES, NEW_HOSTNAME = 0x20000000, 0x08000000, 0x04000000

_LIBC = ctypes.CDLL(None, use_errno=True)
_NO_NEW_PRIVILEGES, _DROP_BOUNDING, _AMBIENT, _CLEAR_ALL = 38, 24, 47, 4
_CAPABILITIES_VERSION = 0x20080522
_PIVOT_ROOT = {"x86_64": 155}
_GENERIC_PIVOT_ROOT = 41
_MOST_CAPABILITIES = 64
_SIGPIPE, _SIGXFSZ = 13, 25
_DEATH_SIGNAL, _KILL = 1, 9
_DUMPABLE = 4
_DETACH = 2


def system_call(what: str, number: int, *arguments: "int | bytes | ctypes.Array[ctypes.c_char]") -> int:
    """Raises OSError, which names `what`."""
    # A variadic function: each argument as wide as a register, or its upper half is whatever was there.
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(what, _LIBC.syscall(ctypes.c_long(number), *words))


def control(what: str, *arguments: int) -> int:
    """prctl. Raises OSError, which names `what`."""
    words = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5]]
    return _checked(what, _LIBC.prctl(*words))


def address_of(buffer: "ctypes.Array[ctypes.c_char]") -> int:
    return ctypes.addressof(buffer)


def buffer_of(content: bytes) -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(content, len(content))


def unshare(what: str, flags: int) -> None:
    _checked(what, _LIBC.unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [os.fsencode(word) or None for word in (source, target, kind)]
    _checked(f"mounting {target}", _LIBC.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) or None))


def unmount(target: str) -> None:
    """At once for whoever looks; what is open of it stays until it is closed."""
    _checked(f"unmounting {target}", _LIBC.umount2(os.fsencode(target), ctypes.c_int(_DETACH)))


def make_root(folder: str, old: int) -> None:
    """`folder`, which is a mount, becomes the root, and what was it is gone. `old` is the flag to detach."""
    os.chdir(folder)
    number = _PIVOT_ROOT.get(os.uname().machine, _GENERIC_PIVOT_ROOT)
    # Onto itself: the old root then lies on top of the new one, and is taken off.
    system_call("a new root", number, b".", b".")
    _checked("leaving the old root", _LIBC.umount2(b".", ctypes.c_int(old)))
    os.chdir("/")


def default_signals() -> None:
    """Python ignores these two, and what is ignored stays so: a program that writes too much dies of it."""
    for number in (_SIGPIPE, _SIGXFSZ):
        _LIBC.signal(ctypes.c_int(number), None)


def give_up_privileges() -> None:
    """For good, whoever we are: no set-uid program and no file's capabilities count from now on."""
    control("no new privileges", _NO_NEW_PRIVILEGES, 1)


def drop_bounding() -> None:
    """All capabilities from what programs we execute could have. Does nothing for who has none."""
    for number in range(_MOST_CAPABILITIES):
        try:
            control("the bounding set", _DROP_BOUNDING, number)
        except OSError:  # no such capability, or not ours to drop: then none can come of it either
            return


def end_with(parent: int) -> None:
    """Killed as soon as that thread of our parent ends that started us. A change of user clears it, so it
    comes after. Raises OSError when it came too late."""
    control("ending with who started us", _DEATH_SIGNAL, _KILL)
    if os.getppid() != parent:
        raise OSError(0, "who started this is gone")


def hide_from_others() -> None:
    """From now on nobody finds by /proc what this process has open or executes (CVE-2019-5736), but who may
    trace it in the user namespace in which its program was executed."""
    control("hiding what it has open", _DUMPABLE, 0)


def end_with_who_forked() -> None:
    """The same of a child that cannot ask who that is: it has process ids of its own."""
    control("ending with who started us", _DEATH_SIGNAL, _KILL)


def drop_capabilities() -> None:
    control("ambient capabilities", _AMBIENT, _CLEAR_ALL)
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    _checked("capabilities", _LIBC.capset(header, nothing))


def _checked(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
