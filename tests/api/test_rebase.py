"""Rebases over the API: what they would mean, with whose wishes; doing them, and the way back."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate import rebasing
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from tests.api.conftest import URL, Api, as_who
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.rebasing import guests, hangs, on_new
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import CONF, put, two_masters

__all__ = ["two_masters"]
WEB_CONF = "/etc/web.conf"
ONTO = {"onto": "web:2"}


@pytest.fixture
def fleet(state: Path, two_masters: Path) -> Iterator[Fleet]:
    """clean did nothing of note, disputed edited the line that the new master has otherwise."""
    shutil.copytree(two_masters, state)
    with open_fake(state) as opened:
        made = {each.name: each for each in opened.create(["clean", "disputed"], "web:1", SPARSE)}
        put(image(state, made["clean"]), "own", "mine")
        put(image(state, made["disputed"]), "etc/web.conf", CONF.replace("Debug no", "Debug maybe"))
        yield opened


@pytest.fixture
def client(fleet: Fleet) -> Iterator[TestClient]:
    for part in ("background", "jobs", "tokens", "masters", "overlays", "files", "upkeep", "rebases"):
        getattr(fleet, part)
    with TestClient(create_app(Served(fleet=fleet)), base_url=URL) as opened:
        yield opened


def verdicts(api: Api, **wishes: Any) -> dict[str, str]:
    found = api.post("/rebase-plans", {"names": ["*"], **ONTO, **wishes})
    assert found["total"] == len(found["items"])
    return {each["name"]: each["verdict"] for each in found["items"]}


def test_a_fleet_is_planned_with_whose_wishes(operator: Api) -> None:
    assert verdicts(operator) == {"clean": "clean", "disputed": "conflicts"}
    for wishes in (
        {"ours": [WEB_CONF]}, {"theirs": [WEB_CONF]}, {"take": ["/etc"]}, {"pin": [WEB_CONF]},
        {"on_conflict": "theirs"}, {"rules": "ours /etc/*.conf\n"},
    ):  # fmt: skip
        assert verdicts(operator, **wishes)["disputed"] == "clean", wishes
    assert verdicts(operator, ours=["/etc/other"])["disputed"] == "conflicts"
    assert verdicts(operator, ours=[WEB_CONF], on_conflict="fail")["disputed"] == "clean"


def test_one_is_planned_in_detail_and_a_path_is_explained(operator: Api) -> None:
    found = operator.post("/machines/disputed/rebase-plan", ONTO, params={"standing": "conflict"})
    [decision] = found["decisions"]
    assert (decision["name"], decision["class"], found["total"]) == (WEB_CONF, "modify/modify", 1)
    assert (found["verdict"], found["conflicts"], found["refusal"]) == ("conflicts", 1, None)
    all_of = operator.post("/machines/disputed/rebase-plan", ONTO, params={"limit": 1})
    assert len(all_of["decisions"]) == 1 and all_of["total"] > 1
    why = operator.post("/machines/disputed/rebase-plan/explain", {**ONTO, "path": WEB_CONF})
    assert why["path"] == WEB_CONF and why["old"]["type"] == "-" and "otherwise" not in why["path"]
    assert why["decisions"][0]["why"] is not None


def test_what_cannot_be_planned_is_told_of_each(operator: Api, fleet: Fleet) -> None:
    fleet.start(["clean"])
    found = operator.post("/rebase-plans", {"names": ["*"], **ONTO})["items"]
    [refused] = [each for each in found if each["verdict"] == "refused"]
    assert refused["name"] == "clean" and "needs it stopped" in refused["refusal"]["detail"]


NO_WISHES: tuple[dict[str, Any], ...] = (
    {"onto": "none:1"}, {"take": ["etc"]}, {"take": ["/a\\q"]}, {"take": ["/a\\x00"]},
    {"rules": "mine /etc"}, {"on_conflict": "take"}, {"take": ["/etc"], "pin": ["/etc"]},
    {"ours": ["/a//b"]}, {"ours": ["/etc"], "theirs": ["/etc"]},
    {"without": ["own"]},
    {"replay": True, "without": ["-x"]},
    {"replay": True, "instead": {"a": "$(x)"}},
)  # fmt: skip


def test_wishes_that_are_none_are_refused_by_plan_and_job(operator: Api, fleet: Fleet) -> None:
    before = len(fleet.jobs.all())
    for wishes in NO_WISHES:
        for path in ("/rebase-plans", "/actions/rebase"):
            answer = operator.ask("POST", path, json={"names": ["*"], **ONTO, **wishes})
            assert answer.status_code in (400, 404, 422), (wishes, answer.text)
    assert len(fleet.jobs.all()) == before


def test_names_of_files_come_back_as_they_were_told(operator: Api, fleet: Fleet, state: Path) -> None:
    assert rebasing.path("/a\\xff\\\\b\\n") == "/a\udcff\\b\n"
    assert rebasing.path("/ä") == "/ä"


def test_who_may_plan(fleet: Fleet, client: TestClient, viewer: Api) -> None:
    assert viewer.ask("POST", "/rebase-plans", json={"names": ["*"], **ONTO}).status_code == 403
    theirs = as_who(fleet, client, Role.OPERATOR, "shop")
    for path in ("/machines/clean/rebase-plan", "/machines/clean/rebase-plan/explain"):
        body = {**ONTO, "path": "/x"} if path.endswith("explain") else ONTO
        assert theirs.ask("POST", path, json=body).status_code == 404
    assert theirs.ask("POST", "/rebase-plans", json={"names": ["clean"], **ONTO}).status_code == 404


def test_no_more_than_can_be_waited_for(operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebasing, "MOST", 1)
    answer = operator.ask("POST", "/rebase-plans", json={"names": ["*"], **ONTO})
    assert answer.status_code == 400 and "2 machines" in answer.json()["detail"]


def test_done_kept_and_taken_back_and_given_up(operator: Api, fleet: Fleet) -> None:
    job = operator.done("/actions/rebase", {"names": ["*"], **ONTO, "theirs": [WEB_CONF], "timeout": 60})
    assert (job["state"], job["verb"], job["done"]) == ("done", "rebase", 2), job
    trial = operator.get("/machines/clean")["trial"]
    assert (trial["phase"], trial["before"], trial["kept"]) == ("passed", "web:1", "before-rebase-1")
    assert operator.done("/actions/rollback", {"names": ["clean"]})["state"] == "done"
    assert operator.get("/machines/clean")["master"] == "web:1"
    assert operator.done("/actions/commit", {"names": ["disputed"]})["state"] == "done"
    shown = operator.get("/machines/disputed")
    assert (shown["master"], shown["trial"]) == ("web:2", None)


def test_of_a_rollout_that_stopped_the_job_tells_who_was_not_begun(
    operator: Api, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(monkeypatch, on_new(hangs, fleet.masters.find("web:2").images[0].digest))
    job = operator.done("/actions/rebase", {"names": ["*"], **ONTO, "theirs": [WEB_CONF], "timeout": 1,
                                            "max_unavailable": 1})  # fmt: skip
    told = {each["name"]: each["error"] for each in job["results"]}
    assert job["state"] == "failed" and "was not ready on web:2" in told["clean"]
    assert "not begun: the rollout stopped at clean" in told["disputed"]


def test_a_fleet_file_puts_machines_on_its_master_when_that_is_said(fleet: Fleet, operator: Api) -> None:
    text = "version: 1\nfleet: w\nmachines: {clean: {master: 'web:2', overlay: 64M, sparse: true}}\n"
    said = {"text": text, "adopt": True}
    actions = [row["action"] for row in operator.post("/fleet-files/plan", said)["actions"]]
    assert "blocked" in actions and "rebase" not in actions
    [found] = [
        row
        for row in operator.post("/fleet-files/plan", {**said, "rebase": True})["actions"]
        if row["action"] == "rebase"
    ]
    assert (found["name"], found["note"]) == ("clean", "on trial, with the way back")
    wrong = operator.ask("POST", "/fleet-files/plan", json={**said, "replay": True})
    assert wrong.status_code == 400 and "no rebase is asked for" in wrong.json()["detail"]
    done = operator.done("/fleet-files/apply", {**said, "rebase": True, "replay": True, "timeout": 60})
    assert done["state"] == "done", done
    assert fleet.machine("clean").instance.stack.reference == "web:2"
