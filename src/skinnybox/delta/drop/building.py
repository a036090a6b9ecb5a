"""An overlay without what is to go, built beside the old one; and a look at what that would be.

As a rebase does it: a copy on which only names are removed, read again and compared with what it was to be.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from skinnybox.delta.drop import ordering
from skinnybox.delta.handing import handed
from skinnybox.delta.rebase import comparing, planning
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.rebase.orders import decoded
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.errors import Blocked, Corrupt, NotFound, SkinnyboxError
from skinnybox.model.drop import Dropped, Gone, Wanted
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.inspect import opened
from skinnybox.printable import printable
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import inquire

_HASHED_PER_SECOND = 20 << 20
_WRITTEN = 1 << 30
_LONGEST, _MOST_NOTES, _LONGEST_NOTE, _LONGEST_REFUSAL = 4200, 10, 500, 20_000
_TYPES = frozenset("-dlcbps")
_LARGEST = 1 << 63


def build(
    old: Path, new: Path, master: Files, wanted: Wanted, images: Sequence[str], operation: Operation
) -> Dropped:
    """Fill `new`, a blank private file as large as the overlay `old`, whose machine is off, with what that
    holds, but for what is `wanted` to go. `images` are those of its stack.

    Raises NotFound where there is nothing of the machine's own, Blocked for what does not go alone, Corrupt;
    `new` is of no use then."""
    with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
        copy_data(source.fileno(), target.fileno(), operation)
    edit.prepared(new)
    with _scratch(new.parent) as scratch:
        removals, changes, lines, contents = scratch
        with _chosen(new, master, wanted, images, scratch) as found:
            (done,) = (each for each in found if isinstance(each, Dropped))  # of the names none is held
        operation.step(task="reset", detail="writing")
        with _reading(removals) as first, _reading(changes) as then:
            size = os.fstat(contents).st_size
            edit.edited(new, chain(decoded(first, size), decoded(then, size)), contents, operation)
        edit.settled(new)
        comparing.verify(new, lines)
    return done


@contextlib.contextmanager
def looked(
    disk: Path, master: Files, wanted: Wanted, images: Sequence[str], scratch: Path
) -> Iterator[Iterator[Gone | Dropped]]:
    """What would go, each name, and the sum of it last. Nothing is written but files without a name in the
    folder `scratch`. Raises as `build`, while it is gone through, and Unsettled for a disk whose journal is
    to be replayed first."""
    with _scratch(scratch) as files, _chosen(disk, master, wanted, images, files) as found:
        yield found


@contextlib.contextmanager
def _chosen(
    disk: Path, master: Files, wanted: Wanted, images: Sequence[str], scratch: list[int]
) -> Iterator[Iterator[Gone | Dropped]]:
    with opened(disk) as device, handed(ordering.to_text(wanted)) as asked:
        size = os.fstat(device).st_size
        bounds = Bounds(
            memory=2 << 30,
            cpu_seconds=300 + size // _HASHED_PER_SECOND,
            file_size=max(size, _WRITTEN),
            output=1 << 40,
        )
        files = [device, asked, *master.all, *scratch]
        words = [str(device), str(asked), master.word, *map(str, scratch)]
        with inquire(ordering.__name__, words, subject=str(disk), bounds=bounds, pass_fds=files) as answers:
            refuse_unsettled(answers, disk)
            planning.refuse_others(answers, disk, images)
            yield _checked(answers)


def _checked(answers: Iterator[Any]) -> Iterator[Gone | Dropped]:
    """The sum of it is the last; a reader that says more, or less, is not believed."""
    for value in answers:
        if isinstance(value, dict):
            raise _refusal(value)
        try:
            if len(value) != 4:
                path, letter, size = value
                yield Gone(path=_path(path), type=_letter(letter), size=_number(size))
                continue
            _, count, freed, notes = value
            told = tuple(printable(str(note)[:_LONGEST_NOTE]) for note in notes[:_MOST_NOTES])
            done = Dropped(count=_number(count), freed=_number(freed), notes=told)
        except (ValueError, TypeError) as error:
            raise Corrupt(NO_ANSWER) from error
        if next(answers, None) is not None:
            raise Corrupt(NO_ANSWER)
        yield done
        return
    raise Corrupt(NO_ANSWER)


def _refusal(value: dict[str, Any]) -> SkinnyboxError:
    kind = {"Blocked": Blocked, "NotFound": NotFound}.get(str(value.get("refused")), Corrupt)
    why, hint = (printable(str(value.get(key) or "")[:_LONGEST_REFUSAL]) for key in ("why", "hint"))
    return kind(why, hint=hint or None)


def _path(value: Any) -> bytes:
    raw = value.encode("utf-8", "surrogateescape") if type(value) is str else b""
    if not raw or len(raw) > _LONGEST or b"\0" in raw:
        raise ValueError("no path")
    return bytes(raw)


def _letter(value: Any) -> str:
    if value not in _TYPES:
        raise ValueError("no type")
    return str(value)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise ValueError("no number")
    return value


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[list[int]]:
    """Files without a name: a kill leaves nothing."""
    with ExitStack() as held:
        yield [held.enter_context(tempfile.TemporaryFile(dir=folder)).fileno() for _ in range(4)]


@contextlib.contextmanager
def _reading(descriptor: int) -> Iterator[Any]:
    with os.fdopen(os.dup(descriptor), "rb", 1 << 18) as file:
        file.seek(0)
        yield file
