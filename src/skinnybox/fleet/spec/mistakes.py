"""What pydantic found, in plain words and at its place in the file."""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from skinnybox.fleet.spec.again import Otherwise
from skinnybox.fleet.spec.marked import Marked, Mistake, Trail
from skinnybox.fleet.spec.parts import FromFile, SeededFile, Template
from skinnybox.fleet.spec.shape import MODELS, Card, FleetFile, Group, Shared
from skinnybox.fleet.spec.users import SeededUser
from skinnybox.fleet.spec.values import OnData
from skinnybox.printable import quoted, short

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list, with a - before each",
    "dict_type": "`key: value` lines",
    "model_type": "`key: value` lines",
    "union_tag_not_found": "a text or {file: PATH}",
}


def mistake(problem: "ErrorDetails", found: Marked) -> Mistake:
    kind = problem["type"]
    trail = _existing(problem["loc"], found)
    at_key = kind == "extra_forbidden" or problem["loc"][-1:] == ("[key]",) or kind == "missing"
    return Mistake(place=found.place(trail, key=at_key), what=_what(problem, trail))


def _existing(trail: Trail, found: Marked) -> Trail:
    """Without branches of unions, which the file does not have, and what is missing."""
    there: Trail = ()
    for part in trail:
        if (*there, part) in found.values:
            there = (*there, part)
    return there


def _what(problem: "ErrorDetails", trail: Trail) -> str:
    kind, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    name = trail[-1] if trail else ""
    of = f"{short(name)}: " if name and isinstance(name, str) and problem["loc"][-1:] != ("[key]",) else ""
    if kind == "extra_forbidden":
        return _unknown(str(name), trail[:-1])
    if kind == "missing":
        return f"{quoted(problem['loc'][-1])} is missing"
    if kind in _KINDS:
        shown = "" if name == "password_hash" else f", not {_shown(given)}"  # a password of digits, perhaps
        return f"{of}expected {_KINDS[kind]}{shown}"
    match kind:
        case "too_short":
            return f"{of}an empty list"
        case "value_error":
            return f"{of}{context['error']}"
        case "enum" | "literal_error":
            return f"{of}expected {context['expected']}, not {_shown(given)}"
        case "greater_than_equal" | "less_than_equal":
            return f"{of}{given} is too {'small' if 'ge' in context else 'large'}"
    return f"{of}{problem['msg']}"


def _shown(given: Any) -> str:
    match given:
        case None:
            return "nothing"
        case bool():
            return "true" if given else "false"
        case dict():
            return "`key: value` lines"
        case list():
            return "a list"
    return f"{given!r:.60}"


def _unknown(name: str, trail: Trail) -> str:
    model = _model(trail)
    known = [key for each in model for key in each.model_fields]
    if name in known:
        return f"either {' or '.join(known)}, not both"
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    if near:
        return f"{quoted(name)} is not known here: did you mean {' or '.join(near)}?"
    homes = [_HOMES[other] for other in MODELS if name in other.model_fields and other in _HOMES]
    if homes:
        return f"{quoted(name)} does not belong here, but {homes[0]}"
    return f"{quoted(name)} is not known here: there are {', '.join(known)}"


_HOMES: dict[type[BaseModel], str] = {
    FleetFile: "at the top of the file",
    Group: "into a group of `machines`",
    SeededFile: "into an item of `files`",
    Card: "into an item of `nics`",
    SeededUser: "into an item of `users`",
    Otherwise: "below `replay`",
}


def _model(trail: Trail) -> Sequence[type[BaseModel]]:
    """What could be at this place."""
    match trail:
        case ():
            return (FleetFile,)
        case ("defaults",):
            return (Shared,)
        case ("machines", _):
            return (Group,)
        case (*_, "files", int()):
            return (SeededFile,)
        case (*_, "nics", int()):
            return (Card,)
        case (*_, "users", int()):
            return (SeededUser,)
        case (*_, "run_once"):
            return (FromFile, Template)
        case (*_, "data"):
            return (OnData,)
        case (*_, "replay"):
            return (Otherwise,)
    return (FromFile,)
