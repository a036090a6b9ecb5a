"""The programs of an initramfs, with the libraries they load: this host's own.

A tree's would be a stranger's, of any age, or not there at all; these are one set that was tested together,
and a machine's disk is made by the mke2fs that makes it on this host as well.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from skinnybox import run
from skinnybox.cpio import Entry, file, symlink
from skinnybox.errors import Unsupported
from skinnybox.masters import elf
from skinnybox.masters.elf import Elf

BUSYBOX = "bin/busybox"
LOADER = "loader"
_PACKAGES = {
    "busybox": "busybox-static",
    "e2fsck": "e2fsprogs",
    "mke2fs": "e2fsprogs",
    "chattr": "e2fsprogs",
}
_PLACES = {
    "e2fsck": "sbin/e2fsck",
    "mke2fs": "usr/lib/skinnybox/mke2fs",
    "chattr": "usr/lib/skinnybox/chattr",
}
"""busybox may have smaller ones of the last two, so ours stand where no PATH leads."""


def missing() -> list[str]:
    """Debian packages that have to be installed first."""
    packages = {package for name, package in _PACKAGES.items() if run.find(name) is None}
    if run.find("busybox") and not _is_static(_busybox()):
        packages.add(_PACKAGES["busybox"])
    return sorted(packages)


def require() -> None:
    """Unsupported, naming the packages, when something is not installed: before long work."""
    packages = missing()
    if packages:
        raise Unsupported(
            "a master's initramfs cannot be made here: programs are missing",
            hint=f"sudo apt install {' '.join(packages)}",
        )


def entries() -> Iterator[Entry]:
    """Raises Unsupported as `require` does."""
    require()
    yield file(BUSYBOX, _busybox(), 0o755)
    for applet in run.run([_path("busybox"), "--list"]).stdout.decode().split():
        if applet != "busybox":
            yield symlink(f"bin/{applet}", "busybox")
    for name, place in _PLACES.items():
        yield file(place, _path(name).read_bytes(), 0o755)
    for library in _libraries([_path(name) for name in _PLACES]):
        yield file(str(library).lstrip("/"), library.read_bytes(), 0o755)


def bundle(programs: Sequence[str], place: str) -> Iterator[Entry]:
    """Programs that are installed, in a folder of their own with all that they load, and LOADER, which starts
    them. What is in the usual places may be another host's, whose master this archive is laid over: neither
    finds the other's libraries."""
    paths = [_path(name) for name in programs]
    loaders = {loader for path in paths if (loader := _interpreter(path.read_bytes()))}
    for path in (*paths, *_libraries(paths)):
        if str(path) not in loaders:
            yield file(f"{place}/{path.name}", path.read_bytes(), 0o755)
    for loader in loaders:
        yield file(f"{place}/{LOADER}", Path(loader).read_bytes(), 0o755)


def stamps(programs: Sequence[str]) -> list[str]:
    """What tells the files of a bundle from those of before an upgrade."""
    paths = [_path(name) for name in programs]
    found = [(path, path.stat()) for path in (*paths, *_libraries(paths))]
    return [f"{path} {of.st_size} {of.st_mtime_ns}" for path, of in found]


def machine() -> int:
    """For which processors they are, as ELF says it."""
    found = _elf(_busybox())
    assert found is not None
    return found.machine


def _path(name: str) -> Path:
    found = run.find(name)
    assert found is not None
    return Path(found)


def _busybox() -> bytes:
    return _path("busybox").read_bytes()


def _libraries(programs: Sequence[Path]) -> list[Path]:
    """As the programs' own loader finds them; the loader itself is one."""
    found = set[Path]()
    for program in programs:
        loader = _interpreter(program.read_bytes())
        if loader is None:
            continue
        found.add(Path(loader))
        for line in run.run([loader, "--list", program]).stdout.decode().splitlines():
            path = line.partition("=> ")[2].partition(" (")[0]
            if path.startswith("/"):
                found.add(Path(path))
    return sorted(found)


def _is_static(program: bytes) -> bool:
    """A program by itself: not a script that starts another, and none that needs a loader."""
    found = _elf(program)
    return found is not None and found.interpreter is None


def _interpreter(program: bytes) -> str | None:
    """The loader that a program names; None for one that needs none (static)."""
    found = _elf(program)
    return None if found is None else found.interpreter


def _elf(program: bytes) -> Elf | None:
    return elf.read(lambda at, length: program[at : at + length])
