"""One command in one machine, over ssh: its bytes as they come, how it ended, and whose word that is.

ssh ends as the command did, and with 255 when it failed itself; but a command may end with 255 as well. So
ssh is made to say apart what it has to say: not on the standard error that is the command's, but into a pipe
of ours, and there also whether the other side told it an exit code.
"""

import os
import re
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from skinnybox import run
from skinnybox.errors import NotReached, TimedOut
from skinnybox.operation import Operation
from skinnybox.printable import printable

SSH_FAILED = 255
_PIECE = 1 << 16
_WATCH = 0.1
"""Seconds after which we look whether it is still wanted."""
_MOST_LOG = 16 << 10
_MOST_REASON = 500
# Of two functions of OpenSSH from 8.5 on, whatever its log level is; what is older knows no such option.
_TELLING = (
    *("-o", "IgnoreUnknown=LogVerbose"),
    *("-o", "LogVerbose=clientloop.c:client_loop():*,clientloop.c:client_input_channel_req():*"),
)
_TOLD = re.compile(rb"client_loop\(\):[^\n]*: Exit status 255\b|rtype exit-signal ")
_ASKED_FOR = re.compile(r"(debug\d: )?clientloop\.c:")

Sink: TypeAlias = Callable[[bytes], object]
"""Takes what comes, piece by piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Of the command: descriptors that it reads and writes itself, or what takes it from us. `stdin` None: it
    finds an empty one."""

    stdin: int | None
    stdout: int | Sink
    stderr: int | Sink


class Beginning:
    """What came, up to `most` bytes; `cut` counts those that came after."""

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, bytearray()
        self.cut = 0

    def __call__(self, piece: bytes) -> None:
        room = self._most - len(self._kept)
        self._kept += piece[:room]
        self.cut += max(0, len(piece) - room)

    @property
    def content(self) -> bytes:
        return bytes(self._kept)


def converse(
    name: str,
    argv: Sequence[str],
    command: str,
    streams: Streams,
    *,
    keep: run.Names = run.ORDINARY,
    timeout: float | None,
    operation: Operation,
) -> int:
    """Run `command`, as the remote shell is to read it, behind these words of ssh's; its exit code, which is
    255 also for one that a signal ended there.

    `keep` names what of our environment ssh gets. NotReached when ssh did not come through, or the connection
    ended before the command did; TimedOut after
    so many seconds; Cancelled. Then ssh has ended, and with it all that can be ended from here: what has no
    terminal in the machine goes on there until it reads or writes.
    """
    said = bytearray()
    with ExitStack() as ours:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ours.callback(os.close, reading)
        ours.callback(os.close, writing)
        for stream in (streams.stdin, streams.stdout, streams.stderr):
            if isinstance(stream, int):  # ssh makes them O_NONBLOCK for all who have them, and may be killed
                ours.callback(os.set_blocking, stream, os.get_blocking(stream))
        words = [argv[0], "-E", f"/proc/{os.getpid()}/fd/{writing}", *_TELLING, *argv[1:], command]
        out, err = [
            stream if isinstance(stream, int) else run.PIPE for stream in (streams.stdout, streams.stderr)
        ]
        with run.start(words, stdin=streams.stdin, stdout=out, stderr=err, keep=keep) as child:
            code = _attended(child, _pipes(child, streams, reading, said), name, timeout, operation)
    return _understood(name, code, bytes(said), operation)


def _pipes(child: run.Child, streams: Streams, log: int, said: bytearray) -> dict[int, Sink]:
    """What is to be read, and who takes it."""

    def last_words(piece: bytes) -> None:
        said.extend(piece)
        del said[:-_MOST_LOG]

    found: dict[int, Sink] = {log: last_words}
    for pipe, stream in ((child.stdout, streams.stdout), (child.stderr, streams.stderr)):
        if pipe is not None and not isinstance(stream, int):
            found[pipe.fileno()] = stream
    return found


def _attended(
    child: run.Child, pipes: dict[int, Sink], name: str, timeout: float | None, operation: Operation
) -> int:
    """Until it has ended and all it said is taken. Nobody closes the log, since it is ours as well."""
    deadline = None if timeout is None else time.monotonic() + timeout
    poller = select.poll()
    for descriptor in pipes:
        poller.register(descriptor, select.POLLIN)
    ended = False
    with _closing(os.pidfd_open(child.pid)) as ending:
        poller.register(ending, select.POLLIN)
        while True:
            operation.check()
            left = _WATCH if deadline is None else min(_WATCH, deadline - time.monotonic())
            if left <= 0 and not ended:
                raise TimedOut(f"the command in {name} did not end within {timeout:g} s")
            ready = [descriptor for descriptor, _ in poller.poll(0 if ended else left * 1000)]
            if ended and not ready:
                return child.wait()
            for descriptor in ready:
                piece = b"" if descriptor == ending else os.read(descriptor, _PIECE)
                if piece:
                    pipes[descriptor](piece)
                else:
                    poller.unregister(descriptor)
            ended = ended or ending in ready


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _understood(name: str, code: int, said: bytes, operation: Operation) -> int:
    """The command's exit code, when it is one."""
    if code >= 0 and (code != SSH_FAILED or _TOLD.search(said)):
        return code
    operation.check()  # Ctrl-C on a terminal ends ssh as well
    if code < 0:
        raise NotReached(f"ssh to {name} was ended by signal {-code}")
    lines = said.decode("utf-8", "replace").splitlines()
    own = [printable(line.strip()) for line in lines if line.strip() and not _ASKED_FOR.match(line)]
    reason = own[-1][:_MOST_REASON] if own else "the connection ended before the command did"
    raise NotReached(f"ssh to {name}: {reason.removeprefix('ssh: ')}", hint=f"skinnybox show {name}")
