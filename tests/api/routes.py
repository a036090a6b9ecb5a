"""All routes of the server, and what they ask of who comes."""

from typing import NamedTuple

from fastapi import FastAPI

from skinnybox.api import document
from skinnybox.gate.principal import AtLeast


class Asked(NamedTuple):
    """A route with one method, WS for a WebSocket; `least` is what it asks for, None: nothing."""

    method: str
    path: str
    least: AtLeast | None


def asked(app: FastAPI) -> list[Asked]:
    found = [Asked(method, path, least) for (method, path), least in document.asked(app).items()]
    return sorted(found, key=lambda each: (each.path, each.method))
