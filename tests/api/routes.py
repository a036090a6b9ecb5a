"""All routes of the server, and what they ask of who comes."""

from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from skinnybox.gate.principal import AtLeast


class Asked(NamedTuple):
    """A route with one method, WS for a WebSocket; `least` is what it asks for, None: nothing."""

    method: str
    path: str
    least: AtLeast | None


def asked(app: FastAPI) -> list[Asked]:
    found = []
    for route in iter_route_contexts(app.routes):
        least = _least(getattr(route, "dependant", None))
        methods = getattr(route, "methods", None) or {"WS"}
        found += [Asked(method, str(route.path), least) for method in sorted(methods - {"HEAD"})]
    return sorted(found, key=lambda each: (each.path, each.method))


def _least(dependant: Any) -> AtLeast | None:
    """The strictest of its dependencies, at any depth."""
    if dependant is None:
        return None
    found = [_least(inner) for inner in dependant.dependencies]
    if isinstance(dependant.call, AtLeast):
        found.append(dependant.call)
    there = [least for least in found if least is not None]
    return max(there, key=lambda least: (least.role, least.whole), default=None)
