"""Landlock: which files a process may open from now on, whoever it is. In the child only."""

import errno
import os
import stat
import struct

from skinnybox.sandbox import libc

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _BENEATH = 1, 1

_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1
_SINCE = ((2, _REFER), (3, _TRUNCATE), (5, _DEVICE_CONTROL))
"""What each version of the interface added to what it can deny of files."""

_OF_A_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE_CONTROL
_RIGHTS = {
    "read": _READ | _LIST,
    "anew": _READ,
    "told": _READ,
    "execute": _READ | _EXECUTE,
    "write": _READ | _WRITE | _TRUNCATE,
    "device": _READ | _WRITE | _DEVICE_CONTROL,
    # No devices, sockets and pipes: nothing but plain content comes to be there.
    "folder": _FIRST & ~(_EXECUTE | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11) | _REFER | _TRUNCATE,
}
_NETWORK_SINCE, _TCP, _BIND, _PORT = 4, 0b11, 0b01, 2
_SCOPES_SINCE, _SCOPES = 6, (0b11, 0b01, 0)
"""Signals and abstract sockets, of processes outside. Some kernels of RHEL 9 say 6 and lack signals."""


def version() -> int:
    """Of the kernel's interface; 0 where there is none."""
    try:
        return libc.system_call("Landlock", _CREATE, 0, 0, _ASK_VERSION)
    except OSError as error:
        # Not built in, switched off at boot, or hidden by the filter of a container that does not know it.
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def ruleset(
    places: list[tuple[str | int, str]], known: int, *, network: bool = False, ports: list[int] | None = None
) -> int:
    """What restrict takes: nothing may be opened but `places`, (path or open file, what for). `known` is the
    kernel's version. Made by who still reaches the paths. TCP is denied but with `network`; to listen at
    `ports` is not.

    A path that is not there is passed over. Raises OSError.
    """
    handled = _FIRST
    for since, right in _SINCE:
        handled |= right if known >= since else 0
    rules = _empty(handled, known, network)
    for place, what in places:
        _allow(rules, place, _RIGHTS[what] & handled)
    for port in (ports or ()) if not network and known >= _NETWORK_SINCE else ():
        libc.system_call("Landlock", _ADD, rules, _PORT, struct.pack("=QQ", _BIND, port), 0)
    return rules


def allow_copies(rules: int, places: list[tuple[str | int, str]]) -> None:
    """What an empty root has in place of files without a name is there only now."""
    for place, what in places:
        if what == "told":
            _allow(rules, f"/proc/self/fd/{place}", _RIGHTS[what])


def restrict(rules: int) -> None:
    """From now on, for good. Needs no_new_privs. Raises OSError."""
    libc.system_call("Landlock", _RESTRICT, rules, 0)
    os.close(rules)


def _empty(handled: int, known: int, network: bool) -> int:
    denied = _TCP if known >= _NETWORK_SINCE and not network else 0
    for scopes in _SCOPES if known >= _SCOPES_SINCE else (0,):
        # As long as the kernel knows it: of an older one, a longer value would have to end in zeros.
        value = struct.pack("=QQQ", handled, denied, scopes)
        size = 24 if scopes else 16 if denied else 8
        try:
            return libc.system_call("Landlock", _CREATE, value[:size], size, 0)
        except OSError as error:
            if error.errno != errno.EINVAL or not scopes:
                raise
    raise AssertionError("the last try has no scopes")


def _allow(rules: int, place: str | int, rights: int) -> None:
    try:
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC) if isinstance(place, str) else os.dup(place)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        kind = os.fstat(opened).st_mode
        if stat.S_ISDIR(kind):
            if isinstance(place, int):  # all beneath it would be open with it
                raise OSError(errno.EISDIR, "a folder was handed to a confined program")
        elif isinstance(place, int) and not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
            return  # a pipe has no path, and needs none
        else:
            rights &= _OF_A_FILE
        libc.system_call("Landlock", _ADD, rules, _BENEATH, struct.pack("=Qi", rights, opened), 0)
    except OSError as error:
        # A file of the kernel's own filesystems (memfd_create) takes no rule: no path leads to it but its
        # descriptor, so there is nothing that Landlock would deny.
        if isinstance(place, str) or error.errno != errno.EBADFD:
            raise
    finally:
        os.close(opened)
