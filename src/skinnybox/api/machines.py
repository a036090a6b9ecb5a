"""Machines: which there are, and one of them, looked at and changed."""

import fnmatch
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from skinnybox.api.changing import Change, changed
from skinnybox.api.forms import Filters, FleetName, Globs, MachineName, Page, Paged, Reference
from skinnybox.api.machine_form import Machine
from skinnybox.errors import NotFound, UsageError
from skinnybox.fleet import present
from skinnybox.fleet.labelled import meant
from skinnybox.fleet.revision import revision
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator, Viewer
from skinnybox.gate.served import fleet_of

router = APIRouter(tags=["machines"])

_SORTED: dict[str, Callable[[MachineView], Any]] = {
    "name": lambda m: m.name,
    "state": lambda m: str(m.condition),
    "master": lambda m: m.instance.stack.reference,
    "memory": lambda m: m.instance.memory,
    "cpus": lambda m: m.instance.cpus,
    "overlay": lambda m: m.instance.overlay.size,
    "overlay_used": present.used,
    "overlay_written": lambda m: m.written,
    "address": lambda m: m.address,
    "boot": lambda m: m.boot_seconds,
    "created": lambda m: m.instance.created,
}
Sort = Literal[
    "name", "-name", "state", "-state", "master", "-master", "memory", "-memory", "cpus", "-cpus", "overlay",
    "-overlay", "overlay_used", "-overlay_used", "overlay_written", "-overlay_written", "address", "-address",
    "boot", "-boot", "created", "-created",
]  # fmt: skip
"""By what, and with a minus in front the largest first. What has none stands last."""


States = Annotated[list[Condition], Query(default_factory=list)]
Words = Annotated[Filters, Query(default_factory=list)]


@router.get("/machines", response_model=Page[Machine])
def list_machines(
    request: Request, who: Viewer, window: Paged, name: Globs, state: States, filter: Words,
    master: Reference | None = None, fleet: FleetName | None = None, sort: Sort = "name",
) -> Any:  # fmt: skip
    """Those for which all that is said holds. `name`, several times, may be globs, and means any of them; so
    does `state`. `filter` narrows by labels."""
    served = fleet_of(request)
    found = [
        machine
        for machine in reach.machines(served, who)
        if (not name or any(fnmatch.fnmatchcase(machine.name, glob) for glob in name))
        and (not state or machine.condition in state)
        and (fleet is None or machine.instance.fleet == fleet)
        and (master is None or machine.instance.stack.reference.startswith((f"{master}:", master)))
    ]
    successors = served.masters.successors()
    return window.page(_sorted(_filtered(found, filter), sort), lambda machine: form(machine, successors))


def _filtered(machines: list[MachineView], filters: Sequence[str]) -> list[MachineView]:
    if not filters:
        return machines
    try:
        names = set(meant(machines, filters))
    except NotFound:
        return []
    return [machine for machine in machines if machine.name in names]


def _sorted(machines: list[MachineView], by: str) -> list[MachineView]:
    key, ordered = _SORTED[by.removeprefix("-")], sorted(machines, key=lambda machine: machine.name)
    there = [machine for machine in ordered if key(machine) is not None]
    there.sort(key=key, reverse=by.startswith("-"))
    return there + [machine for machine in ordered if key(machine) is None]


def form(machine: MachineView, successors: dict[str, str] | None = None) -> dict[str, Any]:
    own = {"fleet": machine.instance.fleet, "revision": revision(machine.instance)}
    return {**present.machine(machine, successors), **own}


def _tagged(fleet: Fleet, machine: MachineView, response: Response) -> dict[str, Any]:
    found = form(machine, fleet.masters.successors())
    response.headers["etag"] = f'"{found["revision"]}"'
    return found


@router.get("/machines/{name}", response_model=Machine)
def show_machine(request: Request, response: Response, who: Viewer, name: MachineName) -> Any:
    """All that is known of it. Its ETag is that of what was asked for of it, not of how it runs: it says
    whether somebody has changed it."""
    fleet = fleet_of(request)
    return _tagged(fleet, reach.machine(fleet, who, name), response)


@router.patch("/machines/{name}", response_model=Machine)
def change_machine(
    request: Request, response: Response, who: Operator, name: MachineName, change: Change,
    if_match: Annotated[str | None, Header(max_length=200)] = None,
) -> Any:  # fmt: skip
    """Change what is said; what is not stays. With If-Match only if it is still as it was seen: else 412, and
    nothing is changed."""
    fleet = fleet_of(request)
    machine = reach.machine(fleet, who, name)
    with reach.as_asked_by(who):
        [outcome] = changed(fleet, [machine.name], change, expect=_expected(if_match))
    if outcome.error is not None:
        raise outcome.error
    return _tagged(fleet, reach.machine(fleet, who, name), response)


def _expected(if_match: str | None) -> str | None:
    """None for whatever there is. One that is weak, or no revision, is that of no machine."""
    if if_match is None or if_match.strip() == "*":
        return None
    if "," in if_match:
        raise UsageError("If-Match names one ETag here")
    return if_match.strip().removeprefix('"').removesuffix('"')
