"""What is asked to be done with machines, from lists and from their own pages: each a job, whose page tells
what became of each machine. What cannot be taken back is asked for again, on a page of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator, Principal
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.web import render
from skinnybox.web.forms import Posted, listed, text
from skinnybox.web.listing import meant, query_of

router = APIRouter()
_SHOWN = 60
Act = Callable[[Fleet, list[str], Operation], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """`loses`: what is gone after it, which is said before it is done."""

    word: str
    act: Act
    loses: str | None = None


def _delete(fleet: Fleet, names: list[str], operation: Operation) -> object:
    return fleet.delete(names, operation=operation)


def _delete_running(fleet: Fleet, names: list[str], operation: Operation) -> object:
    return fleet.delete(names, force=True, operation=operation)


DEEDS = {
    "start": Deed(word="Start", act=lambda fleet, names, operation: fleet.start(names, operation=operation)),
    "stop": Deed(word="Stop", act=lambda fleet, names, operation: fleet.stop(names, Stopping(), operation)),
    "restart": Deed(
        word="Restart",
        act=lambda fleet, names, operation: fleet.restart(names, Stopping(), operation=operation),
    ),
    "kill": Deed(
        word="Pull the plug",
        act=lambda fleet, names, operation: fleet.kill(names, operation),
        loses="what their guests have not written to their disks yet",
    ),
    "reset": Deed(
        word="Reset",
        act=lambda fleet, names, operation: fleet.overlays.reset(names, operation),
        loses="everything on their overlays: what they made their own. Who they are stays",
    ),
    "slim": Deed(
        word="Slim",
        act=lambda fleet, names, operation: fleet.deltas.slim(names, operation),
    ),
    "rollback": Deed(
        word="Roll back",
        act=lambda fleet, names, operation: fleet.rebases.rollback(names, operation),
    ),
    "commit": Deed(
        word="Commit",
        act=lambda fleet, names, operation: fleet.rebases.commit(names, operation),
        loses="what they were before their rebase, and with it the way back",
    ),
    "delete": Deed(word="Delete", act=_delete, loses="the machines, with their overlays and their snapshots"),
    "delete-running": Deed(
        word="Delete",
        act=_delete_running,
        loses="the machines, also those that run, with their overlays and snapshots",
    ),
}
"""Reset is refused for machines that run, and delete but with force: their jobs say so. What a machine had
since its rebase is kept as a snapshot when it is rolled back."""
_VERBS = {"Pull the plug": "kill", "Roll back": "rollback", "Commit": "rebase commit"}
"""What the job is called, where that is not the word of the button."""


@router.post("/machines/do")
def do(request: Request, who: Operator, form: Posted) -> Response:
    deed = _deed(text(form, "do"))
    names = chosen(request, who, form)
    if deed.loses is not None and not _sure(form, names):
        return _ask(request, form, deed, names)
    fleet = fleet_of(request)
    number, _ = reach.begin(
        fleet, who, _VERBS.get(deed.word, deed.word.lower()), names,
        lambda found, operation: deed.act(fleet, found, operation),
    )  # fmt: skip
    return render.moved(request, f"/jobs/{number}")


def _deed(name: str) -> Deed:
    if name not in DEEDS:
        raise UsageError(f"{name!r:.40} cannot be done with machines")
    return DEEDS[name]


def chosen(request: Request, who: Principal, form: FormData) -> list[str]:
    """The names that were marked; or all that the list is about, where that was said."""
    names: Sequence[str] = listed(form, "names")
    if text(form, "all"):
        said = {key: value for key, value in form.items() if isinstance(value, str)}
        names = [machine.name for machine in meant(reach.machines(fleet_of(request), who), query_of(said))]
    if not names:
        raise UsageError("no machine is marked", hint="mark some of the list, and ask again")
    reach.machines(fleet_of(request), who, names)
    return list(names)


def expected(names: Sequence[str]) -> str:
    """What somebody types who has read what they are about to do: the name, or of several how many."""
    return names[0] if len(names) == 1 else str(len(names))


def _sure(form: FormData, names: Sequence[str]) -> bool:
    """Of all that a list is about, they must still be the same ones as those that were shown."""
    same = not text(form, "all") or text(form, "sum") == _sum(names)
    return same and text(form, "typed") == expected(names)


def _sum(names: Sequence[str]) -> str:
    return sha256("\n".join(sorted(names)).encode()).hexdigest()[:32]


def _ask(request: Request, form: FormData, deed: Deed, names: list[str]) -> Response:
    machines = fleet_of(request).machines(names)
    said = query_of({key: value for key, value in form.items() if isinstance(value, str)})
    running = [machine.name for machine in machines if machine.status is not None and machine.status.pid]
    return render.page(
        request, "confirm.html", status=400 if text(form, "typed") else 200, deed=deed, do=text(form, "do"),
        filters=said.filters if text(form, "all") else None, sum=_sum(names),
        names=names, shown=names[:_SHOWN], expected=expected(names), wrong=text(form, "typed"),
        running=running, path="/machines",
    )  # fmt: skip
