"""Starting programs: to their end, beside us, or outliving us."""

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

from skinnybox.errors import CommandFailed, TimedOut
from skinnybox.run.environment import NOTHING, ORDINARY, Names, environment, find

STDERR_TAIL = 4000
_LINE = 500
_NOT_FOUND = 127
_NAP = 0.1
_PIPE, _WIDE = 1 << 16, 1 << 20
_UMASK = 0o022
"""What goes into a master must not depend on the caller's, nor be everybody's."""
_AT_THE_GATE = 'read -r _ && exec "$0" "$@" </dev/null'

Argv = Sequence[str | os.PathLike[str]]
Stream = int | IO[bytes] | None
Child: TypeAlias = subprocess.Popen[bytes]
Ended: TypeAlias = subprocess.CompletedProcess[bytes]
Overdue = subprocess.TimeoutExpired
"""What waiting for a child raises when it takes too long."""
PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT


def run(
    argv: Argv,
    *,
    stdin: bytes | IO[bytes] | None = None,
    stdout: Stream = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    keep: Names = ORDINARY,
    cwd: Path | None = None,
    timeout: float | None = None,
    ok: Sequence[int] = (0,),
    pass_fds: Sequence[int] = (),
    output: Callable[[str], None] | None = None,
    attend: Callable[[], None] | None = None,
) -> Ended:
    """Run to the end. Blocks. Raises CommandFailed (exit code not in `ok`, or no such program), TimedOut.

    `keep` names what it gets of our environment (environment.py), `env` what it gets beside that.

    `attend` is called several times a second while the program runs: what it raises kills the program.

    `output` is called with every line the program prints on either stream, as it comes; nothing is captured
    then but the tail that an error shows.
    """
    words = words_of(argv)
    if output is not None:
        return _stream(words, output, env=env, keep=keep, cwd=cwd, ok=ok, stdin=stdin)
    fed = stdin if isinstance(stdin, bytes) else None
    streams = {"stdin": _stdin(stdin), "stdout": stdout, "stderr": subprocess.PIPE}
    with _begun(words, keep, env, **streams, cwd=cwd, pass_fds=pass_fds) as child:
        done = _ended(child, words, fed, timeout, attend)
    check(words, done.returncode, done.stderr, ok)
    return done


def _begun(words: list[str], keep: Names, env: Mapping[str, str] | None, **how: Any) -> Child:
    """Started, in whatever way: what holds for every program we start. Raises CommandFailed when there is no
    such program."""
    try:
        return subprocess.Popen(words, env=environment(keep, env), umask=_UMASK, **how)
    except FileNotFoundError as error:
        raise missing(words[0]) from error


def _ended(
    child: Child,
    words: list[str],
    stdin: bytes | None,
    timeout: float | None,
    attend: Callable[[], None] | None,
) -> Ended:
    """What it said, when it has ended; whatever else ends the wait kills it."""
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            if attend is not None:
                attend()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                nap = left if attend is None else min(_NAP, _NAP if left is None else left)
                said, complained = child.communicate(stdin, timeout=nap)
                return subprocess.CompletedProcess(child.args, child.returncode, said, complained)
            except subprocess.TimeoutExpired as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimedOut(f"{words[0]} did not end within {timeout:g} s") from error
    except BaseException:
        child.kill()
        raise


def _stream(
    words: list[str],
    output: Callable[[str], None],
    *,
    env: Mapping[str, str] | None,
    keep: Names,
    cwd: Path | None,
    ok: Sequence[int],
    stdin: bytes | IO[bytes] | None,
) -> Ended:
    if isinstance(stdin, bytes):
        raise TypeError("a streamed program takes a file as its standard input")
    with start(words, stdin=stdin, stdout=PIPE, stderr=STDOUT, env=env, keep=keep, cwd=cwd) as child:
        tail = b""
        assert child.stdout is not None
        for line in child.stdout:
            tail = (tail + line)[-STDERR_TAIL:]
            output(line.decode("utf-8", "replace").rstrip())
        code = child.wait()
    check(words, code, tail, ok)
    return subprocess.CompletedProcess(words, code, b"", tail)


@contextlib.contextmanager
def start(
    argv: Argv,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    env: Mapping[str, str] | None = None,
    keep: Names = ORDINARY,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    shut_in: bool = False,
) -> Iterator[Child]:
    """Run beside us for the length of the block; killed when the block is left early. `shut_in`: it gets no
    terminal, no folder and no environment of ours."""
    words = words_of(argv)
    child = _begun(
        words,
        NOTHING if shut_in else keep,
        env,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.DEVNULL if stderr is None else stderr,
        cwd=Path("/") if shut_in else cwd,
        pass_fds=pass_fds,
        start_new_session=shut_in,
    )
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def widen(pipe: IO[bytes], length: int) -> None:
    """Let so many bytes wait in it, as far as the kernel allows. It has 64 KiB by itself."""
    if length > _PIPE:
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, length)


def feed(argv: Argv, pieces: Iterable[bytes], *, stdout: Stream = None) -> Ended:
    """Run to the end on what comes in pieces; what they raise kills it. Raises CommandFailed."""
    words = words_of(argv)
    with tempfile.TemporaryFile() as said:
        with start(words, stdin=subprocess.PIPE, stdout=stdout, stderr=said) as child:
            assert child.stdin is not None
            widen(child.stdin, _WIDE)
            with contextlib.suppress(BrokenPipeError):  # it ended early, and says why
                for piece in pieces:
                    _write(child.stdin.fileno(), piece)
            child.stdin.close()
            code = child.wait()
        size = said.seek(0, os.SEEK_END)
        said.seek(max(0, size - STDERR_TAIL))
        stderr = said.read()
    check(words, code, stderr, (0,))
    return subprocess.CompletedProcess(words, code, b"", stderr)


def detach(
    argv: Argv,
    *,
    output: int,
    pass_fds: Sequence[int] = (),
    user: int | None = None,
    groups: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    keep: Names = NOTHING,
    cwd: Path = Path("/"),
    gate: int | None = None,
) -> int:
    """Start a program that outlives us, in its own session; return its pid.

    `gate` is the reading end of a pipe: the program begins when a line comes, and never when the pipe ends
    before that; so who starts it can write down the pid first, and may be killed at any moment.

    `output` is the descriptor both its streams go to. `user` is the uid and gid it runs as, dropped before it
    is executed, and `groups` the further groups it then has. The child stays ours to reap while we live.
    `keep` names what it gets of our environment, for years, and all who become `user` may read it.
    """
    words = words_of(argv)
    if gate is not None:
        words = [*words_of(["sh"]), "-c", _AT_THE_GATE, *words]
    child = _begun(
        words,
        keep,
        env,
        stdin=subprocess.DEVNULL if gate is None else gate,
        stdout=output,
        stderr=output,
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else list(groups),
    )
    child.returncode = 0  # we never wait for it: keeps Popen from warning when it is collected
    return child.pid


def tied(argv: Argv) -> list[str | os.PathLike[str]]:
    """The same command, which dies with all that it started as soon as we do, however we end.

    For root, of this machine or of a namespace: the command gets process ids and mounts of its own.
    """
    # The shell is the first process there: it reaps what others leave, and all of them go with it.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", '"$@"; exit $?', "sh"]
    return with_us([*alone, *argv])


def with_us(argv: Argv) -> list[str | os.PathLike[str]]:
    """The same command, which is killed as soon as the thread that started it ends, however that comes. What
    it started itself is not."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *argv]


def interactive(argv: Argv, *, keep: Names = ORDINARY) -> int:
    """Hand the terminal to a program (ssh), in the user's own language, and return its exit code."""
    words = words_of(argv)
    try:
        return subprocess.call(words, env=environment(keep, locale=None))
    except FileNotFoundError as error:
        raise missing(words[0]) from error


def _write(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]


def words_of(argv: Argv) -> list[str]:
    """What to execute: the program's path, where it is known, and its arguments."""
    words = [os.fspath(word) for word in argv]
    found = find(words[0])
    return [str(found) if found else words[0], *words[1:]]


def _stdin(stdin: bytes | IO[bytes] | None) -> Stream:
    if isinstance(stdin, bytes):
        return subprocess.PIPE
    return subprocess.DEVNULL if stdin is None else stdin


def check(words: list[str], code: int, stderr: bytes, ok: Sequence[int]) -> None:
    """Raises CommandFailed, with the end of what it said, for an exit code that is not in `ok`."""
    if code in ok:
        return
    said = stderr[-STDERR_TAIL:].decode("utf-8", "replace").strip()
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    last = said.splitlines()[-1][:_LINE] if said else "it said nothing"
    raise CommandFailed(
        f"{Path(words[0]).name} {how}: {last}",
        returncode=code,
        stderr=said,
        hint=f"the whole command was: {shlex.join(words)}"[:2000],
    )


def missing(program: str) -> CommandFailed:
    """The error for a program that is not there."""
    return CommandFailed(
        f"{program}: no such program",
        returncode=_NOT_FOUND,
        hint="`skinnybox doctor` says which package brings it",
    )
