"""Long work that a form asks for: it is a job, whose page is shown."""

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from skinnybox.gate.principal import Principal
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.web import render


def begun(
    request: Request, who: Principal, verb: str, names: Sequence[str], act: Callable[[Operation], object]
) -> Response:
    """What goes wrong is told by the job, also a name that is none."""
    return render.moved(request, f"/jobs/{fleet_of(request).background.begin(who.actor, verb, names, act)}")
