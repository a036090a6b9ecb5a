"""Places in a tree where filesystems are put, and the files that told of them. No symlink is followed."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from skinnybox.errors import Unsupported
from skinnybox.masters import inside, mount_units
from skinnybox.masters.filesystem_table import (
    CRYPTTAB,
    FSTAB,
    LONGEST,
    Entry,
    Tables,
    linked,
    parsed,
    too_long,
)
from skinnybox.masters.mounts import Brought, Found, Locate, Plan, decide

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def tables_of(tree: Path) -> Tables:
    """Raises Unsupported as `parsed`, and for a file that is a symlink or too long."""
    units = mount_units.enabled(lambda path: inside.names(tree, path), lambda path: _unit(tree, path))
    return parsed(_content(tree, FSTAB, LONGEST), _content(tree, CRYPTTAB, LONGEST), list(units))


def in_tree(tree: Path) -> Locate:
    """For a tree whose maker may have put in what was mounted, or not: then the place is empty."""

    def locate(entry: Entry) -> Found:
        if inside.names(tree, entry.place[1:]):
            return Found(here=True)
        return Found(why_not=f"{entry.source} was not packed: the tree has nothing there")

    return locate


def settled(tree: Path, leave_out: Sequence[str], subject: str) -> Brought:
    """Hold a tree that somebody packed to what its system mounts: each place has something in it, or is to be
    left out. Raises like `tables_of` and `decide`."""
    plan = decide(tables_of(tree), in_tree(tree), leave_out, subject)
    rewrite(tree, plan)
    return plan.brought


def rewrite(tree: Path, plan: Plan) -> None:
    """Both files keep owner, mode and time, so that the same source gives the same master."""
    for path, text in ((FSTAB, plan.fstab), (CRYPTTAB, plan.crypttab)):
        folder, _, name = path.rpartition("/")
        if text is not None:
            _in_folder(tree, folder, name, text.encode("utf-8", "surrogateescape"))
    for name in plan.units:
        _disable(tree, {name, mount_units.automount(name)})


@contextlib.contextmanager
def emptied(tree: Path, place: str, aside: Path) -> Iterator[Path]:
    """The folder at `place`, made if it is not there, for what is mounted there. What it held, which nobody
    saw while that was mounted, is moved to `aside`. Raises Unsupported for a symlink or a file on the way."""
    above, _, name = place[1:].rpartition("/")
    folder = _made(tree, above)
    try:
        with _same_times(folder):
            _hide(folder, name, aside, place)
    finally:
        os.close(folder)
    found = tree / place[1:]
    yield found
    descriptor = _opened(tree, place[1:])
    try:
        # mke2fs's own, which means nothing without its filesystem; one that holds something stays.
        with _same_times(descriptor), contextlib.suppress(OSError):
            os.rmdir("lost+found", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _unit(tree: Path, path: str) -> bytes:
    """Nothing of a link: what packages bring, or a unit that is masked."""
    found = inside.read(tree, path, mount_units.LONGEST + 1) or b""
    if len(found) > mount_units.LONGEST:
        raise too_long(path, mount_units.LONGEST)
    return found


def _content(tree: Path, path: str, limit: int) -> bytes:
    folder, _, name = path.rpartition("/")
    descriptor = inside.open_folder(tree, folder)
    if descriptor is None:
        return b""
    try:
        if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode):
            raise linked(path)
    except FileNotFoundError:
        return b""
    finally:
        os.close(descriptor)
    found = inside.read(tree, path, limit + 1) or b""
    if len(found) > limit:
        raise too_long(path, limit)
    return found


def _in_folder(tree: Path, path: str, name: str, content: bytes) -> None:
    folder = _opened(tree, path)
    try:
        _overwrite(folder, name, content)
    finally:
        os.close(folder)


def _overwrite(folder: int, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if name not in os.listdir(folder):
        with _something_new(folder) as new:
            new(os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder), 0o644)
    with os.fdopen(os.open(name, flags, dir_fd=folder), "wb", buffering=0) as out, _same_times(out.fileno()):
        out.truncate(0)
        out.write(content)


@contextlib.contextmanager
def _something_new(folder: int) -> Iterator[Callable[[int, int], None]]:
    """What is made in the block gets the folder's own times, which stay, and its mode whatever the umask: the
    same source gives the same master, whoever imports it. Takes a descriptor, which it closes."""
    before = os.fstat(folder)

    def new(descriptor: int, mode: int) -> None:
        os.fchmod(descriptor, mode)
        os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.close(descriptor)

    with _same_times(folder):
        yield new


def _disable(tree: Path, units: set[str]) -> None:
    """As `systemctl disable`: the links go, the units stay."""
    for name in inside.names(tree, mount_units.FOLDER):
        path = f"{mount_units.FOLDER}/{name}"
        folder = inside.open_folder(tree, path) if mount_units.pulled_in(name) else None
        if folder is None:
            continue
        try:
            with _same_times(folder):
                for unit in units:
                    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                        os.unlink(unit, dir_fd=folder)
        finally:
            os.close(folder)


def _made(tree: Path, path: str) -> int:
    """A descriptor of the folder at `path`, made if it is not there."""
    folder = os.open(tree, _FOLDER)
    for name in path.split("/") if path else []:
        try:
            below = _below(folder, name, path)
        finally:
            os.close(folder)
        folder = below
    return folder


def _below(folder: int, name: str, path: str) -> int:
    """The folder of that name, made if it is not there."""
    with _something_new(folder) as new, contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
        new(os.open(name, _FOLDER, dir_fd=folder), 0o755)
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        raise _in_the_way(f"/{path}") from error


def _opened(tree: Path, path: str) -> int:
    found = inside.open_folder(tree, path)
    if found is None:
        raise _in_the_way(f"/{path}")
    return found


def _hide(folder: int, name: str, aside: Path, place: str) -> None:
    descriptor = _below(folder, name, place[1:])
    try:
        if not os.listdir(descriptor):  # noqa: PTH208 (a descriptor)
            return
    finally:
        os.close(descriptor)
    aside.mkdir(exist_ok=True)
    os.rename(name, aside / str(len(list(aside.iterdir()))), src_dir_fd=folder)
    os.mkdir(name, 0o755, dir_fd=folder)


@contextlib.contextmanager
def _same_times(descriptor: int) -> Iterator[None]:
    before = os.fstat(descriptor)
    yield
    os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))


def _in_the_way(place: str) -> Unsupported:
    return Unsupported(
        f"{place}, where its /{FSTAB} mounts something, is a symlink or no folder",
        hint="name the folder there that the link leads to",
    )
