"""The only file that starts programs.

Every program gets a fixed locale, no standard input unless one is given, no shell, and no descriptor it was
not handed. A program that fails is reported once, with the end of what it said.
"""

import contextlib
import os
import resource
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from skinnybox.errors import CommandFailed, TimedOut

_STDERR_TAIL = 4000
_NOT_FOUND = 127

Argv = Sequence[str | os.PathLike[str]]
Stream = int | IO[bytes] | None


def find(program: str) -> Path | None:
    """Where a program is; the system's administration folders count, whatever the caller's PATH says."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def run(
    argv: Argv,
    *,
    stdin: bytes | IO[bytes] | None = None,
    stdout: Stream = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    ok: Sequence[int] = (0,),
    limits: Callable[[], None] | None = None,
    pass_fds: Sequence[int] = (),
    output: Callable[[str], None] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end. Blocks. Raises CommandFailed (exit code not in `ok`, or no such program), TimedOut.

    `output` is called with every line the program prints on either stream, as it comes; nothing is captured
    then but the tail that an error shows.
    """
    words = _words(argv)
    if output is not None:
        return _stream(words, output, env=env, cwd=cwd, ok=ok, stdin=stdin)
    try:
        done = subprocess.run(
            words,
            input=stdin if isinstance(stdin, bytes) else None,
            stdin=_stdin(stdin),
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=_environment(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
            preexec_fn=limits,
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise _missing(words[0]) from error
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"{words[0]} did not end within {timeout:g} s") from error
    _check(words, done.returncode, done.stderr, ok)
    return done


def _stream(
    words: list[str],
    output: Callable[[str], None],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    ok: Sequence[int],
    stdin: bytes | IO[bytes] | None,
) -> subprocess.CompletedProcess[bytes]:
    if isinstance(stdin, bytes):
        raise TypeError("a streamed program takes a file as its standard input")
    with start(
        words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=cwd
    ) as child:
        tail = b""
        assert child.stdout is not None
        for line in child.stdout:
            tail = (tail + line)[-_STDERR_TAIL:]
            output(line.decode("utf-8", "replace").rstrip())
        code = child.wait()
    _check(words, code, tail, ok)
    return subprocess.CompletedProcess(words, code, b"", tail)


@contextlib.contextmanager
def start(
    argv: Argv,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run beside us for the length of the block; killed when the block is left early."""
    words = _words(argv)
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.DEVNULL if stderr is None else stderr,
            env=_environment(env),
            cwd=cwd,
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise _missing(words[0]) from error
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def detach(
    argv: Argv,
    *,
    output: int,
    pass_fds: Sequence[int] = (),
    user: int | None = None,
    groups: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
) -> int:
    """Start a program that outlives us, in its own session; return its pid.

    `output` is the descriptor both its streams go to. `user` is the uid and gid it runs as, dropped before it
    is executed, and `groups` the further groups it then has. The child stays ours to reap while we live.
    """
    words = _words(argv)
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(env),
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else list(groups),
        )
    except FileNotFoundError as error:
        raise _missing(words[0]) from error
    child.returncode = 0  # we never wait for it: keeps Popen from warning when it is collected
    return child.pid


def interactive(argv: Argv) -> int:
    """Hand the terminal to a program (ssh) and return its exit code."""
    words = _words(argv)
    try:
        return subprocess.call(words)
    except FileNotFoundError as error:
        raise _missing(words[0]) from error


def confined(
    argv: Argv,
    *,
    memory: int = 1 << 30,
    cpu_seconds: int = 60,
    file_size: int = 0,
    ok: Sequence[int] = (0,),
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a parser of foreign bytes within bounds: address space and largest file in bytes, CPU seconds."""

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return run(argv, limits=limits, timeout=cpu_seconds * 4, ok=ok, pass_fds=pass_fds)


def _words(argv: Argv) -> list[str]:
    words = [os.fspath(word) for word in argv]
    found = find(words[0])
    return [str(found) if found else words[0], *words[1:]]


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}


def _stdin(stdin: bytes | IO[bytes] | None) -> Stream:
    if isinstance(stdin, bytes):
        return None
    return subprocess.DEVNULL if stdin is None else stdin


def _check(words: list[str], code: int, stderr: bytes, ok: Sequence[int]) -> None:
    if code in ok:
        return
    said = stderr[-_STDERR_TAIL:].decode("utf-8", "replace").strip()
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    last = said.splitlines()[-1] if said else "it said nothing"
    raise CommandFailed(
        f"{Path(words[0]).name} {how}: {last}",
        returncode=code,
        stderr=said,
        hint=f"the whole command was: {shlex.join(words)}"[:2000],
    )


def _missing(program: str) -> CommandFailed:
    return CommandFailed(
        f"{program}: no such program",
        returncode=_NOT_FOUND,
        hint="`skinnybox doctor` says which package brings it",
    )
