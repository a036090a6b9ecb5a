"""What is done to several machines at once: each is a job, which tells what became of each of them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from skinnybox.api.changing import Change, changed
from skinnybox.api.forms import Begun, Filters, Given, Parallel, Patterns, Seconds, SnapshotLabel, begun
from skinnybox.fleet.deltas import wanted_of
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.spec.values import DataSize
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator, Principal
from skinnybox.gate.served import fleet_of
from skinnybox.model import DiskKind
from skinnybox.operation import Operation

router = APIRouter(tags=["actions"], prefix="/actions")

Deed = Callable[[Fleet, list[str], Operation], Any]


class Named(Given):
    """Which machines: their names, patterns, or globs; of these only those for which all filters hold."""

    names: Patterns
    filter: Filters = Field(default_factory=list)


class Start(Named):
    wait: bool = True
    """Until they are ready."""
    timeout: Seconds | None = None
    parallel: Parallel | None = None
    """So many come up at once; no more than the server bears."""


class Stop(Named):
    timeout: Seconds | None = None
    kill: bool = False
    """Pull the plug when that time is over."""


class Restart(Start):
    stop_timeout: Seconds | None = None
    kill: bool = False


class Wait(Named):
    timeout: Seconds | None = None


class Delete(Named):
    force: bool = False
    """Pull the plug of those that run."""


class Grow(Named):
    size: DataSize
    by: bool = False
    """By so much, and not to it."""
    data: bool = False
    """The data disks, and not the overlays."""


class Reset(Named):
    paths: list[str] = Field(default_factory=list, max_length=1000)
    """Absolute, each with all that is below it: there the master's is seen again."""
    packages: list[str] = Field(default_factory=list, max_length=1000)
    """Of the master: their files."""


class Take(Named):
    label: SnapshotLabel | None = None
    """null: the time, in UTC."""
    data: bool = False


class Restore(Named):
    label: SnapshotLabel
    data: bool = False


class DeleteSnapshot(Named):
    label: SnapshotLabel


class Changing(Named):
    changes: Change


class Doing:
    """A request to do something to machines."""

    def __init__(self, request: Request, response: Response, who: Principal) -> None:
        self._fleet, self._response, self._who = fleet_of(request), response, who

    def begin(self, verb: str, named: Named, deed: Deed) -> Begun:
        """NotFound when it means none that they reach."""
        job, names = reach.begin(
            self._fleet, self._who, verb, named.names, lambda names, op: deed(self._fleet, names, op),
            named.filter,
        )  # fmt: skip
        return begun(self._response, job, verb, names)


def _route(name: str) -> Callable[[Callable[..., Begun]], Callable[..., Begun]]:
    return router.post(f"/{name}", status_code=202, response_model=Begun)


@_route("start")
def start(request: Request, response: Response, who: Operator, body: Start) -> Begun:
    """Power on, and wait until they are ready. Those that run already are not touched."""
    return Doing(request, response, who).begin(
        "start", body,
        lambda fleet, names, op: fleet.start(
            names, wait=body.wait, timeout=body.timeout, parallel=body.parallel, operation=op
        ),
    )  # fmt: skip


@_route("stop")
def stop(request: Request, response: Response, who: Operator, body: Stop) -> Begun:
    """Ask the guests to power off, and wait until they have."""
    how = Stopping(timeout=body.timeout, then_kill=body.kill)
    return Doing(request, response, who).begin(
        "stop", body, lambda fleet, names, op: fleet.stop(names, how, op)
    )


@_route("restart")
def restart(request: Request, response: Response, who: Operator, body: Restart) -> Begun:
    """Stop, then start; what did not stop is not started."""
    how = Stopping(timeout=body.stop_timeout, then_kill=body.kill)
    return Doing(request, response, who).begin(
        "restart", body,
        lambda fleet, names, op: fleet.restart(
            names, how, wait=body.wait, timeout=body.timeout, parallel=body.parallel, operation=op
        ),
    )  # fmt: skip


@_route("kill")
def kill(request: Request, response: Response, who: Operator, body: Named) -> Begun:
    """Pull the plug: what the guest had not written is lost."""
    return Doing(request, response, who).begin("kill", body, lambda fleet, names, op: fleet.kill(names, op))


@_route("wait")
def wait(request: Request, response: Response, who: Operator, body: Wait) -> Begun:
    """Wait until they are ready."""
    return Doing(request, response, who).begin(
        "wait", body, lambda fleet, names, op: fleet.wait(names, timeout=body.timeout, operation=op)
    )


@_route("delete")
def delete(request: Request, response: Response, who: Operator, body: Delete) -> Begun:
    """Remove them and all that is theirs, for good. Protected ones are refused, and without `force` those
    that run."""
    return Doing(request, response, who).begin(
        "delete", body, lambda fleet, names, op: fleet.delete(names, force=body.force, operation=op)
    )


@_route("reset")
def reset(request: Request, response: Response, who: Operator, body: Reset) -> Begun:
    """Throw away what stopped ones made their own; name, addresses and ssh host keys stay. With `paths` or
    `packages` only that."""

    def act(fleet: Fleet, names: list[str], operation: Operation) -> Any:
        if body.paths or body.packages:
            return fleet.deltas.give_back(names, body.paths, body.packages, operation)
        return fleet.overlays.reset(names, operation)

    wanted_of(body.paths, body.packages)  # refused at once
    return Doing(request, response, who).begin("reset", body, act)


@_route("slim")
def slim(request: Request, response: Response, who: Operator, body: Named) -> Begun:
    """Drop what stopped ones have as their master has it; what they see stays the same."""
    return Doing(request, response, who).begin(
        "slim", body, lambda fleet, names, op: fleet.deltas.slim(names, op)
    )


@_route("grow")
def grow(request: Request, response: Response, who: Operator, body: Grow) -> Begun:
    """Give them larger disks; what those hold stays. A disk never shrinks."""
    disk = DiskKind.DATA if body.data else DiskKind.OVERLAY
    return Doing(request, response, who).begin(
        "grow", body,
        lambda fleet, names, op: fleet.overlays.grow(names, body.size, by=body.by, disk=disk, operation=op),
    )  # fmt: skip


@_route("set")
def set_(request: Request, response: Response, who: Operator, body: Changing) -> Begun:
    """Change several in place, whatever they are now; one, as it was seen: PATCH of that machine."""
    return Doing(request, response, who).begin(
        "set", body, lambda fleet, names, op: changed(fleet, names, body.changes, operation=op)
    )


@_route("snapshot")
def snapshot(request: Request, response: Response, who: Operator, body: Take) -> Begun:
    """Keep the overlay of each as it is now, with `data` their data disks as well."""
    return Doing(request, response, who).begin(
        "snapshot", body,
        lambda fleet, names, op: fleet.overlays.snapshot(names, body.label, op, data=body.data),
    )  # fmt: skip


@_route("restore")
def restore(request: Request, response: Response, who: Operator, body: Restore) -> Begun:
    """Put the overlays of stopped ones back as they were: what they hold now is gone."""
    return Doing(request, response, who).begin(
        "restore", body,
        lambda fleet, names, op: fleet.overlays.restore(names, body.label, op, data=body.data),
    )  # fmt: skip


@_route("delete-snapshot")
def delete_snapshot(request: Request, response: Response, who: Operator, body: DeleteSnapshot) -> Begun:
    """Delete a snapshot of each."""
    return Doing(request, response, who).begin(
        "snapshot delete", body,
        lambda fleet, names, op: fleet.overlays.delete_snapshot(names, body.label, op),
    )  # fmt: skip
