"""Starting programs that read what strangers wrote: shut in, bounded, and heard only so far."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, TimedOut
from skinnybox.run.programs import STDERR_TAIL, Argv, check, find, missing, words_of
from skinnybox.sandbox import confinement
from skinnybox.sandbox.confinement import Bounds


def relayed(argv: Argv, bounds: confinement.Bounds, watch: Callable[[], None] | None = None) -> run.Ended:
    """Run a program that passes on what a stranger says, as ssh does: its output and our patience end.

    `watch` is called twice a second; what it raises stops the program. Raises CommandFailed, also for too
    much output; TimedOut.
    """
    words = words_of(argv)
    with run.start(words, stdout=run.PIPE) as child:
        said = b"".join(confinement.pieces(child, Path(words[0]).name, bounds, watch))
        code = child.wait(bounds.waiting)
    check(words, code, b"", (0,))
    return run.Ended(words, code, said)


def confined(
    argv: Argv,
    *,
    memory: int = 1 << 30,
    cpu_seconds: int = 60,
    file_size: int = 0,
    output: int = 16 << 20,
    threads: int = 1,
    ok: Sequence[int] = (0,),
    pass_fds: Sequence[int] = (),
    owned: Sequence[int] = (),
    watch: Callable[[], None] | None = None,
) -> run.Ended:
    """Run a parser of foreign bytes within bounds, as nobody, without network (see confinement.Bounds).

    It gets files as descriptors: `pass_fds` as they are, `owned` (private files of ours) so that it may also
    open them anew, at confinement.path_of. `watch` is called twice a second; what it raises stops the
    program. Raises CommandFailed, also for too much output; TimedOut.
    """
    bounds = Bounds(
        memory=memory, cpu_seconds=cpu_seconds, file_size=file_size, output=output, threads=threads
    )
    who = confinement.user()
    if who is not None:
        for descriptor in owned:
            os.fchown(descriptor, who, who)
    words = words_of(argv)
    if not find(words[0]):
        raise missing(words[0])
    bounded = [*confinement.prefix(bounds, who, network_words()), *words]
    with _bounded(bounded, (*pass_fds, *owned)) as child:
        said = b"".join(confinement.pieces(child, Path(words[0]).name, bounds, watch))
        code = _ended(child, words, bounds, ok)
    return run.Ended(words, code, said)


@contextlib.contextmanager
def confined_python(
    module: str, arguments: Sequence[str], *, bounds: Bounds, pass_fds: Sequence[int] = ()
) -> Iterator[Iterator[bytes]]:
    """Run `main(arguments)` of a module of this package like `confined`; what it prints, in pieces.

    Killed when the block is left early. The iteration ends with CommandFailed when it ended badly.
    """
    who = confinement.user()
    words = confinement.python_words(sys.executable, module, who, arguments)
    bounded = [*confinement.prefix(bounds, who, network_words(), drops_itself=True), *words]

    def pieces() -> Iterator[bytes]:
        yield from confinement.pieces(child, module, bounds)
        _ended(child, [module, *arguments], bounds, (0,))

    with _bounded(bounded, pass_fds) as child:
        yield pieces()


@functools.cache
def network_words() -> tuple[str, ...]:
    """What takes the network from a program we start, its own words following; () where we are not let."""
    words = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--net")
    try:
        run.run([*words, "true"], timeout=10)
    except (CommandFailed, TimedOut):
        return ()
    return words


@contextlib.contextmanager
def _bounded(words: list[str], pass_fds: Sequence[int]) -> Iterator[run.Child]:
    """Shut in; what it says on stderr is lost beyond what fits a pipe."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(reading, "rb", buffering=0) as said, ExitStack() as ours:
        ours.callback(os.close, writing)
        with run.start(words, stdout=run.PIPE, stderr=writing, pass_fds=pass_fds, shut_in=True) as child:
            ours.close()
            child.stderr = said
            try:
                yield child
            finally:
                confinement.kill(child)


def _ended(child: run.Child, words: list[str], bounds: Bounds, ok: Sequence[int]) -> int:
    try:
        code = child.wait(bounds.waiting)
    except run.Overdue as error:
        raise TimedOut(f"{Path(words[0]).name} did not end within {bounds.waiting:g} s") from error
    assert child.stderr is not None
    said = (child.stderr.read() or b"").decode("utf-8", "replace")[-STDERR_TAIL:]
    # Words of a stranger, perhaps: fit for a terminal.
    clean = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in said)
    check(words, code, clean.encode(), ok)
    return code
