"""Every route by every role, and by nobody: from the routes themselves, so that none is forgotten."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from skinnybox.fleet.catalog import tokens
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.rates import Failures
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from tests.api.conftest import URL
from tests.api.routes import STREAMS, Asked, asked
from tests.fleet.conftest import SPARSE

PUBLIC = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/sign-out"),
    ("POST", "/theme"),
}  # fmt: skip
"""What anybody may ask, without a token."""
NOT_HERE = ("/static",)
LOOKS_ITSELF = {("WS", "/machines/{name}/console/socket")}
"""A WebSocket is told in its own way that it is refused: tests/web holds that by role."""
_VALUES = {"name": "web-1", "reference": "tiny", "number": "1", "identity": "aaaaaaaaaa"}
_NEVER = timedelta(days=-1)


@pytest.fixture
def app(fleet: Fleet) -> FastAPI:
    for part in ("background", "jobs", "tokens", "masters", "overlays", "files", "upkeep", "once"):
        getattr(fleet, part)
    fleet.create(["web-1"], "tiny", SPARSE)
    return create_app(Served(fleet=fleet, failures=Failures(most=100_000)))


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=URL, follow_redirects=False) as opened:
        yield opened


def _secrets(fleet: Fleet) -> dict[str, tuple[Role, str | None, str]]:
    """Of each that may come in: what they are, whom they reach, and what they show."""
    found = {}
    for role in Role:
        for only in (None, "shop"):
            found[f"{role} of {only}"] = (role, only, fleet.tokens.create("x", role, fleet=only)[1])
    return found


def _strangers(fleet: Fleet) -> list[str | None]:
    """Nobody, a token that is revoked, one that has come to its end, one with another's secret, and none."""
    revoked, secret = fleet.tokens.create("r", Role.ADMIN)
    fleet.tokens.revoke(revoked.id)
    ended, late = fleet.tokens.create("e", Role.ADMIN, lasts=timedelta(days=1))
    with fleet._catalog.database.writing():
        fleet._catalog.database.execute(
            "UPDATE tokens SET expires = ? WHERE id = ?", ((ended.made + _NEVER).isoformat(), ended.id)
        )
    assert tokens.one(fleet._catalog.database, ended.id).expires
    good, _ = fleet.tokens.create("g", Role.ADMIN)
    return [None, secret, late, f"sk_{good.id}_{'A' * 43}", "x", ""]


def _ask(client: TestClient, route: Asked, secret: str | None) -> int:
    path = route.path
    for name, value in _VALUES.items():
        path = path.replace("{" + name + "}", value)
    headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
    body: Any = {} if route.method in ("POST", "PATCH", "PUT") else None
    return client.request(route.method, path, headers=headers, json=body).status_code


def test_a_route_asks_for_something_or_is_said_to_be_for_all(app: FastAPI) -> None:
    open_ = {
        (route.method, route.path)
        for route in asked(app)
        if route.least is None and not route.path.startswith(NOT_HERE)
    }
    assert open_ == PUBLIC | LOOKS_ITSELF
    assert len(asked(app)) > 40


def test_nobody_comes_in(app: FastAPI, client: TestClient, fleet: Fleet) -> None:
    strangers = _strangers(fleet)
    for route in asked(app):
        if route.method != "WS" and route.least is not None:
            for secret in strangers:
                assert _ask(client, route, secret) in (401, 303), (route, secret)


def test_each_may_what_its_role_says_and_no_more(app: FastAPI, client: TestClient, fleet: Fleet) -> None:
    """What the last routes do to the machine and its master matters to no other."""
    secrets = _secrets(fleet)
    for route in asked(app):
        if route.method == "WS" or route.least is None:
            continue
        for who, (role, only, secret) in secrets.items():
            refused = role < route.least.role or (only is not None and route.least.whole)
            if route.path in STREAMS and not refused:
                continue
            status = _ask(client, route, secret)
            assert (status == 403) is refused and status != 401 and status != 500, (route, who, status)


CHANGING = ("POST", "PATCH", "PUT", "DELETE")


def test_what_changes_something_is_not_for_viewers(app: FastAPI) -> None:
    for route in asked(app):
        if route.method in CHANGING and route.path.startswith("/api/"):
            assert route.least is not None and route.least.role > Role.VIEWER, route
