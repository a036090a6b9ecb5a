"""Parts of what a machine made its own, given back to its master: marked among its changes, told as what
would go, and then done. `slim` needs no mark: it drops what says the same as the master."""

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.fleet.deltas import wanted_of
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.printable import raw_path
from skinnybox.web import render
from skinnybox.web.changes import tabs
from skinnybox.web.forms import Posted, text
from skinnybox.web.machine import head
from skinnybox.web.one import one

router = APIRouter()
SHOWN = 300
"""Names that a page tells one by one."""


@router.post("/machines/{name}/changes/drop")
def drop(request: Request, who: Operator, name: str, form: Posted) -> Response:
    """What would go, with a button that says so; with that, it goes. UsageError where nothing is marked."""
    found, what = one(request, who, name), text(form, "do")
    if what not in ("reset", "slim"):
        raise UsageError(f"{what!r:.40} cannot be done with what a machine made its own")
    paths = _paths(form) if what == "reset" else []
    if what == "reset" and not paths:
        raise UsageError("nothing is marked", hint="mark what the master is to be seen of again")
    fleet, said = fleet_of(request), [_as_text(path) for path in paths]
    if text(form, "sure"):

        def act(names: list[str], operation: Operation) -> object:
            deltas = fleet.deltas
            return deltas.give_back(names, said, (), operation) if said else deltas.slim(names, operation)

        number, _ = reach.begin(fleet, who, what, [name], act)
        return render.moved(request, f"/jobs/{number}")
    with reading(found.instance.uuid):
        [outcome] = fleet.deltas.would_drop([name], wanted_of(said))
    if outcome.error is not None:
        raise outcome.error
    return render.page(
        request, "drop.html", what=what, would=outcome.value, paths=paths, shown=SHOWN,
        **head(request, found), **tabs("changes"),
    )  # fmt: skip


def _paths(form: FormData) -> list[str]:
    """As they were told, escaped and from the root on; as they are, with the blanks at their ends. UsageError
    for what was told of none."""
    found = [said for said in form.getlist("path") if isinstance(said, str)]
    for said in found:
        if raw_path(said) is None:
            raise UsageError(f"{said[:80]!r} is no path of a machine")
    return list(dict.fromkeys(found))


def _as_text(path: str) -> str:
    return (raw_path(path) or b"").decode("utf-8", "surrogateescape")
