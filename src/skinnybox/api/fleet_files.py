"""Fleet files as texts: what they would do, and doing it. They name no file of the server."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from skinnybox.api.creating import Refusal
from skinnybox.api.forms import Begun, Given, Parallel, Pattern, Seconds, Text, Told, begun
from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import present
from skinnybox.fleet.plan.actions import Action, Choices
from skinnybox.fleet.plan.apply import Plan
from skinnybox.fleet.power import Starting
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.spec.reading import Sent
from skinnybox.fleet.spec.shape import schema
from skinnybox.gate import limits
from skinnybox.gate.principal import NotAllowed, Operator, Principal, Viewer
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of

router = APIRouter(tags=["fleet files"], prefix="/fleet-files", max_body_size=limits.DOCUMENT_BODY)

Chosen = Annotated[list[Pattern], Field(max_length=1000, default_factory=list)]


class FleetText(Given):
    """A fleet file, and what is allowed beyond what an edit may do by itself."""

    text: Text
    """YAML, or JSON, which is YAML as well."""
    prune: bool = False
    """Delete machines of this fleet that the file does not have."""
    adopt: bool = False
    """Take machines of the same names into this fleet."""
    rebase: bool = False
    """Put machines on the master that the file names now, each on trial and with the way back."""
    replay: bool = False
    """With `rebase`: also onto a master of another release, where the file does not say how."""
    recreate: Chosen
    """Delete these and make them anew."""
    reset: Chosen
    """Give these a fresh overlay, with the file's seed."""

    @property
    def sent(self) -> Sent:
        return Sent(content=self.text.encode())

    @property
    def choices(self) -> Choices:
        return Choices(
            prune=self.prune, adopt=self.adopt, rebase=self.rebase, replay=self.replay,
            recreate=frozenset(self.recreate), reset=frozenset(self.reset),
        )  # fmt: skip


class Applied(FleetText):
    parallel: Parallel | None = None
    wait: bool = True
    """Until those that are started are ready."""
    timeout: Seconds | None = None


class ChangedForm(Told):
    what: str
    before: str | int | bool | None
    after: str | int | bool | None


class ActionForm(Told):
    action: str
    """delete, recreate, stop, adopt, rebase, grow, set, seed, reset, create, start; or blocked: it cannot
    be done."""
    name: str
    detail: str
    changes: list[ChangedForm]
    reason: str | None
    hint: str | None
    note: str | None


class PlanForm(Told):
    """Nothing to do when `actions` is empty."""

    fleet: str
    actions: list[ActionForm]
    extras: list[str]
    """Machines of this fleet that the file does not have; only `prune` touches them."""
    refusal: Refusal | None
    """Why nothing of it can be done."""


def _plan(fleet: Fleet, who: Principal, body: FleetText) -> Plan:
    _check(who, body)
    with reading():
        found = fleet.files.plan(body.sent, body.choices)
    _agree(who, found)
    return found


def _check(who: Principal, body: FleetText) -> None:
    if who.fleet is not None and body.adopt:
        raise NotAllowed(f"{who.name} reaches the fleet {who.fleet} only, and adopts no other's machines")


def _agree(who: Principal, plan: Plan) -> None:
    """Who reaches one fleet says what that one is to be, and no other."""
    if who.fleet not in (None, plan.fleet):
        raise NotAllowed(f"{who.name} reaches the fleet {who.fleet} only, and this is of another")


def _action(who: Principal, action: Action) -> dict[str, Any]:
    """Whose a machine of the same name is, is nothing for who reaches one fleet only."""
    found = present.action(action)
    if who.fleet is None or action.instance is None or action.instance.fleet == who.fleet:
        return found
    said = "this name is taken"
    return {**found, "detail": said, "reason": said, "hint": "choose another", "changes": []}


def _refusal(error: SkinnyboxError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"error": type(error).__name__, "detail": error.message, "hint": error.hint}


@router.get("/schema")
def show_schema(who: Viewer) -> dict[str, Any]:
    """The JSON Schema of a fleet file, for editors."""
    return schema()


@router.post("/plan", response_model=PlanForm)
def plan_fleet_file(request: Request, who: Operator, body: FleetText) -> Any:
    """What applying it would do now. Nothing changes."""
    found = _plan(fleet_of(request), who, body)
    return {
        "fleet": found.fleet,
        "actions": [_action(who, action) for action in found.actions],
        "extras": list(found.extras),
        "refusal": _refusal(found.refusal),
    }


@router.post("/apply", status_code=202, response_model=Begun)
def apply_fleet_file(request: Request, response: Response, who: Operator, body: Applied) -> Any:
    """Make the machines be as it says. What cannot be done in place is not, and told as blocked; interrupted,
    it goes on when it is given again."""
    fleet = fleet_of(request)
    names = list(dict.fromkeys(action.name for action in _plan(fleet, who, body).actions))
    how = Starting(parallel=body.parallel, wait=body.wait, timeout=body.timeout)
    job = fleet.background.begin(
        who.actor, "apply", names,
        lambda op: fleet.files.apply(body.sent, body.choices, how, lambda plan: _agree(who, plan), op),
    )  # fmt: skip
    return begun(response, job, "apply", names)
