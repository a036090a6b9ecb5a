"""Questions about foreign bytes to a confined interpreter of ours, and its answers: one JSON value a line.

The child reads what it was handed as descriptors and may be taken over by it; so the parent believes nothing:
lines are bounded, and whoever asks checks every value. What goes wrong in the child is Corrupt here.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from skinnybox.errors import CommandFailed, Corrupt, NoSpace, NotFound, SkinnyboxError, TimedOut, Unsupported
from skinnybox.sandbox.confinement import Bounds

_LINE_LIMIT = 1 << 17
_BATCH = 64
_COMPLAINED = 3
_TEXT_LIMIT = 500
_ERRORS: dict[str, type[SkinnyboxError]] = {
    kind.__name__: kind for kind in (Corrupt, NoSpace, NotFound, Unsupported)
}
_HINT = "it is damaged, or was made to hurt whoever reads it"


@contextlib.contextmanager
def inquire(
    module: str, arguments: Sequence[str], *, subject: str, bounds: Bounds, pass_fds: Sequence[int]
) -> Iterator[Iterator[Any]]:
    """The answers of `module`, whose `main` hands its arguments to `answer`. Killed when left early.

    `subject` is what it reads, for messages. The iteration raises what the child did: Corrupt, NotFound,
    Unsupported; and Corrupt when it broke its bounds. NotStarted: it never saw what it was to read.
    """
    from skinnybox.sandbox.process import confined_python  # the child needs this module, but not that one

    def answers() -> Iterator[Any]:
        try:
            for line in _lines(pieces):
                value = json.loads(line)
                if isinstance(value, dict) and "error" in value:
                    raise _raised(value, subject)
                yield value
        except (ValueError, RecursionError) as error:
            raise Corrupt(f"{subject}: its reader gave no proper answer", hint=_HINT) from error
        except (CommandFailed, TimedOut) as error:
            raise _broken(error, subject) from error

    with confined_python(module, arguments, bounds=bounds, pass_fds=pass_fds) as pieces:
        yield answers()


def ask(
    module: str, arguments: Sequence[str], *, subject: str, bounds: Bounds, pass_fds: Sequence[int]
) -> Any:
    """The only answer."""
    with inquire(module, arguments, subject=subject, bounds=bounds, pass_fds=pass_fds) as answers:
        found = list(answers)
    if len(found) != 1:
        raise Corrupt(f"{subject}: its reader gave no proper answer", hint=_HINT)
    return found[0]


@contextlib.contextmanager
def stream(
    module: str, arguments: Sequence[str], *, subject: str, bounds: Bounds, pass_fds: Sequence[int]
) -> Iterator[Iterator[bytes]]:
    """As inquire, for a child that prints bytes, and errors by `complain`."""
    from skinnybox.sandbox.process import confined_python

    def checked() -> Iterator[bytes]:
        try:
            yield from pieces
        except (CommandFailed, TimedOut) as error:
            raise _complaint(error, subject) from error

    with confined_python(module, arguments, bounds=bounds, pass_fds=pass_fds) as pieces:
        yield checked()


def answer(values: Iterable[Any], *, batch: int = _BATCH) -> None:
    """In the child: print them, so many at a time, and what is raised between them as the last."""
    encode, found = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode, []
    try:
        for value in values:
            found.append(encode(value))
            if len(found) >= batch:
                _print(found)
                found = []
        _print(found)
    except SkinnyboxError as error:
        _print([*found, _told(error)])
    except MemoryError as error:
        found.clear()
        _print([_told(error)])


def complain(error: SkinnyboxError | MemoryError) -> NoReturn:
    """In the child, when what it prints are bytes: end, and say why where `stream` finds it."""
    sys.stderr.write(_told(error))
    sys.stderr.flush()
    os._exit(_COMPLAINED)  # what is still to be written is of no use


def _told(error: SkinnyboxError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return _told(Corrupt("reading it takes more memory than it may"))
    return json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint})


def _print(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > _LINE_LIMIT:
            raise ValueError("a line without an end")
    if rest:
        raise ValueError("a line was cut off")


def _raised(value: dict[str, Any], subject: str) -> SkinnyboxError:
    kind = _ERRORS.get(str(value["error"]), Corrupt)
    hint = value.get("hint")
    return kind(
        f"{subject}: {_clean(value.get('message'))}",
        hint=_clean(hint) if hint else (_HINT if kind is Corrupt else None),
    )


def _clean(text: object) -> str:
    """Some text of a stranger, fit for a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:_TEXT_LIMIT])


def _complaint(error: CommandFailed | TimedOut, subject: str) -> SkinnyboxError:
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(error, CommandFailed) and error.returncode == _COMPLAINED:
            value = json.loads(error.stderr)
            if isinstance(value, dict) and "error" in value:
                return _raised(value, subject)
    return _broken(error, subject)


def _broken(error: CommandFailed | TimedOut, subject: str) -> SkinnyboxError:
    return Corrupt(f"{subject}: reading it broke the bounds it was set: {error.message}", hint=_HINT)
