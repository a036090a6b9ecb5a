"""All routes of the server, and what they ask of who comes."""

from typing import NamedTuple

from fastapi import FastAPI

from skinnybox.api import document
from skinnybox.gate.principal import AtLeast

STREAMS = ("/api/v1/events/stream",)
"""What goes on for as long as one listens: tests/serve and test_events.py do that."""


class Asked(NamedTuple):
    """A route with one method, WS for a WebSocket; `least` is what it asks for, None: nothing."""

    method: str
    path: str
    least: AtLeast | None


def asked(app: FastAPI) -> list[Asked]:
    found = [Asked(method, path, least) for (method, path), least in document.asked(app).items()]
    return sorted(found, key=lambda each: (each.path, each.method))
