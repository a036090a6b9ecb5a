"""Where things lie on the server, viewers are not told."""

import errno
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox.errors import NotFound
from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.service import Fleet
from skinnybox.gate.places import cut
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Trouble
from skinnybox.operation import Operation
from tests.api.conftest import Api
from tests.fleet.conftest import SPARSE

SECRET = "/srv/customers/acme"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/srv/a/state/overlay.img: the disk is full", "…/overlay.img: the disk is full"),
        ("cannot read '/srv/a b/c'", "cannot read '…/a b/c'"),
        ("in /srv/x/, and (/srv/y/z)", "in …/, and (…/z)"),
        ("https://boxes.example.org/api/v1/jobs", "https://boxes.example.org/api/v1/jobs"),
        ("tiny:1, 10.0.0.1/24, and/or, a/b/c", "tiny:1, 10.0.0.1/24, and/or, a/b/c"),
        ("/etc", "/etc"),
        ("nothing", "nothing"),
    ],
)
def test_what_is_cut(text: str, told: str) -> None:
    assert cut(text) == told


def test_what_they_said_themselves_stays() -> None:
    assert (
        cut("there is no /etc/motd/x, in /srv/a/b", "?path=/etc/motd/x") == "there is no /etc/motd/x, in …/b"
    )


def failed(fleet: Fleet) -> int:
    def fail(operation: Operation) -> Any:
        operation.note(f"read {SECRET}/log")
        raise OSError(errno.ENOSPC, "No space left on device", f"{SECRET}/overlay.img")

    number = fleet.background.begin(Actor(name="a", origin="b"), "start", [], fail)
    list(fleet.jobs.followed(number))
    return number


def test_of_jobs(fleet: Fleet, client: TestClient, viewer: Api, operator: Api) -> None:
    number = failed(fleet)
    for path in (f"/jobs/{number}", "/jobs"):
        assert SECRET in operator.ask("GET", path).text
        told = viewer.ask("GET", path).text
        assert "srv" not in told and "overlay.img: the disk is full" in told


def test_of_errors_and_of_troubles(
    fleet: Fleet, client: TestClient, viewer: Api, operator: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    [instance] = fleet.create(["web"], "tiny", SPARSE)
    why = f"{SECRET}/overlay.img: the disk cannot be read or written (EIO)"
    trouble = {instance.uuid: Trouble(brief="EIO", why=why)}
    monkeypatch.setattr(FakeHost, "troubles", lambda self, instances: trouble)
    for path in ("/machines", "/machines/web"):
        assert SECRET in operator.ask("GET", path).text
        assert SECRET not in (told := viewer.ask("GET", path).text) and "overlay.img: the disk" in told

    def denied(self: object) -> Any:
        raise NotFound(f"{SECRET}/masters is gone", hint=f"look at {SECRET}/masters")

    monkeypatch.setattr("skinnybox.fleet.masters.Masters.all", denied)
    assert SECRET in operator.ask("GET", "/masters").text
    answer = viewer.ask("GET", "/masters")
    assert answer.status_code == 404 and "srv" not in answer.text and "masters is gone" in answer.text
    page = client.get("/masters", headers={"authorization": f"Bearer {viewer.secret}", "accept": "text/html"})
    assert page.status_code == 404 and "srv" not in page.text and "masters is gone" in page.text
