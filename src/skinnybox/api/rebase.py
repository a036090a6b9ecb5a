"""A new master under machines that keep what is their own: what it would mean, doing it, and the way back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from skinnybox.api.actions import Doing, Named
from skinnybox.api.creating import Refusal
from skinnybox.api.forms import Begun, Given, MachineName, Paged, Reference, Seconds, Text, Told
from skinnybox.fleet import present_rebase
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.rebase_replay import check_commands
from skinnybox.fleet.rebase_rollout import OnFail, Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.gate import limits, reach, rebasing
from skinnybox.gate.principal import Operator
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation

router = APIRouter(tags=["rebase"], max_body_size=limits.DOCUMENT_BODY)

GuestPath = Annotated[str, Field(pattern="^/", max_length=9000)]
"""Of a file in a machine, escaped as a plan tells it."""
GuestPaths = Annotated[list[GuestPath], Field(max_length=10_000, default_factory=list)]
PackageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+.@:_-]+$", max_length=200)]
PackageNames = Annotated[list[PackageName], Field(max_length=1000, default_factory=list)]
Standing = Literal["clean", "conflict", "blocked"]


class Wished(Given):
    """Onto which master, and who wins where both changed something. `take` and `pin` are paths with all below
    them, and win over `ours` and `theirs`, which are of single paths, those over `rules`, and all over
    `on_conflict`."""

    onto: Reference
    on_conflict: Literal["merge", "fail", "ours", "theirs"] = "merge"
    rules: Text = ""
    """Lines `CHOICE GLOB`; the first that fits counts."""
    ours: GuestPaths
    """The machine's."""
    theirs: GuestPaths
    """The new master's."""
    take: GuestPaths
    """The new master's, also where it is no conflict."""
    pin: GuestPaths
    """The machine's, also where the new master's would be taken."""
    replay: bool = False
    """Onto another release: packages are all the new master's, and what a machine had beyond its own is
    installed again."""
    without: PackageNames
    """Packages and services that need not come again."""
    instead: dict[PackageName, PackageName] = Field(default_factory=dict, max_length=1000)
    """The package of the new release for one of the machine."""
    check: Annotated[str, Field(max_length=4000)] | None = None
    """A command that has to succeed in the guest, as root, before a machine counts as ready; from now on."""

    @property
    def wishes(self) -> Wishes:
        read = rebasing.paths
        return Wishes(
            on_conflict=self.on_conflict, text=self.rules, ours=read(self.ours), theirs=read(self.theirs),
            take=read(self.take), pin=read(self.pin), replay=self.replay, without=tuple(self.without),
            instead=tuple(self.instead.items()),
        )  # fmt: skip


class PlansOf(Named, Wished):
    pass


class Explain(Wished):
    path: GuestPath


class Rebase(Named, Wished):
    timeout: Seconds | None = None
    """Of each trial."""
    wait: bool = True
    """false: each is powered on, and its trial is decided by whoever touches it next."""
    start: bool = True
    """false: they are only built, and their next start is the trial."""
    max_unavailable: Annotated[int, Field(ge=1, le=1000)] | None = None
    """So many are worked on at once. null: one where any of them runs, else as many as may come up."""
    keep_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """So long the way back is kept. null: until it is committed."""
    on_fail: Literal["stop", "rollback"] = "stop"
    """What becomes of the machines that were done before one that failed."""
    after: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=2000)]],
        Field(max_length=20, default_factory=list),
    ]
    """Of a replay: commands for a machine's shell, as root, when its packages are installed again."""

    @property
    def rollout(self) -> Rollout:
        keep = None if self.keep_days is None else timedelta(days=self.keep_days)
        return Rollout(
            check=self.check, timeout=self.timeout, wait=self.wait, start=self.start,
            max_unavailable=self.max_unavailable, keep=keep, on_fail=OnFail(self.on_fail),
            after=check_commands(tuple(self.after), replay=self.replay),
        )  # fmt: skip


class DecisionForm(Told):
    what: str
    """file, package, user, group, subordinate ids, service, alternative, release, bound or machine."""
    class_: Annotated[str, Field(alias="class")]
    fate: str
    name: str
    """Of a file its path, escaped so that its bytes can be got back."""
    detail: str
    standing: Standing
    owner: str | None


class PlanForm(Told):
    """Of one machine. `told` is what is in dispute, and what people have to know; a thousand at the most."""

    name: str
    master: str | None
    onto: str
    verdict: Literal["there", "clean", "conflicts", "blocked", "refused"]
    conflicts: int
    blocked: int
    packages: dict[str, int]
    accounts: dict[str, int]
    files: dict[str, int]
    services: dict[str, int]
    renumbered: int
    told: list[DecisionForm]
    refusal: Refusal | None
    """Why nothing can be told of it now."""


class PlansForm(Told):
    items: list[PlanForm]
    total: int


class WholePlan(PlanForm):
    decisions: list[DecisionForm]
    total: int
    """Decisions there are, of this standing."""


class EntryForm(Told):
    type: str
    mode: str
    uid: int
    gid: int
    size: int
    digest: str | None
    target: str | None


class Reasoned(DecisionForm):
    why: str | None


class BelowForm(Told):
    """Decisions of what lies below a folder, and a path of the worst."""

    clean: int
    conflict: int
    blocked: int
    first: str | None


class ExplainedForm(Told):
    path: str
    decisions: list[Reasoned]
    below: BelowForm
    old: EntryForm | None
    new: EntryForm | None


def form(outcome: "Outcome[Any]", onto: str) -> dict[str, Any]:
    if outcome.value is not None:
        found = present_rebase.summary(outcome.value)
        del found["decisions"]
        return {**found, "refusal": None}
    error = outcome.error
    refusal = {"error": type(error).__name__, "detail": error.message, "hint": error.hint} if error else None
    nothing: dict[str, Any] = {key: {} for key in ("packages", "accounts", "files", "services")}
    return {
        "name": outcome.name, "master": None, "onto": onto, "verdict": "refused", "conflicts": 0,
        "blocked": 0, **nothing, "renumbered": 0, "told": [], "refusal": refusal,
    }  # fmt: skip


@router.post("/rebase-plans", response_model=PlansForm)
def plan_rebases(request: Request, who: Operator, body: PlansOf) -> Any:
    """What it would mean for each of them, which must be off, 200 at the most. Nothing changes."""
    fleet = fleet_of(request)
    names = reach.names(fleet, who, body.names, body.filter)
    found = rebasing.plans(fleet, who, names, body.onto, body.wishes, body.check)
    return {"items": [form(outcome, body.onto) for outcome in found], "total": len(found)}


@router.post("/machines/{name}/rebase-plan", response_model=WholePlan)
def plan_rebase(
    request: Request, who: Operator, window: Paged, name: MachineName, body: Wished,
    standing: Annotated[Standing | None, Query()] = None,
) -> Any:  # fmt: skip
    """The same of one, with all that is decided about it. Nothing changes."""
    summary, every = rebasing.plan(fleet_of(request), who, name, body.onto, body.wishes, body.check)
    found = [each for each in every if standing in (None, each.standing)]
    page = window.page(found, present_rebase.decision)
    told = form(Outcome(name=name, value=summary), body.onto)
    return {**told, "decisions": page["items"], "total": page["total"]}


@router.post("/machines/{name}/rebase-plan/explain", response_model=ExplainedForm)
def explain_rebase(request: Request, who: Operator, name: MachineName, body: Explain) -> Any:
    """Why a path of a machine is what it is in its plan."""
    fleet = fleet_of(request)
    machine, wanted = reach.machine(fleet, who, name), rebasing.path(body.path)
    with reading(machine.instance.uuid):
        found = fleet.rebases.explain(machine.name, body.onto, wanted, body.wishes, Operation())
    return present_rebase.explained(found)


def _post(word: str) -> Callable[[Callable[..., Begun]], Callable[..., Begun]]:
    return router.post(f"/actions/{word}", status_code=202, response_model=Begun, tags=["actions"])


@_post("rebase")
def rebase(request: Request, response: Response, who: Operator, body: Rebase) -> Begun:
    """Put them on another master, each with a trial and the way back, until one fails. Those that run are
    stopped for it. Asked for again, it goes on where it was."""
    wishes, how = body.wishes, body.rollout
    wishes.policy()
    fleet_of(request).masters.find(body.onto)
    return Doing(request, response, who).begin(
        "rebase", body, lambda fleet, names, op: rebasing.done(fleet, names, body.onto, wishes, how, op)
    )


@_post("rollback")
def roll_back(request: Request, response: Response, who: Operator, body: Named) -> Begun:
    """Put them back on the master and the overlay of before their rebase; what they had since is kept as a
    snapshot."""
    return Doing(request, response, who).begin(
        "rollback", body, lambda fleet, names, op: fleet.rebases.rollback(names, op)
    )


@_post("commit")
def commit(request: Request, response: Response, who: Operator, body: Named) -> Begun:
    """Give up the way back: what they were before their rebase is deleted."""
    return Doing(request, response, who).begin(
        "rebase commit", body, lambda fleet, names, op: fleet.rebases.commit(names, op)
    )
