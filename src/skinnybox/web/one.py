"""The machine that a page is about."""

from starlette.requests import HTTPConnection

from skinnybox.errors import NotFound
from skinnybox.fleet.view import MachineView
from skinnybox.gate import places
from skinnybox.gate.principal import Principal
from skinnybox.gate.served import fleet_of


def one(request: HTTPConnection, who: Principal, name: str) -> MachineView:
    """NotFound, also for one of another fleet than theirs: it is as if it were not there."""
    machine = fleet_of(request).machine(name)
    if machine.name != name or (who.fleet is not None and machine.instance.fleet != who.fleet):
        raise NotFound(f"there is no machine {name!r:.80}", hint="the list of machines shows those there are")
    return places.machine(who, machine)
