"""A fleet file, read: the machines it describes, or every mistake in it with line and column."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from skinnybox import named_file
from skinnybox.errors import NotFound, UsageError
from skinnybox.fleet.names import expand
from skinnybox.fleet.spec import marked
from skinnybox.fleet.spec.content import NOWHERE
from skinnybox.fleet.spec.groups import Described, Groups
from skinnybox.fleet.spec.marked import Marked, Mistake, Place, Trail
from skinnybox.fleet.spec.mistakes import mistake
from skinnybox.fleet.spec.shape import FleetFile
from skinnybox.printable import printable

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_MISTAKES = 50
_LONGEST = 1000
_SENT = Path("fleet file")
_EMPTY: dict[str, Any] = {"version": 1, "fleet": "x", "machines": {}}
_HINT = "docs/reference/fleet-file.md tells every key; with `skinnybox plan --schema` an editor checks them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    file: Path
    fleet: str
    machines: tuple[Described, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What would stand in a fleet file, from somebody elsewhere: no file of this host may be named in it."""

    content: bytes


def load(file: Path | Sent) -> Description:
    """Raises NotFound, and UsageError that names every mistake. Other paths count from its folder."""
    if isinstance(file, Sent):
        return parse(file.content, _SENT, NOWHERE)
    try:
        content = named_file.head(file, marked.MOST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(f"{file}: no such fleet file") from error
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    return parse(content, file)


def parse(content: bytes, file: Path, folder: Path | None = None) -> Description:
    """Like load, of what the file holds. `folder` is not its own where it has none."""
    found = marked.read(content)
    if not found.values:  # nothing was understood: whatever else could be said of it would be wrong
        nothing = Mistake(place=Place(line=1, column=1), what="there is nothing in it")
        raise mistaken(file, found.mistakes or [nothing])
    fleet, machines = understood(found, folder or file.absolute().parent)
    if found.mistakes:
        raise mistaken(file, found.mistakes)
    return Description(file=file, fleet=fleet, machines=machines)


def understood(
    found: Marked, folder: Path, names: Callable[[Sequence[str]], list[str]] = expand
) -> tuple[str, tuple[Described, ...]]:
    """The fleet's name and its machines. Mistakes are added to those of `found`; `names` are those that a
    pattern means."""
    checked = _checked(found, folder)
    return checked.fleet, Groups(found, folder, checked, names).machines()


def mistaken(file: Path, mistakes: Iterable[Mistake]) -> UsageError:
    """One error for all of them, in the order of the lines, as `FILE:LINE:COLUMN: what`."""
    found = sorted(set(mistakes))
    lines = [f"{file}:{m.place.line}:{m.place.column}: {_told(m.what)}" for m in found[:MOST_MISTAKES]]
    if len(found) > MOST_MISTAKES:
        lines.append(f"... and {len(found) - MOST_MISTAKES} more")
    head = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    return UsageError("\n".join([f"{head} in {file}", *lines]), hint=_HINT)


def _told(what: str) -> str:
    """For a terminal, whatever was forgotten to be quoted."""
    shown = printable(what)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _checked(found: Marked, folder: Path) -> FleetFile:
    """The file without what is wrong in it, so that all the rest is looked at as well."""
    data = found.data
    for _ in range(8):  # what a mistake hid may hold another one
        try:
            return FleetFile.model_validate(data, context=folder)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            told = [problem for problem in problems if not _is_cut(problem, found)]
            found.mistakes += [mistake(problem, found) for problem in told]
            data = _without(data, [problem["loc"] for problem in problems])
    return FleetFile.model_validate(_EMPTY)


def _is_cut(problem: "ErrorDetails", found: Marked) -> bool:
    """Whether it misses only what was wrong, and was taken out for that."""
    return problem["type"] == "missing" and problem["loc"] in found.keys


def _without(data: Any, wrong: Iterable[Trail]) -> dict[str, Any]:
    """A copy without the keys that lead to what is wrong, and with those that must be there."""
    copy = _copied(data)
    for place in [_last_key(copy, trail) for trail in wrong]:
        if place is not None:
            place[0].pop(place[1], None)
    return {**_EMPTY, **copy} if isinstance(copy, dict) else _EMPTY


def _last_key(inner: Any, trail: Trail) -> tuple[dict[Any, Any], Any] | None:
    """The last on the way. Pydantic's trails name also branches of a union, which are not there."""
    last = None
    for part in trail:
        if isinstance(inner, dict) and part in inner:
            last, inner = (inner, part), inner[part]
        elif isinstance(inner, list) and isinstance(part, int) and part < len(inner):
            inner = inner[part]
    return last


def _copied(data: Any) -> Any:
    """Aliases become values of their own, so that cutting in one leaves the other."""
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    return [_copied(value) for value in data] if isinstance(data, list) else data
