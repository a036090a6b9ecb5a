"""The command `skinnybox`. What a shell asks for at every key is answered before the rest is imported."""

import atexit
import gc
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes longer than all the rest of `--version`
    from typing import NoReturn

_MADE = 50_000
"""New objects after which Python looks for those that only hold each other. Usually 700: then it looks sixty
times while a short command is imported, of which nothing goes, and that is a twelfth of its time."""


def run_process() -> "NoReturn":
    """The command as a process of its own, from its first import of ours to its end."""
    gc.set_threshold(_MADE)
    _end(main())


def _end(code: int) -> "NoReturn":
    """All is done, told and closed. Python would take apart what was imported, piece by piece, which takes as
    long as a sixth of `list`; the kernel does it at once. Who asked to be called at the end is; as long as
    another thread works, Python's own end waits for it."""
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)


def main() -> int:
    signal.signal(signal.SIGINT, _before_anything)
    from skinnybox.cli import streams
    from skinnybox.errors import CannotWrite

    streams.prepare()
    try:
        try:
            code = _ended(sys.argv[1:])
        except SystemExit as asked:  # of the parser: help, or a line it does not understand
            code = asked.code if isinstance(asked.code, int) else 0
        sys.stdout.flush()
    except CannotWrite as error:
        print(f"skinnybox: {error.message}", file=sys.stderr)
        code = error.exit_code
    # All is done and told: what is left is Python's own end, which Ctrl-C would litter with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _ended(words: list[str]) -> int:
    if words == ["--version"]:
        from skinnybox import __version__

        print(f"skinnybox {__version__}")
        return 0
    if words[:1] == ["__complete"]:
        from skinnybox.cli.complete import candidates

        print("\n".join(candidates(words[1:])))
        return 0
    from skinnybox.cli.main import run_command

    return run_command(words)


def _before_anything(_signal: int, _frame: object) -> None:
    """Importing takes most of a short command's time: Ctrl-C in it has nothing to clean up."""
    os.write(2, b"skinnybox: interrupted before anything was begun\n")
    os._exit(130)


if __name__ == "__main__":
    run_process()
