"""Parts of a machine given back, copies of it and another name for it: plain forms, each a job."""

import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox import run
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.served import Served
from skinnybox.model import Instance
from skinnybox.serve.app import create_app
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters
from tests.web.conftest import Console, word
from tests.web.test_rebase import ended

__all__ = ["two_masters"]
ODD = "/odd <b> \\xff "


@pytest.fixture
def fleet(state: Path, two_masters: Path) -> Iterator[Fleet]:
    shutil.copytree(two_masters, state)
    with open_fake(state) as opened:
        for part in ("background", "jobs", "tokens", "masters", "overlays", "deltas"):
            getattr(opened, part)
        yield opened


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    """It has own, other, and a name that is odd to its last blank."""
    [made] = fleet.create(["web"], "web:1", SPARSE)
    put(image(state, made), "own/a", "mine")
    put(image(state, made), "other", "mine too")
    orders = state / "orders"
    orders.write_bytes(b'write %s "upper/odd <b> \xff "\n' % bytes(orders))
    run.run(["debugfs", "-w", "-f", orders, image(state, made)])
    return made


@pytest.fixture
def console(fleet: Fleet, web: Instance) -> Iterator[Console]:
    app = create_app(Served(fleet=fleet))
    with TestClient(app):
        yield Console(fleet, app)


def send(client: TestClient, where: str, **said: Any) -> Any:
    return client.post(f"/machines/web/{where}", data={"csrf": word(client), **said}, follow_redirects=False)


def test_what_is_marked_is_told_first_and_goes_when_that_is_said(
    console: Console, fleet: Fleet, state: Path, web: Instance
) -> None:
    client = console.browser(Role.OPERATOR)
    page = client.get("/machines/web/changes").text
    assert 'name="path" value="/own"' in page and 'name="path" value="/other"' in page
    assert f'value="{escape(ODD)}"' in page and ODD not in page
    below = client.get("/machines/web/changes?path=own", headers={"hx-request": "true"}).text
    assert 'name="path" value="/own/a"' in below and "<form" not in below
    told = send(client, "changes/drop", do="reset", path=["/own", ODD])
    assert told.status_code == 200 and "3 names" in told.text and "/own/a" in told.text
    assert "/other" not in told.text and told.text.count('type="hidden" name="path"') == 2
    assert has(state, web, "own/a") == "mine"
    job = ended(fleet, send(client, "changes/drop", do="reset", path=["/own", ODD], sure="1"))
    assert (job.verb, str(job.condition), job.subjects) == ("reset", "done", ("web",)), job
    assert job.actor == "a operator" and "odd" not in client.get("/machines/web/changes?again=1").text
    assert has(state, web, "own/a") is None and has(state, web, "other") == "mine too"
    assert fleet.machine("web").instance.seed.generation == 2
    assert "there is nothing to drop" in send(client, "changes/drop", do="slim", path="/other").text
    job = ended(fleet, send(client, "changes/drop", do="slim", sure="1", path="/other"))
    assert (job.verb, str(job.condition)) == ("slim", "done") and has(state, web, "other") == "mine too"


def test_what_cannot_be_is_said_and_no_job_is_begun(console: Console, fleet: Fleet) -> None:
    client = console.browser(Role.OPERATOR)
    for path, said, code, why in (
        ("changes/drop", {"do": "reset"}, 400, "nothing is marked"),
        ("changes/drop", {"do": "delete", "path": "/own"}, 400, "cannot be done"),
        ("changes/drop", {"do": "reset", "path": "/own\\q"}, 400, "no path"),
        ("changes/drop", {"do": "reset", "path": "/own/../etc"}, 400, "no path"),
        ("changes/drop", {"do": "reset", "path": "/"}, 400, "all that it made its own"),
        ("changes/drop", {"do": "reset", "path": "/etc"}, 404, "nothing of its own at /etc"),
        ("copies", {"names": " "}, 400, "no name"),
        ("name", {}, 400, "no other name"),
    ):
        answer = send(client, path, **said)
        assert (answer.status_code, why in answer.text) == (code, True), (path, said, answer.text)
    viewer, others = console.browser(Role.VIEWER), console.browser(Role.OPERATOR, "shop")
    assert 'name="path"' not in viewer.get("/machines/web/changes").text
    for path, said in (
        ("changes/drop", {"do": "reset", "path": "/own", "sure": "1"}),
        ("copies", {"names": "b"}),
        ("name", {"name": "b"}),
    ):
        assert send(viewer, path, **said).status_code == 403, path
        assert send(others, path, **said).status_code == 404, path
    assert fleet.names() == ["web"]
    fleet.start(["web"])
    assert send(client, "changes/drop", do="reset", path="/own").status_code in (409, 423)
    assert 'name="path"' not in client.get("/machines/web/changes").text
    assert "disabled" in client.get("/machines/web/settings").text
    assert not {job.verb for job in fleet.jobs.all()} & {"reset", "slim", "copy", "rename"}


@pytest.mark.full
def test_copies_and_another_name(console: Console, fleet: Fleet) -> None:
    client = console.browser(Role.OPERATOR)
    job = ended(fleet, send(client, "copies", names="web-{02..03} try"))
    assert (job.verb, str(job.condition), job.subjects) == ("copy", "done", ("web",)), job
    assert fleet.names() == ["try", "web", "web-02", "web-03"]
    job = ended(fleet, send(client, "name", name="web-01"))
    assert (job.verb, str(job.condition)) == ("rename", "done"), job
    assert "web-01" in fleet.names() and "web" not in fleet.names()
    assert client.get("/machines/web-01").status_code == 200
