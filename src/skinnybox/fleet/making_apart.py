"""Masters of who is not root: made by a process of ours that is root of a user namespace.

It is handed the order, tells how far it is, and then what came of it, a line of JSON each (making_child.py).
That its standard input ends means that nobody wants it any more: who asks for a job to end, and a server that
is killed, end it alike, where nothing is lost. What it says is checked as if a stranger said it: it unpacks
what strangers packed, and programs of the tree run as the same root.
"""

import json
import os
import select
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from skinnybox import errors, run
from skinnybox.errors import Cancelled, CommandFailed, SkinnyboxError
from skinnybox.fleet.making import BuildLayer, OfMaster, Order, made, written
from skinnybox.fleet.making_layers import contents_of, would_build
from skinnybox.masters import catalogue, namespace
from skinnybox.model import Master
from skinnybox.model.promotion import LayerContents
from skinnybox.operation import Operation, Step

_CHILD = "from skinnybox.fleet.making_child import main; main()"
_STEP = ("task", "done", "unit", "detail")
_NAP = 0.2
_LONGEST = 1 << 16
_TAIL = 4000
_MOST_ROWS = 1 << 16


def make(store: Path, order: OfMaster, operation: Operation) -> Master:
    """Here, or there when this process is no root and can have such a child; else Unsupported says what is
    missing. Raises what the making raises, told again; blocks."""
    return catalogue.find(store, make_any(store, order, operation))


def make_any(store: Path, order: Order, operation: Operation) -> str:
    """The same of whatever is sealed in that store: its id, as hex digits."""
    if not namespace.needed() or namespace.why_not():
        return made(store, order, operation).id.removeprefix("sha256:")
    with tempfile.TemporaryFile() as complaints:
        return _told(written(store, order), operation, complaints)


def tried(store: Path, order: BuildLayer, operation: Operation) -> LayerContents:
    """What would be made. Raises the same."""
    if not namespace.needed() or namespace.why_not():
        return would_build(store, order, operation)
    rows: list[list[Any]] = []
    with tempfile.TemporaryFile() as complaints:
        _told(written(store, order, only_look=True), operation, complaints, rows)
    return contents_of(rows)


def _told(
    order: str, operation: Operation, complaints: IO[bytes], rows: list[list[Any]] | None = None
) -> str:
    """The id of what it made. Rows about what it would make are added to `rows`."""
    words = [*namespace.argv_prefix(), sys.executable, "-P", "-c", _CHILD]
    with run.start(words, stdin=run.PIPE, stdout=run.PIPE, stderr=complaints, keep=run.OURSELVES) as child:
        assert child.stdin is not None and child.stdout is not None
        with suppress(BrokenPipeError):  # it ended at once, and says why
            os.write(child.stdin.fileno(), f"{order}\n".encode())
        for found in _lines(child, operation):
            match found:
                case {"row": [*row]} if rows is not None and len(rows) < _MOST_ROWS:
                    rows.append(row)
            if (identity := _heard(found, operation)) is not None:
                return identity
        code = child.wait()
    operation.check("a master")
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - _TAIL))
    said = complaints.read().decode("utf-8", "replace").strip()
    last = said.splitlines()[-1][:500] if said else "it said nothing"
    raise CommandFailed(
        f"what makes masters as root of a namespace ended with {code}: {last}", returncode=code, stderr=said,
        hint="`skinnybox doctor`; as root no namespace is needed",
    )  # fmt: skip


def _lines(child: run.Child, operation: Operation) -> Iterator[dict[str, Any]]:
    """What it says, until it has ended. It is told once that it is not wanted any more."""
    assert child.stdin is not None and child.stdout is not None
    rest = b""
    while True:
        if operation.cancelled and not child.stdin.closed:
            child.stdin.close()
        if not select.select([child.stdout], [], [], _NAP)[0]:
            continue
        piece = os.read(child.stdout.fileno(), _LONGEST)
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(None, map(_parsed, lines))
        if not piece or len(rest) > _LONGEST:
            return


def _parsed(line: bytes) -> dict[str, Any] | None:
    """None of what is no line of ours."""
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        return found if isinstance(found, dict) else None
    return None


def _heard(found: dict[str, Any], operation: Operation) -> str | None:
    """The id of a master that is made; raises what it failed by."""
    match found:
        case {"step": {"task": str(), "done": int(), "unit": str(), "detail": str(), "total": total} as step}:
            known = total if isinstance(total, int) else None
            operation.report(Step(**{**{key: step[key] for key in _STEP}, "total": known}))
        case {"note": str(line)}:
            operation.note(line)
        case {"failed": str(kind), "message": str(message), "hint": hint}:
            if kind == Cancelled.__name__:
                operation.check("a master")  # it knows only that it is not wanted; we know why
            raise _error(kind)(message, hint=hint if isinstance(hint, str) else None)
        case {"made": str(identity)}:
            return identity.removeprefix("sha256:")
    return None


def _error(name: str) -> type[SkinnyboxError]:
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, SkinnyboxError) else SkinnyboxError
