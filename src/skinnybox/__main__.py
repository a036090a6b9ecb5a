"""The command `skinnybox`. What a shell asks for at every key is answered before the rest is imported."""

import os
import signal
import sys


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
    sys.exit(main())
