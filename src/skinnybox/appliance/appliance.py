"""A small machine for work on bytes that may be hostile: guests' filesystems are mounted in there, not here.

It boots a sealed master's own kernel and initramfs with one more program laid over it, sees only the disks it
is given, has no network, and ends by itself. QEMU runs as it does for machines: as a user of its own, with
descriptors instead of paths, shut in.
"""

import contextlib
import os
import re
import select
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from skinnybox import run
from skinnybox.cpio import archive
from skinnybox.emulation import accelerator
from skinnybox.emulation.board import SANDBOX, Accelerator, board, kernel_words
from skinnybox.errors import GuestFailed, TimedOut, Unsupported
from skinnybox.masters.workspace import at_work
from skinnybox.model import Acceleration
from skinnybox.sandbox.confinement import MachineBounds, machine_words, never_began
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
    accelerator: Acceleration = Acceleration.AUTO


class _Silent(GuestFailed):
    """It ended before the program in there said a word."""


class _Died(_Silent):
    """The same, and QEMU was ended by a signal, as an assertion of its own does it."""


def operate(appliance: Appliance, name: str, heard: Callable[[str], None], scratch: Path) -> None:
    """Run it to its end. It says `NAME: done` or `NAME: failed WHY`; `heard` gets what else it says after
    `NAME: `. Where KVM takes QEMU along at its start, it goes on emulated. Blocks. Raises GuestFailed when it
    fails or ends without a word, TimedOut; Unsupported when KVM alone is wanted and does not work."""
    chosen = accelerator.choose(appliance.accelerator, appliance.kernel, _CPUS)
    try:
        _operate(appliance, chosen, name, heard, scratch)
    except _Died as error:
        if chosen is not Accelerator.KVM:
            raise
        if appliance.accelerator is not Acceleration.KVM:
            _operate(appliance, Accelerator.TCG, name, heard, scratch)  # which shows that KVM was to blame
        accelerator.note(appliance.kernel, _CPUS, works=False, detail=error.message)
        if appliance.accelerator is Acceleration.KVM:
            raise Unsupported(f"only KVM is wanted: {error.message}", hint=accelerator.GO_ON) from error


def _operate(
    appliance: Appliance, chosen: Accelerator, name: str, heard: Callable[[str], None], scratch: Path
) -> None:
    with ExitStack() as files:
        folder = files.enter_context(_folder(scratch))
        initrd = folder / "initrd"
        _lay_over(appliance, initrd)
        argv, descriptors = _words(appliance, chosen, initrd, files)
        with run.start(
            argv, stdout=run.PIPE, stderr=run.STDOUT, keep=run.NOTHING, pass_fds=descriptors
        ) as child:
            assert child.stdout is not None
            deadline = time.monotonic() + appliance.seconds
            try:
                _listen(child.stdout.fileno(), name, heard, deadline)
            except _Silent as error:
                code = child.wait(_ENDING)
                if (unconfined := never_began(code, error.message)) is not None:
                    raise unconfined from error
                if code < 0:
                    raise _Died(error.message) from error
                raise
            child.wait(_ENDING)


def _listen(stream: int, name: str, heard: Callable[[str], None], deadline: float) -> None:
    """Until it says that it is done, and then to the end of its output: it powers off by itself."""
    done, spoke, last = False, False, "it said nothing"
    for line in _lines(stream, deadline):
        said = _CONTROL.sub("", line.decode("ascii", "replace")).strip()
        last = said or last
        _, ours, word = said.partition(f"{name}: ")
        if ours and word == "done":
            done = True
        elif ours and word.startswith("failed"):
            raise GuestFailed(f"{name}: {word.removeprefix('failed').strip()}")
        elif ours:
            spoke = True
            heard(word)
    if not done:
        failed = GuestFailed if spoke else _Silent
        raise failed(f"{name}: the small machine it is done in ended too early: {last[:300]}")


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


def _words(
    appliance: Appliance, chosen: Accelerator, initrd: Path, files: ExitStack
) -> tuple[list[str], list[int]]:
    kernel, start = _opened(appliance.kernel, False, files), _opened(initrd, False, files)
    disks = [(disk, _opened(disk.file, disk.writable, files)) for disk in appliance.disks]
    words = [
        *("qemu-system-x86_64", "-sandbox", SANDBOX, "-no-reboot"),
        *board(chosen, cpus=_CPUS, memory=_MEMORY),
        *("-kernel", f"/proc/self/fd/{kernel}", "-initrd", f"/proc/self/fd/{start}"),
        *("-append", f"rdinit=/{PROGRAM} quiet {kernel_words(chosen)} {appliance.words}".rstrip()),
        *("-serial", "stdio", "-monitor", "none"),
    ]
    for number, (disk, descriptor) in enumerate(disks):
        words += _disk(number, disk, descriptor)
    kvm = chosen is Accelerator.KVM
    bounds = MachineBounds(
        limits={"core": 0},  # such a file would hold what the guests' disks hold
        user=appliance.user,
        groups=accelerator.groups() if kvm else (),
        files=(kernel, start),
        kvm=kvm,
        tied=True,
    )
    return machine_words(words, bounds), [kernel, start, *(descriptor for _, descriptor in disks)]


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
def _folder(scratch: Path) -> Iterator[Path]:
    """A kill leaves it to `repair`, which knows by its lock that nobody works in it."""
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix=".appliance-", suffix=".new") as folder,
        at_work(Path(folder)),
    ):
        yield Path(folder)


@contextlib.contextmanager
def scratch_file(folder: Path, size: int) -> Iterator[Path]:
    """A sparse private file for the block."""
    with _folder(folder) as inside:
        path = inside / "disk"
        with path.open("xb") as file:
            file.truncate(size)
        yield path
