"""A trial of an accelerator: the hardware that machines get, and a real kernel, brought as far as its first
program.

A boot sector is no trial. Under nested virtualisation KVM has run one of seven bytes where every Linux kernel
hung or took QEMU along: processors in their first mode, a few instructions long, ask nothing of KVM that a
64-bit kernel with all its registers, clocks and processors does ask.
"""

import contextlib
import os
import re
import select
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skinnybox import process, run
from skinnybox.cpio import archive
from skinnybox.emulation.board import Accelerator, trial_argv
from skinnybox.emulation.verdicts import Verdict
from skinnybox.errors import NotFound
from skinnybox.printable import printable
from skinnybox.sandbox.confinement import MachineBounds, machine_words, never_began

_EXIT = 42
# mov edi, _EXIT; mov eax, 60 (exit); syscall
_CODE = bytes([0xBF, _EXIT, 0, 0, 0, 0xB8, 60, 0, 0, 0, 0x0F, 0x05])
_ADDRESS, _HEADERS = 0x400000, 120
_BEGAN = b"Linux version "
# Nothing but this program ends so: the kernel has come through its whole start, and run it as its first one.
_LIVES = b"Attempted to kill init! exitcode=0x%08x" % (_EXIT << 8)
_PANIC = re.compile(rb"Kernel panic - not syncing: ([^\r\n]{1,200})")
_TAIL = 64 << 10
_MOST = 4 << 20
_ENDING = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds until the kernel must have said a word, and until it must have come to its end. One that runs
    on real hardware needs a second for both; a busy host may take ten times that."""

    word: float = 10.0
    end: float = 30.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What QEMU and guest said, the end of it, and why no more was waited for ("" when QEMU ended)."""

    tail: bytes
    began: bool
    broken_off: str = ""


def boots(
    accelerator: Accelerator,
    kernel: Path,
    cpus: int,
    patience: Patience,
    *,
    user: int | None = None,
    groups: tuple[int, ...] = (),
) -> Verdict:
    """Whether this kernel comes through its start with this accelerator and so many processors. Blocks.

    QEMU runs as `user` (uid and gid, with `groups`), confined as those of machines are. It leaves no process
    behind but one that this machine's own kernel does not let go. NotFound without the kernel; NotStarted
    when QEMU could not be confined, which says nothing of KVM.
    """
    with _opened(kernel) as first, _initrd() as second:
        stream, output = os.pipe2(os.O_CLOEXEC)
        try:
            bounds = MachineBounds(
                limits={"core": 0},  # such a file would be as large as its memory
                user=user,
                groups=groups,
                files=(first, second),
                kvm=accelerator is Accelerator.KVM,
                tied=True,  # a guest that hangs would outlive us for ever
            )
            words = machine_words(trial_argv(accelerator, cpus, kernel=first, initrd=second), bounds)
            pid = run.detach(words, output=output, pass_fds=[first, second])
            os.close(output)
            output = -1
            heard, code = _listened(pid, stream, patience)
            if (unconfined := never_began(code, heard.tail.decode("utf-8", "replace"))) is not None:
                raise unconfined
            return _judged(accelerator, cpus, heard, code)
        finally:
            os.close(stream)
            if output >= 0:
                os.close(output)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}", hint="`skinnybox master verify`") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _initrd() -> Iterator[int]:
    """QEMU opens it anew, as its own user; and by its name where it has a root folder of its own, as a memory
    file cannot be."""
    with tempfile.NamedTemporaryFile(prefix="skinnybox-trial-") as file:
        os.fchmod(file.fileno(), 0o444)
        file.write(archive({"init": program()}))
        file.flush()
        with _opened(Path(file.name)) as descriptor:
            yield descriptor


def program() -> bytes:
    """The smallest program a 64-bit Linux runs (elf(5)): it ends, with a code of ours."""
    size = _HEADERS + len(_CODE)
    return b"".join(
        [
            b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
            _words((2, 2), (2, 62), (4, 1), (8, _ADDRESS + _HEADERS), (8, 64), (8, 0), (4, 0)),
            _words((2, 64), (2, 56), (2, 1), (2, 0), (2, 0), (2, 0)),
            _words((4, 1), (4, 5), (8, 0), (8, _ADDRESS), (8, _ADDRESS), (8, size), (8, size), (8, 4096)),
            _CODE,
        ]
    )


def _words(*fields: tuple[int, int]) -> bytes:
    return b"".join(value.to_bytes(size, "little") for size, value in fields)


def _listened(pid: int, stream: int, patience: Patience) -> tuple[Heard, int | None]:
    """What was said, and QEMU's exit code; None when it had to be killed."""
    pidfd = os.pidfd_open(pid)
    try:
        heard = _heard(stream, patience)
        ended = not heard.broken_off and process.ended(pidfd, _ENDING)
        return heard, process.reap(pid) if ended else None
    finally:
        process.kill(pidfd)
        process.ended(pidfd, _ENDING)
        process.reap(pid)
        os.close(pidfd)


def _heard(stream: int, patience: Patience) -> Heard:
    start, tail, total, began = time.monotonic(), b"", 0, False
    poller = select.poll()
    poller.register(stream, select.POLLIN)
    while True:
        limit = patience.end if began else patience.word
        if not poller.poll(max(0.0, start + limit - time.monotonic()) * 1000):
            why = f"hangs after {limit:g} s" if began else f"says nothing for {limit:g} s"
            return Heard(tail=tail, began=began, broken_off=why)
        piece = os.read(stream, 1 << 16)
        if not piece:
            return Heard(tail=tail, began=began)
        tail, total = (tail + piece)[-_TAIL:], total + len(piece)
        began = began or _BEGAN in tail
        if total > _MOST:
            return Heard(tail=tail, began=began, broken_off="prints without end")


def _judged(accelerator: Accelerator, cpus: int, heard: Heard, code: int | None) -> Verdict:
    name = accelerator.upper()
    processors = "1 processor" if cpus == 1 else f"{cpus} processors"
    subject = f"a Linux kernel started with {name} and {processors}"
    if _LIVES in heard.tail and code == 0:
        return Verdict(works=True, detail=f"{subject} runs")
    panic = _PANIC.findall(heard.tail)
    if panic and _LIVES not in heard.tail:
        return Verdict(works=False, detail=f"{subject} panics: {_clean(panic[-1])}")
    if heard.broken_off or code is None:
        last = f"; the last it said: {_last(heard.tail)}" if heard.tail.strip() else ""
        return Verdict(works=False, detail=f"{subject} {heard.broken_off or 'does not let go'}{last}")
    said = _last(heard.tail) if heard.tail.strip() else "it said nothing"
    return Verdict(works=False, detail=f"{subject} ends too early ({code}): {said}")


def _last(said: bytes) -> str:
    return _clean(said.strip().splitlines()[-1])


def _clean(said: bytes) -> str:
    return printable(said.decode("utf-8", "replace").strip())[:300]
