"""`reset NAME PATH --dry-run` and `slim --dry-run` over the network: it is told what would go, and nothing
goes."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.model import Instance
from tests.api.conftest import Api, as_who
from tests.fleet.conftest import SPARSE
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put

RESET, SLIM = "/machines/web/reset/preview", "/machines/web/slim/preview"


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    [instance] = fleet.create(["web"], "tiny", SPARSE)
    for name in ("srv/a", "srv/b", "own"):
        put(image(state, instance), name, "mine")
    return instance


def test_it_tells_what_goes_and_the_reset_does_that(
    fleet: Fleet, state: Path, web: Instance, viewer: Api, operator: Api
) -> None:
    before = image(state, web).read_bytes()
    found = viewer.get(RESET, params={"paths": ["/srv", "/own"]})
    gone = {each["path"]: (each["type"], each["size"]) for each in found["items"]}
    assert gone == {"/own": ("-", 4), "/srv": ("d", 0), "/srv/a": ("-", 4), "/srv/b": ("-", 4)}
    assert (found["name"], found["total"], found["count"]) == ("web", 4, 4)
    assert found["freed"] > 0 and found["notes"] == []
    page = viewer.ask("GET", RESET, params={"paths": ["/srv", "/own"], "limit": 1, "offset": 1})
    assert page.json()["items"] == found["items"][1:2] and "offset=2" in page.headers["link"]
    assert image(state, web).read_bytes() == before and fleet.machine("web").instance == web
    assert operator.done("/actions/reset", {"names": ["web"], "paths": ["/srv", "/own"]})["state"] == "done"
    assert viewer.get("/machines/web/changes")["items"] == []


def test_what_says_the_same_as_the_master(fleet: Fleet, state: Path, web: Instance, viewer: Api) -> None:
    found = viewer.get(SLIM)
    assert (found["count"], found["items"], found["total"]) == (0, [], 0)


@pytest.mark.parametrize(
    ("path", "asked", "status", "why"),
    [
        (RESET, {}, 400, "no path and no package"),
        (RESET, {"paths": ["/"]}, 400, "is all that it made its own"),
        (RESET, {"paths": ["own"]}, 400, "is no path in a machine"),
        (RESET, {"paths": ["/none"]}, 404, "it has nothing of its own at /none"),
        (RESET, {"packages": ["none"]}, 404, "its master has no package none"),
        (RESET, {"path": ["/own"]}, 400, "path"),
        ("/machines/nobody/reset/preview", {"paths": ["/own"]}, 404, "nobody"),
    ],
)
def test_what_cannot_be_is_told_as_every_error_is(
    web: Instance, viewer: Api, path: str, asked: dict[str, list[str]], status: int, why: str
) -> None:
    answer = viewer.ask("GET", path, params=asked)
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


def test_one_that_runs_is_refused_as_its_reset_is(fleet: Fleet, web: Instance, viewer: Api) -> None:
    fleet.start(["web"])
    for path, asked in ((RESET, {"paths": ["/own"]}), (SLIM, {})):
        answer = viewer.ask("GET", path, params=asked)
        assert (answer.status_code, answer.json()["title"]) == (409, "Blocked"), answer.text
        assert "needs it stopped" in answer.json()["detail"]


def test_who_may_look(fleet: Fleet, client: TestClient, web: Instance, nobody: Api) -> None:
    theirs = as_who(fleet, client, Role.VIEWER, "shop")
    for path, asked in ((RESET, {"paths": ["/own"]}), (SLIM, {})):
        assert nobody.ask("GET", path, params=asked).status_code == 401
        assert theirs.ask("GET", path, params=asked).status_code == 404


def test_a_list_of_another_preview_may_be_said_more_than_once(web: Instance, operator: Api) -> None:
    """That of `promote --dry-run`: of two it was said that there may be one."""
    answer = operator.ask("GET", "/machines/web/promotion", params={"leave_out": ["/srv", "/own"]})
    assert "is said once" not in answer.text, answer.text
    for word in ("live", "as_layer"):
        answer = operator.ask("GET", "/machines/web/promotion", params={word: ["true", "false"]})
        assert (answer.status_code, f"{word} is said once" in answer.text) == (400, True)
