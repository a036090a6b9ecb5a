"""The OpenAPI document: what FastAPI makes of the routes, with how one signs in and what an error is."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from skinnybox.api.forms import Problem
from skinnybox.gate.problems import MEDIA

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong.",
        "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
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
        app.openapi_schema = found
    return app.openapi_schema
