"""What of a machine's own would go by a reset of parts of it, or by `slim`: told, and nothing is done."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from skinnybox.api.forms import MachineName, Paged, Told, Window
from skinnybox.errors import UsageError
from skinnybox.fleet import present_use
from skinnybox.fleet.deltas import wanted_of
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Principal, Viewer
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.model.drop import Wanted
from skinnybox.operation import Operation

router = APIRouter(tags=["inside machines"])
Named = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...], Field(max_length=1000)]


class GoneForm(Told):
    type: str
    """As `ls -l` has it."""
    size: int
    path: str
    """Of the guest, escaped so that its bytes can be got back: backslashes are doubled."""


class WouldForm(Told):
    name: str
    items: list[GoneForm]
    total: int
    """Of those that are told: the first 10,000."""
    count: int
    """Of all names that would go."""
    freed: int
    """Bytes of its overlay that would be free again."""
    notes: list[str]
    """What stays all the same, and why."""


@router.get("/machines/{name}/reset/preview", response_model=WouldForm)
def preview_reset(
    request: Request, who: Viewer, window: Paged, name: MachineName,
    paths: Annotated[Named, Query()] = (), packages: Annotated[Named, Query()] = (),
) -> Any:  # fmt: skip
    """What of a stopped one's own would go by a reset of these paths, each with all below it, and of the
    files of these packages of its master. By a reset of neither goes all that it has: its changes."""
    if not paths and not packages:
        raise UsageError(
            "no path and no package is named",
            hint="a reset without throws away all that the machine made its own: its changes",
        )
    return _would(fleet_of(request), who, window, name, wanted_of(paths, packages))


@router.get("/machines/{name}/slim/preview", response_model=WouldForm)
def preview_slim(request: Request, who: Viewer, window: Paged, name: MachineName) -> Any:
    """What a stopped one has as its master has it, and `slim` would drop."""
    return _would(fleet_of(request), who, window, name, wanted_of())


def _would(fleet: Fleet, who: Principal, window: Window, name: str, wanted: Wanted) -> dict[str, Any]:
    machine = reach.machine(fleet, who, name)
    with reading(machine.instance.uuid):
        [outcome] = fleet.deltas.would_drop([machine.name], wanted, Operation())
    if outcome.value is None:
        raise outcome.error or AssertionError("it came to nothing")
    found, done = outcome.value, outcome.value.done
    page = window.page(found.gone, present_use.gone)
    return {"name": machine.name, **page, "count": done.count, "freed": done.freed, "notes": list(done.notes)}
