"""A root folder with nothing in it but what may be opened, for kernels without Landlock. In the child only.

Open files are found in it where they are found elsewhere, in /proc/self/fd: of /proc there is nothing else.
Of a file that never had a name (memfd_create) there is a copy: nothing else could be bound there. It is in
memory as well, and in a root that this process alone has.
"""

import os
import stat

from skinnybox.sandbox import libc

_READ_ONLY, NO_SET_UID, NO_DEVICES, _NO_EXECUTE = 1, 2, 4, 8
REMOUNT, BIND, WITH_ALL, PRIVATE = 32, 4096, 16384, 1 << 18
_NO_TIMES, _NO_FOLDER_TIMES, _RELATIVE_TIMES = 1024, 2048, 1 << 21
_SAYS_RELATIVE_TIMES = 4096
_DETACH = 2
_ROOM, _BLOCK = 1 << 20, 1 << 12
_PLACES = ("/tmp", "/mnt", "/var", "/usr")
"""Where the new root is put together; it hides what is there from this process only."""


def enter(places: list[tuple[str | int, str]], *, network: bool) -> None:
    """The places are as in jail. A path that is not there is passed over. Without `network` it has one of its
    own as well, with nobody in it. Raises OSError."""
    _unshared(0 if network else libc.NEW_NETWORK)
    libc.mount("", "/", "", WITH_ALL | PRIVATE)
    opened = [found for place, what in places if (found := _opened(place, what))]
    root = next(place for place in _PLACES if os.path.isdir(place))
    os.umask(0o022)
    copied = sum(os.fstat(descriptor).st_size + _BLOCK for _, descriptor, what in opened if what == "told")
    room = f"mode=755,size={_ROOM + copied}"
    libc.mount("tmpfs", root, "tmpfs", NO_SET_UID | NO_DEVICES, room)
    for path, descriptor, what in opened:
        _bound(f"{root}{path}", descriptor, what)
        os.close(descriptor)
    libc.mount("", root, "", REMOUNT | BIND | _READ_ONLY | NO_SET_UID | NO_DEVICES)
    libc.make_root(root, _DETACH)


def _unshared(network: int) -> None:
    user, group = os.geteuid(), os.getegid()
    own = 0 if user == 0 else libc.NEW_USER
    libc.unshare("a mount namespace", libc.NEW_MOUNTS | network | own)
    if not own:
        return
    # Files can be made only by somebody that there is.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _opened(place: str | int, what: str) -> tuple[str, int, str] | None:
    if isinstance(place, str):
        try:
            return place, os.open(place, os.O_PATH | os.O_CLOEXEC), what
        except (FileNotFoundError, NotADirectoryError):
            return None
    if not stat.S_ISREG(os.fstat(place).st_mode):
        return None
    if what == "told":
        return f"/proc/self/fd/{place}", os.dup(place), what
    # Anew, by its name: as it was opened it belongs to the mounts of who started us, and is not bound here.
    path = f"/proc/self/fd/{place}"
    try:
        opened = os.open(os.readlink(path), os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        _nameless(what, error.strerror)
        return None
    if not os.path.samestat(os.fstat(opened), os.fstat(place)):
        os.close(opened)
        _nameless(what, "another file has its name")
        return None
    return path, opened, what


def _nameless(what: str, why: str | None) -> None:
    """It has no name any more, or one that is closed to us. Only to be opened anew it needs one."""
    if what in ("write", "anew"):
        raise OSError(0, f"a file that was handed over is not to be found by its name: {why}")


def _bound(target: str, descriptor: int, what: str) -> None:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.lexists(target):  # a loader lies among its libraries
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    if what == "told":
        _copied(target, descriptor)
        return
    libc.mount(f"/proc/self/fd/{descriptor}", target, "", BIND | WITH_ALL)
    closed = 0 if what in ("write", "folder") else _READ_ONLY
    libc.mount("", target, "", REMOUNT | BIND | NO_SET_UID | closed | kept(target))


def _copied(target: str, descriptor: int) -> None:
    with open(target, "wb", buffering=0) as file:
        while piece := os.pread(descriptor, _ROOM, file.tell()):
            file.write(piece)


def kept(target: str) -> int:
    """The flags that it had: who is not root of the whole machine may add to them, and not take any."""
    had = os.statvfs(target).f_flag
    flags = had & (_READ_ONLY | NO_SET_UID | NO_DEVICES | _NO_EXECUTE | _NO_TIMES | _NO_FOLDER_TIMES)
    return flags | (_RELATIVE_TIMES if had & _SAYS_RELATIVE_TIMES else 0)
