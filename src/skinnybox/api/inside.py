"""What is inside machines, and what they left: their changes, what takes their room, snapshots, forwards,
the console's log."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from skinnybox.api.forms import Globs, MachineName, Page, Paged, Told
from skinnybox.fleet import present, present_changes, present_use
from skinnybox.fleet.power import running
from skinnybox.fleet.present_load import load
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator, Principal, Viewer
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.model import Change, DiskKind
from skinnybox.operation import Operation

router = APIRouter(tags=["inside machines"])

LINES = "application/x-ndjson"
_MOST_CHANGES = 500_000
_LOOK = 1.0


class ChangeForm(Told):
    """A path of the guest, escaped so that its bytes can be got back: backslashes are doubled."""

    change: str
    """added, modified, deleted, metadata, type, or unread: too deep or too much to be listed."""
    type: str
    """As `ls -l` has it."""
    size: int
    path: str
    detail: str
    group: str
    """packages, configuration, accounts, services, data, logs (with caches), other."""
    package: str | None
    """Whose it is, of the packages that the machine has otherwise than its master."""
    folded: bool
    """Whether a fact of the summary tells of it: an installed package, an enabled unit."""
    noise: str | None
    """Why every machine has it that was booted once; null of all else."""
    same: bool


class FactForm(Told):
    """How the system differs from the master's, by its databases. `what`: package, user, group, unit,
    alternative, diversion, release; `change`: added, removed, upgraded, downgraded, moved, changed."""

    what: str
    change: str
    name: str
    before: str | None
    after: str | None
    group: str


class GroupSumForm(Told):
    group: str
    changes: int
    size: int


class FolderSumForm(Told):
    folder: str
    changes: int
    size: int


class SumForm(Told):
    changes: int
    size: int


class SummaryForm(Told):
    """`noise` counts what a plain boot leaves, in its groups as well; `same` what `slim` would drop: in the
    overlay, and as the master has it."""

    name: str
    facts: list[FactForm]
    groups: list[GroupSumForm]
    folders: list[FolderSumForm]
    noise: SumForm
    same: SumForm


class UseForm(Told):
    name: str
    disk: str
    what: str
    size: int
    count: int | None
    path: str | None


class SnapshotForm(Told):
    name: str
    label: str
    taken: str
    consistent: str
    good_for: str
    overlay: int
    written: int
    master: str
    data: int | None


class ForwardForm(Told):
    name: str
    state: str
    address: str
    port: int
    guest_port: int


class LoadForm(Told):
    """`cpu` percent of one processor, `disk_read` and `disk_write` bytes a second, all on average between two
    looks a second apart; null is what the host does not tell."""

    name: str
    uuid: str
    state: str
    cpu: float | None
    cpus: int
    memory_used: int | None
    memory: int
    overlay_used: int | None
    overlay_written: int | None
    overlay: int
    disk_read: int | None
    disk_write: int | None
    since: str | None


@router.get(
    "/machines/{name}/changes",
    response_model=Page[ChangeForm],
    responses={200: {"content": {LINES: {"schema": {"type": "string"}}}}},
)
def list_changes(
    request: Request, who: Viewer, window: Paged, name: MachineName, include_seed: bool = False,
    against: Annotated[str | None, Query(max_length=64)] = None, accept: Annotated[str, Header()] = "",
) -> Any:  # fmt: skip
    """What it made its own, in the order of the paths, read from outside; or, `against` another machine, what
    it has and the other has not (added), or has otherwise, or only the other has (deleted). A part of it as
    JSON; asked for application/x-ndjson, all of it, one a line."""
    fleet = fleet_of(request)
    if against is None:
        found = _changes(fleet, who, name, include_seed)
    else:
        found = _between(fleet, who, (name, against), include_seed)
    if LINES not in accept:
        return window.page(found, present.change)
    return StreamingResponse(_lines(found), media_type=LINES)


@router.get("/machines/{name}/changes/summary", response_model=SummaryForm)
def summarise_changes(request: Request, who: Viewer, name: MachineName, include_seed: bool = False) -> Any:
    """What it made its own in a few words and numbers: packages, accounts, services; changes by group and by
    folder."""
    fleet = fleet_of(request)
    machine = reach.machine(fleet, who, name)
    with (
        reading(machine.instance.uuid),
        fleet.deltas.look(
            machine.name, include_seed=include_seed, include_same=True, operation=Operation()
        ) as look,
    ):
        return present_changes.summary(machine.name, look)


def _changes(fleet: Fleet, who: Principal, name: str, include_seed: bool) -> list[Change]:
    """Read to the end before the first is sent: nobody who reads slowly keeps a machine from starting."""
    machine = reach.machine(fleet, who, name)
    operation = Operation()
    with (
        reading(machine.instance.uuid),
        fleet.overlays.changes(machine.name, include_seed=include_seed, operation=operation) as found,
    ):
        return list(islice(found, _MOST_CHANGES))


def _between(fleet: Fleet, who: Principal, names: tuple[str, str], include_seed: bool) -> list[Change]:
    one, other = (reach.machine(fleet, who, name) for name in names)
    operation = Operation()
    with (
        reading(one.instance.uuid, other.instance.uuid),
        fleet.deltas.between(one.name, other.name, include_seed=include_seed, operation=operation) as look,
    ):
        return list(islice(look.changes, _MOST_CHANGES))


def _lines(found: list[Change]) -> Iterator[str]:
    for start in range(0, len(found), 256):
        some = found[start : start + 256]
        yield "".join(json.dumps(present.change(change)) + "\n" for change in some)


@router.get("/machines/{name}/usage", response_model=list[UseForm])
def show_usage(
    request: Request, who: Viewer, name: MachineName, disk: DiskKind = DiskKind.OVERLAY,
    depth: Annotated[int, Query(ge=1, le=64)] = 3, rows: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Any:  # fmt: skip
    """What takes the room of its disk."""
    fleet = fleet_of(request)
    machine = reach.machine(fleet, who, name)
    with reading(machine.instance.uuid):
        [outcome] = fleet.overlays.use([machine.name], disk=disk, depth=depth, rows=rows)
    if outcome.error is not None:
        raise outcome.error
    return present_use.disk_use(name, disk, outcome.value) if outcome.value else []


@router.get("/machines/{name}/console-log", response_class=Response,
            responses={200: {"content": {"application/octet-stream": {}}}})  # fmt: skip
def show_console_log(request: Request, who: Operator, name: MachineName) -> Response:
    """The last that its guest printed, as it printed it: bytes of a stranger."""
    fleet = fleet_of(request)
    machine = reach.machine(fleet, who, name)
    return Response(fleet.console_log(machine.name), media_type="application/octet-stream")


@router.get("/snapshots", response_model=Page[SnapshotForm])
def list_snapshots(request: Request, who: Viewer, window: Paged, name: Globs) -> Any:
    """Of these machines, or of all, the oldest of each first."""
    fleet = fleet_of(request)
    names = reach.names(fleet, who, name or reach.ALL)
    found = fleet.overlays.snapshots(names) if names else []
    return window.page(found, lambda pair: present.snapshot(*pair))


@router.get("/forwards", response_model=Page[ForwardForm])
def list_forwards(request: Request, who: Viewer, window: Paged, name: Globs) -> Any:
    """Ports of the host that lead into machines. To change them: PATCH of the machine."""
    machines = reach.machines(fleet_of(request), who, name or reach.ALL)
    return window.page([row for machine in machines for row in present.forwards(machine)], lambda row: row)


@router.get("/load", response_model=list[LoadForm])
def show_load(request: Request, who: Viewer, name: Globs) -> Any:
    """What running machines take just now. It looks twice, and takes a second for that."""
    fleet, operation = fleet_of(request), Operation()
    machines = [machine for machine in reach.machines(fleet, who, name or reach.ALL) if running(machine)]
    if not machines:
        return []
    with reading():
        before = fleet.upkeep.usage(machines)
        operation.sleep(_LOOK)
        now = fleet.upkeep.usage(machines)
    return [load(each, before.get(each.name), now.get(each.name), _LOOK) for each in machines]
