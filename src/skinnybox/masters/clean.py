"""What is taken out of a tree before it is sealed: identities, secrets, logs and caches of where it was made.

Works on descriptors and follows no symlink, so a hostile tree cannot point it outside. What is emptied keeps
its mtimes, so that cleaning twice, or somewhere else, gives the same tree.
"""

import contextlib
import fnmatch
import functools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.survey import walk
from skinnybox.operation import Operation

# Every name in these folders, folders included.
_EMPTIED = (
    "dev", "proc", "run", "sys", "tmp", "var/tmp", "var/crash", "var/backups",
    "var/lib/apt/lists", "var/cache/apt/archives", "var/cache/dnf", "var/cache/yum", "var/cache/ldconfig",
    "var/lib/dhcp", "var/lib/dhclient", "var/lib/dhcpcd", "var/db/dhcpcd", "var/lib/dhcpv6", "var/lib/wicked",
    "var/lib/systemd/network", "var/lib/tailscale", "var/cache/tailscale", "var/lib/systemd/timers",
    "var/lib/systemd/coredump", "var/lib/cloud", "var/log/journal", "var/log/apt", "var/log/installer",
)  # fmt: skip
# Files by folder and pattern.
_REMOVED = (
    ("", ".dockerenv"),
    ("etc", "passwd-"), ("etc", "group-"), ("etc", "shadow-"), ("etc", "gshadow-"),
    ("etc", "subuid-"), ("etc", "subgid-"), ("etc", ".pwd.lock"), ("etc", "hostname"),
    ("etc/ssh", "ssh_host_*"),
    ("root", ".bash_history"), ("root", ".lesshst"), ("root", ".viminfo"), ("root", ".wget-hsts"),
    ("var/cache/apt", "*.bin"), ("var/cache/debconf", "*-old"),
    ("var/lib/dpkg", "*-old"),
    ("var/lib/systemd", "random-seed"), ("var/lib/systemd", "credential.secret"),
    ("var/lib/urandom", "random-seed"),
    ("var/lib/NetworkManager", "*.lease"), ("var/lib/NetworkManager", "secret_key"),
    # Who it was to a DHCP server or an overlay network; and the names of its cards.
    ("var/lib/NetworkManager", "*.leases"), ("etc", "dhcpcd.duid"), ("etc", "dhcpcd.secret"),
    ("var/lib/zerotier-one", "identity.*"), ("etc/udev/rules.d", "70-persistent-net.rules"),
    ("var/lib/NetworkManager", "seen-bssids"), ("var/lib/NetworkManager", "timestamps"),
)  # fmt: skip
_ROTATED = ("*.gz", "*.xz", "*.zst", "*.old", "*.[0-9]", "*.[0-9][0-9]")


def clean(tree: Path, operation: Operation) -> None:
    """Idempotent. Only for a private tree that is to be sealed. Raises Unsupported, with nothing removed, for
    folders nested as `walk` refuses them."""
    operation.step(task="clean")
    for path in (*_EMPTIED, "var/log"):
        _refuse_deep(tree, path)
    for path in _EMPTIED:
        _in_folder(tree, path, _remove_all)
    for path, pattern in _REMOVED:
        _in_folder(tree, path, functools.partial(_remove_files, pattern))
    _in_folder(tree, "var/log", _empty_logs)
    _in_folder(tree, "etc", _empty_machine_id)
    _in_folder(tree, "var/lib/dbus", _link_dbus_id)
    _mark_updated(tree)


def place_of(path: str) -> str | None:
    """Where `clean` would count what it removes at a path: the folder that it empties, or the path itself, of
    what is no folder. None of what it leaves there; a log, which it empties, is left there."""
    for folder in _EMPTIED:
        if path.startswith(f"{folder}/"):
            return folder
    folder, _, name = path.rpartition("/")
    return path if any(folder == at and fnmatch.fnmatch(name, pattern) for at, pattern in _REMOVED) else None


def is_rotated(log: bytes) -> bool:
    """By its name."""
    name = os.fsdecode(log.rpartition(b"/")[2])
    return any(fnmatch.fnmatch(name, pattern) for pattern in _ROTATED)


def _refuse_deep(tree: Path, path: str) -> None:
    """What is removed is walked with a descriptor open at each level. Only there: to walk the whole tree once
    more takes as long as a twentieth of its image."""
    folder = inside.open_folder(tree, path)
    if folder is None:
        return
    try:
        for _ in walk(b"/proc/self/fd/%d" % folder):
            pass
    finally:
        os.close(folder)


def _in_folder(tree: Path, path: str, action: Callable[[int], object]) -> None:
    folder = inside.open_folder(tree, path)
    if folder is None:
        return
    try:
        with _same_times(folder):
            action(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _same_times(descriptor: int) -> Iterator[None]:
    before = os.fstat(descriptor)
    yield
    os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove_all(folder: int) -> None:
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                _remove_all(below)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def _remove_files(pattern: str, folder: int) -> None:
    for name in fnmatch.filter(os.listdir(folder), pattern):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)


def _empty_logs(folder: int) -> None:
    """Files stay, empty, because services expect some with their owner and mode; rotated ones go."""
    for name in os.listdir(folder):
        info = os.lstat(name, dir_fd=folder)
        if stat.S_ISDIR(info.st_mode):
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                with _same_times(below):
                    _empty_logs(below)
            finally:
                os.close(below)
        elif not stat.S_ISREG(info.st_mode):
            continue
        elif is_rotated(os.fsencode(name)) or info.st_nlink > 1:
            os.unlink(name, dir_fd=folder)
        elif info.st_size:
            _truncate(folder, name, info.st_mtime_ns)


def _empty_machine_id(folder: int) -> None:
    # Empty, not "uninitialized" or absent (systemd would take the boot for the first and rewrite /etc): the
    # seed's machine-id is written over it before systemd starts.
    info = _lstat(folder, "machine-id")
    _replace(folder, "machine-id", b"", (info or os.fstat(folder)).st_mtime_ns, mode=0o444)


def _link_dbus_id(folder: int) -> None:
    """As systemd would make it at boot, in every overlay."""
    info = _lstat(folder, "machine-id")
    if info and stat.S_ISLNK(info.st_mode):
        return
    when = (info or os.fstat(folder)).st_mtime_ns
    if _gone(folder, "machine-id"):
        os.symlink("/etc/machine-id", "machine-id", dir_fd=folder)
        os.utime("machine-id", ns=(when, when), dir_fd=folder, follow_symlinks=False)


def _mark_updated(tree: Path) -> None:
    """Tell systemd that what it does after an update of /usr is done: not again in every overlay."""
    usr = inside.open_folder(tree, "usr")
    if usr is None or not inside.names(tree, "usr/lib/systemd"):
        return
    when = os.fstat(usr).st_mtime_ns
    os.close(usr)
    text = f"TIMESTAMP_NSEC={when}\n".encode()
    for path in ("etc", "var"):
        _in_folder(tree, path, lambda folder: _replace(folder, ".updated", text, when, mode=0o644))


def _replace(folder: int, name: str, content: bytes, when: int, *, mode: int) -> None:
    if not _gone(folder, name):
        return
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        os.fchmod(file, mode)
        os.write(file, content)
        os.utime(file, ns=(when, when))
    finally:
        os.close(file)


def _truncate(folder: int, name: str, when: int) -> None:
    file = os.open(name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.utime(file, ns=(when, when))
    finally:
        os.close(file)


def _gone(folder: int, name: str) -> bool:
    """Remove it, whatever it is; a folder of that name stays, and is not ours to empty."""
    info = _lstat(folder, name)
    if info and stat.S_ISDIR(info.st_mode):
        return False
    if info:
        os.unlink(name, dir_fd=folder)
    return True


def _lstat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
