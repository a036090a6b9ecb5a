"""A small machine for work on bytes that may be hostile: guests' filesystems are mounted in there, not here.

It boots a sealed master's own kernel and initramfs with one more program laid over it, sees only the disks it
is given, has no network, and ends by itself. QEMU runs as it does for machines: as a user of its own, with
descriptors instead of paths, sandboxed.
"""

import contextlib
import os
import re
import select
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from skinnybox import run
from skinnybox.errors import GuestFailed, TimedOut
from skinnybox.hosts.qemu import accelerator
from skinnybox.hosts.qemu.command_line import SANDBOX, Accelerator, board
from skinnybox.sizes import MIB

PROGRAM = "skinnybox-appliance"
_MEMORY, _CPUS = 768 * MIB, 2
_MOST_OUTPUT = 4 * MIB
_LINE = 4096
_ENDING = 30.0
_CONTROL = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A raw file, or `size` bytes of it from `offset`; found in there by its `serial`."""

    serial: str
    file: Path
    writable: bool = False
    offset: int = 0
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """What is booted: `program` is run in place of init; `files` lie beside it
    in the root. `user` is the uid and gid of its QEMU, None to keep
    ours; `seconds` is all it may take."""

    kernel: Path
    initrd: Path
    program: bytes
    files: Mapping[str, bytes]
    words: str
    disks: Sequence[Disk]
    user: int | None
    seconds: float


def operate(appliance: Appliance, name: str, heard: Callable[[str], None], scratch: Path) -> None:
    """Run it to its end. It says `NAME: done` or `NAME: failed WHY`; `heard` gets what else it says after
    `NAME: `. Blocks. Raises GuestFailed when it fails or ends without a word, TimedOut."""
    with ExitStack() as files:
        folder = files.enter_context(
            tempfile.TemporaryDirectory(dir=scratch, prefix=".appliance-", suffix=".new")
        )
        initrd = Path(folder, "initrd")
        _lay_over(appliance, initrd)
        argv, descriptors = _words(appliance, initrd, files)
        with run.start(argv, stdout=run.PIPE, stderr=run.STDOUT, pass_fds=descriptors) as child:
            assert child.stdout is not None
            deadline = time.monotonic() + appliance.seconds
            _listen(child.stdout.fileno(), name, heard, deadline)
            child.wait(_ENDING)


def _listen(stream: int, name: str, heard: Callable[[str], None], deadline: float) -> None:
    """Until it says that it is done, and then to the end of its output: it powers off by itself."""
    done, last = False, "it said nothing"
    for line in _lines(stream, deadline):
        said = _CONTROL.sub("", line.decode("ascii", "replace")).strip()
        last = said or last
        _, ours, word = said.partition(f"{name}: ")
        if ours and word == "done":
            done = True
        elif ours and word.startswith("failed"):
            raise GuestFailed(f"{name}: {word.removeprefix('failed').strip()}")
        elif ours:
            heard(word)
    if not done:
        raise GuestFailed(f"{name}: the small machine it is done in ended too early: {last[:300]}")


def _lines(stream: int, deadline: float) -> Iterator[bytes]:
    """Bounded in all: what prints for ever fails."""
    total, rest = 0, b""
    poller = select.poll()
    poller.register(stream, select.POLLIN)
    while True:
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimedOut(
                "the small machine it is done in took too long", hint="try again when less is going on"
            )
        piece = os.read(stream, 1 << 16)
        total += len(piece)
        if not piece:
            return
        if total > _MOST_OUTPUT:
            raise GuestFailed("the small machine it is done in says too much")
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        rest = rest[-_LINE:]


def _lay_over(appliance: Appliance, target: Path) -> None:
    """The kernel unpacks one archive after the other, each at a multiple of four bytes."""
    sealed = appliance.initrd.read_bytes()
    target.write_bytes(
        sealed + bytes(-len(sealed) % 4) + archive({**appliance.files, PROGRAM: appliance.program})
    )
    target.chmod(0o444)  # QEMU opens it anew, as its own user


def archive(files: Mapping[str, bytes]) -> bytes:
    """A cpio archive (newc) of files that may be run."""
    members = [_member(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    return b"".join(members) + _member("TRAILER!!!", 0, b"")


def _member(name: str, mode: int, data: bytes) -> bytes:
    words = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % word for word in words) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _words(appliance: Appliance, initrd: Path, files: ExitStack) -> tuple[list[str], list[int]]:
    kernel, start = _opened(appliance.kernel, False, files), _opened(initrd, False, files)
    disks = [(disk, _opened(disk.file, disk.writable, files)) for disk in appliance.disks]
    chosen = accelerator.choose()
    words = [
        *_as_user(appliance, chosen),
        *("qemu-system-x86_64", "-sandbox", SANDBOX, "-no-reboot"),
        *board(chosen, cpus=_CPUS, memory=_MEMORY),
        *("-kernel", f"/proc/self/fd/{kernel}", "-initrd", f"/proc/self/fd/{start}"),
        *("-append", f"rdinit=/{PROGRAM} console=ttyS0 quiet panic=-1 {appliance.words}".rstrip()),
        *("-serial", "stdio", "-monitor", "none"),
    ]
    for number, (disk, descriptor) in enumerate(disks):
        words += _disk(number, disk, descriptor)
    return words, [kernel, start, *(descriptor for _, descriptor in disks)]


def _as_user(appliance: Appliance, chosen: Accelerator) -> list[str]:
    if appliance.user is None:
        return []
    groups = accelerator.groups() if chosen is Accelerator.KVM else ()
    kept = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", f"--reuid={appliance.user}", f"--regid={appliance.user}", *kept, "--no-new-privs"]


def _opened(path: Path, writable: bool, files: ExitStack) -> int:
    descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    files.callback(os.close, descriptor)
    return descriptor


def _disk(number: int, disk: Disk, descriptor: int) -> list[str]:
    how = "discard=unmap,detect-zeroes=unmap" if disk.writable else "read-only=on"
    part = f",offset={disk.offset},size={disk.size}" if disk.size is not None else ""
    file = f"driver=file,filename=/dev/fdset/{descriptor},locking=off"
    # fmt: off
    return [
        "-add-fd", f"fd={descriptor},set={descriptor}",
        "-blockdev", f"{file},node-name=file{number},{how}",
        "-blockdev", f"driver=raw,file=file{number},node-name=disk{number}{part},{how}",
        "-device", f"virtio-blk-pci,drive=disk{number},serial={disk.serial}",
    ]
    # fmt: on


@contextlib.contextmanager
def scratch_file(folder: Path, size: int) -> Iterator[Path]:
    """A sparse private file for the block."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".appliance-", suffix=".new") as inside:
        path = Path(inside, "disk")
        with path.open("xb") as file:
            file.truncate(size)
        yield path
