"""The OpenAPI document: what FastAPI makes of the routes, with how one signs in and what an error is."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from skinnybox.api.forms import Problem
from skinnybox.gate.principal import AtLeast
from skinnybox.gate.problems import MEDIA

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong.",
        "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
_NAMES = {
    "skinnybox__fleet__view__Condition": "MachineState",
    "skinnybox__fleet__catalog__jobs__Condition": "JobState",
}
_ABOUT = """Every use case of the command line, for programs.

Sign in with `Authorization: Bearer sk_...`, which `skinnybox token create` makes; through the server's own
socket its owner needs none. What takes time is a job: it answers 202 with the job's number, and the job
tells how far it is and what became of each machine. Lists come in pages, with the header Link. Every error is
a problem (RFC 9457). Keys are only ever added to what is answered; what is sent may have no key that is not
known."""


def openapi(app: FastAPI) -> dict[str, Any]:
    """Made once."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=_ABOUT, routes=app.routes,
            separate_input_output_schemas=True,
        )  # fmt: skip
        parts = found.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
        for (method, path), least in asked(app).items():
            if least is not None and path in found["paths"]:
                operation = found["paths"][path][method.lower()]
                operation |= {"x-role": str(least.role), "x-whole": least.whole}
        app.openapi_schema = _named(found)
    return app.openapi_schema


def _named(document: dict[str, Any]) -> dict[str, Any]:
    """With names for what is called the same in two places of our house."""
    text = json.dumps(document)
    for ours, theirs in _NAMES.items():
        text = text.replace(ours, theirs)
    found: dict[str, Any] = json.loads(text)
    return found


def asked(app: FastAPI) -> dict[tuple[str, str], AtLeast | None]:
    """Of each route, by method (WS for a WebSocket) and path, what it asks of who comes; None: nothing."""
    found: dict[tuple[str, str], AtLeast | None] = {}
    for route in iter_route_contexts(app.routes):
        least = _least(getattr(route, "dependant", None))
        methods = getattr(route, "methods", None) or {"WS"}
        found |= {(method, str(route.path)): least for method in sorted(methods - {"HEAD"})}
    return found


def _least(dependant: Any) -> AtLeast | None:
    """The strictest of its dependencies, at any depth."""
    if dependant is None:
        return None
    own = dependant.call if isinstance(dependant.call, AtLeast) else None
    there = [least for least in (own, *map(_least, dependant.dependencies)) if least is not None]
    return max(there, key=lambda least: (least.role, least.whole), default=None)
