"""A server of the fake host, in this process: no socket, no other thread but those of its jobs."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from tests.fleet.conftest import fleet, made, master, state

__all__ = ["fleet", "made", "master", "state"]

URL = "http://localhost"


class Api(NamedTuple):
    """What one token asks, below /api/v1."""

    client: TestClient
    secret: str | None

    def ask(self, method: str, path: str, **more: Any) -> Response:
        headers = {"authorization": f"Bearer {self.secret}"} if self.secret else {}
        return self.client.request(
            method, f"/api/v1{path}", headers={**headers, **more.pop("headers", {})}, **more
        )

    def get(self, path: str, **more: Any) -> Any:
        return self._ok(self.ask("GET", path, **more))

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self._ok(self.ask("POST", path, json=body, **more))

    def done(self, path: str, body: Any = None, **more: Any) -> Any:
        """The job that this begins, when it has ended."""
        return self.ended(self.post(path, body, **more)["job"])

    def ended(self, number: int) -> Any:
        deadline = time.monotonic() + 60
        while (job := self.get(f"/jobs/{number}"))["state"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return job

    @staticmethod
    def _ok(response: Response) -> Any:
        assert response.status_code < 300, response.text
        return response.json() if response.content else None


@pytest.fixture
def client(fleet: Fleet) -> Iterator[TestClient]:
    for part in ("background", "jobs", "tokens", "masters", "overlays", "files", "upkeep"):
        getattr(fleet, part)
    with TestClient(create_app(Served(fleet=fleet)), base_url=URL) as opened:
        yield opened


def as_who(fleet: Fleet, client: TestClient, role: Role, only: str | None = None) -> Api:
    return Api(client, fleet.tokens.create(str(role), role, fleet=only)[1])


@pytest.fixture
def admin(fleet: Fleet, client: TestClient) -> Api:
    return as_who(fleet, client, Role.ADMIN)


@pytest.fixture
def operator(fleet: Fleet, client: TestClient) -> Api:
    return as_who(fleet, client, Role.OPERATOR)


@pytest.fixture
def viewer(fleet: Fleet, client: TestClient) -> Api:
    return as_who(fleet, client, Role.VIEWER)


@pytest.fixture
def nobody(client: TestClient) -> Api:
    return Api(client, None)
