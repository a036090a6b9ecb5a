"""A batch of machines: the form, what it would make, and making it."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.preview import Preview
from skinnybox.fleet.service import Fleet
from skinnybox.gate.principal import Operator, Principal
from skinnybox.gate.served import fleet_of
from skinnybox.model import Instance, Network
from skinnybox.operation import Operation
from skinnybox.web import batch, render
from skinnybox.web.batch import Batch
from skinnybox.web.begun import begun
from skinnybox.web.forms import Posted

router = APIRouter()
TEMPLATE = "deploy.html"
SHOWN = 100
"""Machines of a preview that are told one by one."""
_HINTS = {
    "--skip-existing creates only the others": "other numbers, or leave those that exist as they are",
    "fewer or smaller machines, or --sparse, which promises nothing": "fewer or smaller machines, or sparse "
    "overlays, which promise nothing",
}
"""Of the command line, in the words of this page."""
_AT_FIRST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is said of a batch before it is made. Of `found` and `wrong` one is there; `command` and `file`
    where the form can be understood."""

    found: Preview | None = None
    wrong: SkinnyboxError | None = None
    command: str = ""
    file: str = ""

    @property
    def refusal(self) -> SkinnyboxError | None:
        return self.wrong or (self.found.refusal if self.found else None)

    @property
    def hint(self) -> str | None:
        said = self.refusal.hint if self.refusal else None
        return _HINTS.get(said, said) if said else None


@router.get("/deploy")
def ask(request: Request, who: Operator) -> Response:
    """The fields may be said in the address, as links here do."""
    said = request.query_params
    asked = batch.sent(said) if "prefix" in said else _first(request, said.get("master", ""))
    return _page(request, asked, _told(request, who, asked))


@router.post("/deploy/preview")
def preview(request: Request, form: Posted, who: Operator) -> Response:
    """Changes nothing: what scripts ask for while somebody fills the form in."""
    asked = batch.sent(form)
    return render.part(request, TEMPLATE, "preview", **_values(asked, _told(request, who, asked)))


@router.post("/deploy")
def deploy(request: Request, form: Posted, who: Operator) -> Response:
    """With the button `preview` only that; else the machines begin to be made, and the job is shown."""
    asked = batch.sent(form)
    told = _told(request, who, asked)
    if told.found is None or told.refusal is not None or form.get("do") != "create":
        refused = form.get("do") == "create"
        return _page(request, asked, told, status=422 if refused else 200)
    names = [machine.name for machine in told.found.machines]
    if not names:
        return render.moved(request, "/deploy", "All of them exist already.")
    fleet, specification = fleet_of(request), batch.specification(asked, who.fleet)

    def make(operation: Operation) -> list[Outcome[None]] | list[Instance]:
        made = fleet.create(
            [asked.pattern], asked.master, specification, skip_existing=asked.skip_existing,
            operation=operation,
        )  # fmt: skip
        return _started(fleet, made, operation) if asked.start else made

    return begun(request, who, "create", names, make)


def _started(fleet: Fleet, made: list[Instance], operation: Operation) -> list[Outcome[None]]:
    found = fleet.start([instance.name for instance in made], operation=operation)
    return [Outcome(name=outcome.name, error=outcome.error) for outcome in found]


def _first(request: Request, master: str) -> Batch:
    """With the newest master, where none is said, and the numbers behind those that are there."""
    fleet = fleet_of(request)
    found = fleet.masters.all()
    newest = max(found, key=lambda each: each.created).reference if found else ""
    start = batch.following(fleet.names(), Batch().prefix)
    return Batch(master=master or newest, first=str(start), last=str(start + _AT_FIRST - 1))


def _told(request: Request, who: Principal, asked: Batch) -> Told:
    fleet = fleet_of(request)
    try:
        if not asked.master:
            raise UsageError("no master is chosen", hint="masters are built or imported on the page Masters")
        specification = batch.specification(asked, who.fleet)
        command, file = batch.command(asked), batch.fleet_file(asked, who.fleet)
    except SkinnyboxError as error:
        return Told(wrong=error)
    try:
        found = fleet.preview([asked.pattern], asked.master, specification, skip_existing=asked.skip_existing)
    except SkinnyboxError as error:
        return Told(wrong=error, command=command, file=file)
    return Told(found=found, command=command, file=file)


def _page(request: Request, asked: Batch, told: Told, status: int = 200) -> Response:
    fleet = fleet_of(request)
    masters = sorted(fleet.masters.all(), key=lambda each: each.created, reverse=True)
    return render.page(
        request, TEMPLATE, status=status, masters=masters, networks=list(Network),
        bridges=sorted(fleet.features.bridges), layers=[each.reference for each in fleet.layers.all()[:30]],
        **_values(asked, told),
    )  # fmt: skip


def _values(asked: Batch, told: Told) -> dict[str, object]:
    return {"batch": asked, "told": told, "shown": SHOWN, "key_file": batch.KEY_FILE}
