"""A console on the fake host, as browsers of each role see it."""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.tokens import Role
from skinnybox.gate.served import Served
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Allocation, Master, Overlay
from skinnybox.serve.app import create_app
from skinnybox.sizes import MIB
from skinnybox.web import looking
from tests.samples import seal

BASE = "https://localhost"
SMALL = Specification(overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE), memory=256 * MIB, cpus=1)
PAGE = {"accept": "text/html,application/xhtml+xml"}
PART = {"hx-request": "true"}


@pytest.fixture(autouse=True)
def nothing_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests change something and look at once."""
    monkeypatch.setattr(looking, "FRESH", 0.0)
    monkeypatch.setattr(looking, "STALE", 0.0)
    monkeypatch.setattr(looking, "_SHARE", 0)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def master(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "tiny", "1")


@pytest.fixture
def fleet(state: Path, master: Master) -> Iterator[Fleet]:
    with Fleet(state, FakeHost(state), boots_at_once=4) as opened:
        for part in ("background", "jobs", "tokens", "masters", "overlays"):
            getattr(opened, part)
        yield opened


@dataclass(frozen=True)
class Console:
    """The application, and browsers for it."""

    fleet: Fleet
    app: Any

    def browser(self, role: Role | None, fleet: str | None = None) -> TestClient:
        """One that has signed in with a new token; None: a stranger's."""
        client = TestClient(self.app, base_url=BASE, headers=PAGE)
        if role is not None:
            _, secret = self.fleet.tokens.create(f"a {role}", role, fleet=fleet)
            answer = client.post(
                "/sign-in", data={"token": secret}, headers={"origin": BASE}, follow_redirects=False
            )
            assert answer.status_code == 303, answer.text
            client.headers["origin"] = BASE
        return client


@pytest.fixture
def console(fleet: Fleet) -> Iterator[Console]:
    app = create_app(Served(fleet=fleet))
    with TestClient(app):
        yield Console(fleet, app)


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "input" and said.get("name"):
            self.found[str(said["name"])] = said.get("value") or ""


def fields(page: str) -> dict[str, str]:
    """The inputs of a page by their names."""
    parser = _Fields()
    parser.feed(page)
    return parser.found


def word(client: TestClient) -> str:
    """What each form of this session says."""
    return fields(client.get("/machines").text)["csrf"]
