"""For who watches the server itself: whether it lives, whether it can work, and what Prometheus collects."""

from collections import Counter
from collections.abc import Iterator

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from skinnybox import __version__
from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import present
from skinnybox.fleet.capacity import Account
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.gate import reach
from skinnybox.gate.exposition import MEDIA, histogram, metric
from skinnybox.gate.principal import Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.gate.tally import BUCKETS, Tally
from skinnybox.sizes import GIB

router = APIRouter(include_in_schema=False)


@router.get("/healthz", response_class=PlainTextResponse)
def health() -> str:
    """That it answers. Open to all, and says nothing else."""
    return "ok\n"


@router.get("/readyz")
def readiness(request: Request) -> Response:
    """Whether it can work: its catalog is read, and it does not end. Open to all, and says nothing else."""
    fleet = fleet_of(request)
    try:
        fleet.names()
        ready = not fleet.background.ending
    except SkinnyboxError:
        ready = False
    return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)


@router.get("/metrics")
def metrics(request: Request, who: Viewer) -> Response:
    """For Prometheus. A token of one fleet is told of its machines only."""
    fleet, tally = fleet_of(request), request.app.state.tally
    machines = reach.machines(fleet, who)
    parts = [*_of_machines(machines)]
    if who.fleet is None:
        parts += [*_of_capacity(fleet.capacity(GIB)), *_of_the_server(fleet, tally)]
    return PlainTextResponse("".join(parts), media_type=MEDIA)


def _of_machines(machines: list[MachineView]) -> Iterator[str]:
    count = Counter(machine.condition for machine in machines)
    states = (({"state": str(each)}, count[each]) for each in Condition)
    yield metric("skinnybox_machines", "gauge", "Machines in each condition.", states)
    for name, what, read in (
        ("size", "Bytes of the machine's overlay.", lambda m: m.instance.overlay.size),
        ("used", "Bytes of it in use, as its guest says.", present.used),
        ("written", "Bytes that it takes on the host.", lambda m: m.written),
    ):
        samples = [(_labels(machine), read(machine)) for machine in machines]
        there = [(labels, value) for labels, value in samples if value is not None]
        yield metric(f"skinnybox_overlay_{name}_bytes", "gauge", what, there)
    ready = [(_labels(machine), int(machine.condition is Condition.READY)) for machine in machines]
    yield metric("skinnybox_machine_ready", "gauge", "1 for one that is ready.", ready)


def _labels(machine: MachineView) -> dict[str, str]:
    return {"machine": machine.name, "fleet": machine.instance.fleet or ""}


def _of_capacity(account: Account) -> Iterator[str]:
    space = account.space
    for name, what, value in (
        ("disk", "Bytes of the disk below the state folder, or of the pool's storage.", space.total),
        ("free", "Bytes of it that are free.", space.free),
        ("promised", "Bytes that overlays may take.", space.promised),
        ("written", "Bytes that machines have written of them.", space.written),
        ("masters", "Bytes of the masters.", space.masters),
        ("snapshots", "Bytes of the snapshots.", space.snapshots),
    ):
        yield metric(f"skinnybox_capacity_{name}_bytes", "gauge", what, [({}, value)])
    yield metric(
        "skinnybox_capacity_fit", "gauge", "Machines with 1 GiB that still fit.", [({}, account.fit)]
    )


def _of_the_server(fleet: Fleet, tally: Tally) -> Iterator[str]:
    running = tally.look()
    yield metric("skinnybox_info", "gauge", "The version.", [({"version": __version__}, 1)])
    yield metric("skinnybox_jobs_running", "gauge", "Jobs that go on.", [({}, running)])
    jobs = [({"verb": verb, "state": state}, n) for (verb, state), n in sorted(tally.jobs.items())]
    yield metric("skinnybox_jobs_total", "counter", "Jobs that have ended since the server began.", jobs)
    taken = {verb: (each.buckets, each.total, each.count) for verb, each in tally.durations.items()}
    yield histogram("skinnybox_job_duration_seconds", "How long jobs took.", BUCKETS, taken, "verb")
    answers = [({"status": str(status)}, n) for status, n in sorted(tally.answers.items())]
    yield metric("skinnybox_http_answers_total", "counter", "Answers by status; from 400 on errors.", answers)
