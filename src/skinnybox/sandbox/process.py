"""Starting programs that read what strangers wrote: shut in, bounded, and heard only so far."""

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, NotStarted, TimedOut
from skinnybox.run.environment import find
from skinnybox.run.programs import STDERR_TAIL, Argv, check, words_of
from skinnybox.sandbox import confinement, jail
from skinnybox.sandbox.confinement import HINT, NOT_SET_UP, Bounds, Handed, MachineBounds

_WHICH_PACKAGE = "`skinnybox doctor` says which package brings it"
_PATIENCE = 60.0
_NOT_LOADED = 127


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
    folder: Path | None = None,
    watch: Callable[[], None] | None = None,
) -> run.Ended:
    """Run a parser of foreign bytes within bounds, shut in (see confinement).

    It gets files as descriptors: `pass_fds` to read, `owned` (private files of ours) to write as well; it may
    open them anew, at confinement.path_of (root's user only the owned ones). In `folder`, also private, it
    runs and may make files. `watch` is called twice a second; what it raises stops the program. Raises
    CommandFailed, also for too much output; TimedOut; NotStarted, when it never saw a byte.
    """
    bounds = Bounds(
        memory=memory, cpu_seconds=cpu_seconds, file_size=file_size, output=output, threads=threads
    )
    words = words_of(argv)
    if not find(words[0]):
        raise NotStarted(f"{words[0]}: no such program", hint=_WHICH_PACKAGE)
    handed = Handed(files=pass_fds, owned=owned, folder=folder)
    who = confinement.user()
    if who is not None:
        _give(handed, who)
    with _shut_in(
        lambda report: confinement.program_words(bounds, who, handed, report, words), bounds, handed
    ) as (child, _):
        said = b"".join(confinement.pieces(child, Path(words[0]).name, bounds, watch))
        code = _ended(child, words, bounds, ok)
    return run.Ended(words, code, said)


@contextlib.contextmanager
def confined_source(
    argv: Argv,
    *,
    bounds: Bounds,
    stdin: int | None = None,
    owned: Sequence[int] = (),
    ok: Sequence[int] = (0,),
) -> Iterator[tuple[int, Callable[[], None]]]:
    """Run a program like `confined` beside us, for another confined process to read what it prints: the pipe,
    and what to call when its end was read, which raises what `confined` does. Killed when left early."""
    words = words_of(argv)
    if not find(words[0]):
        raise NotStarted(f"{words[0]}: no such program", hint=_WHICH_PACKAGE)
    handed, who = Handed(owned=owned), confinement.user()
    if who is not None:
        _give(handed, who)
    with _shut_in(
        lambda report: confinement.program_words(bounds, who, handed, report, words), bounds, handed, stdin
    ) as (child, _):
        assert child.stdout is not None

        def ended() -> None:
            _ended(child, words, bounds, ok)

        yield child.stdout.fileno(), ended


@contextlib.contextmanager
def confined_python(
    module: str, arguments: Sequence[str], *, bounds: Bounds, pass_fds: Sequence[int] = ()
) -> Iterator[Iterator[bytes]]:
    """Run `main(arguments)` of a module of this package like `confined`; what it prints, in pieces.

    Killed when the block is left early. The iteration ends with CommandFailed when it ended badly.
    """
    with _reader(module, arguments, bounds, pass_fds) as (child, _):
        yield _until_its_end(child, module, arguments, bounds)


def in_force() -> list[str]:
    """What shuts in who reads foreign bytes on this machine, in words, found by doing it. NotStarted."""
    with _reader("skinnybox.sandbox.nothing", [], Bounds(cpu_seconds=10), ()) as (_, report):
        return report


def is_whole(found: Sequence[str]) -> bool:
    """Whether what is in force is all that is promised."""
    return jail.FILTER in found and any(word.startswith((jail.LANDLOCK, jail.EMPTY_ROOT)) for word in found)


def in_force_of_machine(argv: Sequence[str], bounds: MachineBounds) -> list[str]:
    """The same of QEMU, which does what `argv` says, with nothing handed over, and ends. Raises NotStarted,
    also when it does not come to its end."""
    waiting = Bounds(cpu_seconds=10)
    with _shut_in(lambda report: confinement.machine_words(argv, bounds, report), waiting, Handed()) as (
        child,
        report,
    ):
        try:
            for _ in confinement.pieces(child, "QEMU", waiting):
                pass
            _ended(child, words_of(argv), waiting, (0,))
        except (CommandFailed, TimedOut) as error:
            raise NotStarted(f"{NOT_SET_UP}: {error.message}", hint=HINT) from error
        return report


@contextlib.contextmanager
def _reader(
    module: str, arguments: Sequence[str], bounds: Bounds, pass_fds: Sequence[int]
) -> Iterator[tuple[run.Child, list[str]]]:
    who, handed = confinement.user(), Handed(files=pass_fds)
    with _shut_in(
        lambda report: confinement.reader_words(bounds, who, handed, report, module, arguments),
        bounds,
        handed,
    ) as found:
        yield found


def _until_its_end(
    child: run.Child, module: str, arguments: Sequence[str], bounds: Bounds
) -> Iterator[bytes]:
    yield from confinement.pieces(child, module, bounds)
    _ended(child, [module, *arguments], bounds, (0,))


def _give(handed: Handed, who: int) -> None:
    for descriptor in handed.owned:
        os.fchown(descriptor, who, who)
    if handed.folder is not None:
        os.chown(handed.folder, who, who)


@contextlib.contextmanager
def _shut_in(
    words: Callable[[int], list[str]], bounds: Bounds, handed: Handed, stdin: int | None = None
) -> Iterator[tuple[run.Child, list[str]]]:
    """Once what is promised is in force, and what that is; what it says on stderr is lost beyond what fits a
    pipe. Raises NotStarted."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    hearing, report = os.pipe2(os.O_CLOEXEC)
    with ExitStack() as mine, ExitStack() as theirs:
        theirs.callback(os.close, writing)
        theirs.callback(os.close, report)
        said = mine.enter_context(os.fdopen(reading, "rb", buffering=0))
        mine.callback(os.close, hearing)
        shut_in = run.start(
            words(report),
            stdin=stdin,
            stdout=run.PIPE,
            stderr=writing,
            pass_fds=(*handed.files, *handed.owned, report),
            shut_in=True,
        )
        try:
            child = mine.enter_context(shut_in)
        except PermissionError as error:  # this Python is in a folder that is not for this user
            raise NotStarted(f"{NOT_SET_UP}: {error.filename}: {error.strerror}") from error
        mine.callback(confinement.kill, child)
        assert child.stdout is not None
        run.widen(child.stdout, bounds.pipe)
        theirs.close()
        child.stderr = said
        yield child, _report(hearing, child, max(bounds.waiting, _PATIENCE))


def _report(hearing: int, child: run.Child, patience: float) -> list[str]:
    """What the child said on its own pipe, which closes before it, or the program, sees a stranger's byte: so
    nobody else can have said it, and without it nothing was read."""
    poller = select.poll()
    poller.register(hearing, select.POLLIN)
    told, end = b"", time.monotonic() + patience
    while True:
        if not poller.poll(max(0.0, end - time.monotonic()) * 1000):
            raise NotStarted(f"{NOT_SET_UP}: it took more than {patience:g} s")
        piece = os.read(hearing, 4096)
        if not piece:
            break
        told += piece
    lines = told.decode("utf-8", "replace").splitlines()
    if jail.FAILED in lines:
        raise NotStarted(f"{NOT_SET_UP}: {lines[-1]}", hint=HINT)
    if lines[:1] != [jail.REPORTED]:
        code = child.wait(patience)
        last = (_complaint(child).splitlines() or ["it said nothing"])[-1]
        raise NotStarted(f"{NOT_SET_UP}: its process ended with {code}: {last}", hint=HINT)
    return lines[1:]


def _ended(child: run.Child, words: list[str], bounds: Bounds, ok: Sequence[int]) -> int:
    try:
        code = child.wait(bounds.waiting)
    except run.Overdue as error:
        raise TimedOut(f"{Path(words[0]).name} did not end within {bounds.waiting:g} s") from error
    clean = _complaint(child)
    if code == _NOT_LOADED and "error while loading shared libraries" in clean:
        raise NotStarted(f"{NOT_SET_UP}: {clean.splitlines()[-1]}", hint=HINT)
    check(words, code, clean.encode(), ok)
    return code


def _complaint(child: run.Child) -> str:
    """Words of a stranger, perhaps: fit for a terminal."""
    assert child.stderr is not None
    said = (child.stderr.read() or b"").decode("utf-8", "replace")[-STDERR_TAIL:]
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in said)
