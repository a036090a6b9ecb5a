"""The pages of a rebase: a plan, choices for what is in dispute, files of it, and doing it; forms alone."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import FormData
from starlette.testclient import TestClient

from skinnybox.fleet.jobs import Job
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from skinnybox.web import rebase, rebase_form
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import CONF, put, two_masters
from tests.web.conftest import Console, word

__all__ = ["two_masters"]
WEB_CONF = "/etc/web.conf"


@pytest.fixture
def fleet(state: Path, two_masters: Path) -> Iterator[Fleet]:
    shutil.copytree(two_masters, state)
    with open_fake(state) as opened:
        for part in ("background", "jobs", "tokens", "masters", "overlays", "rebases"):
            getattr(opened, part)
        made = {each.name: each for each in opened.create(["clean", "disputed"], "web:1", SPARSE)}
        put(image(state, made["disputed"]), "etc/web.conf", CONF.replace("Debug no", "Debug maybe"))
        put(image(state, made["clean"]), "=cmd", "mine")
        yield opened


@pytest.fixture
def console(fleet: Fleet) -> Iterator[Console]:
    app = create_app(Served(fleet=fleet))
    with TestClient(app):
        yield Console(fleet, app)


def send(client: TestClient, names: str, do: str, **more: Any) -> Any:
    said = {"csrf": word(client), "names": names, "onto": "web:2", "do": do, **more}
    return client.post("/rebase", data=said, follow_redirects=False)


def ended(fleet: Fleet, answer: Any) -> Job:
    assert answer.status_code == 303, answer.text
    return list(fleet.jobs.followed(int(answer.headers["location"].rpartition("/")[2])))[-1]


def test_of_one_all_is_told_and_a_choice_settles_what_is_in_dispute(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    first = client.get("/rebase?names=disputed").text
    assert "In dispute" not in first and "<option>web:2</option>" in first
    told = send(client, "disputed", "plan").text
    assert "web:1 → web:2" in told and "In dispute" in told and f'name="path" value="{WEB_CONF}"' in told
    assert "modify/modify" in told and "redis.service" in told
    for choice in ("ours", "theirs", "take", "pin"):
        again = send(client, "disputed", "plan", path=WEB_CONF, choice=choice).text
        assert "you chose" in again and f'<option value="{choice}" selected>' in again, choice
    assert "you chose" not in send(client, "disputed", "plan", path=WEB_CONF, choice="").text


def test_a_fleet_is_a_table_and_what_cannot_be_planned_says_why(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    console.fleet.start(["clean"])
    told = send(client, "clean\ndisputed", "plan").text
    assert "clean is ready: rebase needs it stopped" in told and "Rebase 2 machines" in told
    assert told.count(f'value="{WEB_CONF}"') == 1


def test_it_is_to_be_had_as_files(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    answer = send(client, "clean", "csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="rebase-plan.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["name"] for row in rows} >= {"/=cmd", "redis.service"}
    found = json.loads(send(client, "clean", "json").text)
    assert [plan["verdict"] for plan in found] == ["clean"] and len(found[0]["decisions"]) == len(rows)
    [one, other] = list(csv.DictReader(io.StringIO(send(client, "clean\ndisputed", "csv").text)))
    assert (one["verdict"], other["verdict"], other["conflicts"]) == ("clean", "conflicts", "1")


@pytest.mark.parametrize("letter", "=+-@\t")
def test_no_cell_is_a_formula(letter: str) -> None:
    assert rebase._cell(f"{letter}1+1") == f"'{letter}1+1"
    assert (rebase._cell(None), rebase._cell({"own": 2}), rebase._cell("/etc")) == ("", "2 own", "/etc")


def test_what_is_wrong_is_said_and_nothing_of_it_is_lost(console: Console) -> None:
    client, before = console.browser(Role.OPERATOR), len(console.fleet.jobs.all())
    for what, more, said in (
        ("plan", {"onto": ""}, "no master is chosen"), ("plan", {"onto": "none:1"}, "none:1"),
        ("rebase", {"rules": "mine /etc"}, "is no rule"), ("rebase", {"timeout": "soon"}, "is no number"),
        ("rebase", {"max_unavailable": "0"}, "is no number"),
        ("rebase", {"on_fail": "x"}, "is not what is done"),
        ("plan", {"path": "/a\\q", "choice": "take"}, "is no path"),
        ("plan", {"on_conflict": "x"}, "is not who wins"),
        ("plan", {"replay": "1", "instead": "php7.4"}, "is not OLD=NEW"),
        ("rebase", {"replay": "1", "without": "$(x)"}, "is no name of a package"),
    ):  # fmt: skip
        answer = send(client, "clean", what, **{"check": "true", "again": "1", **more})
        assert answer.status_code in (400, 404) and said in answer.text, (what, more)
        assert 'value="true"' in answer.text
    assert len(console.fleet.jobs.all()) == before


def test_onto_another_release_it_is_asked_for_and_shown_again(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    more = {"replay": "1", "without": "own", "instead": "a=b c=d", "after": "a2enconf x\r\ntrue"}
    told = send(client, "clean", "plan", **more).text
    assert 'name="replay" value="1" checked' in told and 'value="a=b c=d"' in told
    said = rebase_form.asked(FormData([*more.items()]), ["clean"])
    assert said.wishes.replay and said.wishes.instead == (("a", "b"), ("c", "d"))
    assert said.rollout.after == ("a2enconf x", "true") and said.wishes.without == ("own",)
    assert not rebase_form.asked(FormData([("without", "own")]), ["clean"]).wishes.without


def test_only_who_may_change_machines_and_reaches_them(console: Console) -> None:
    assert console.browser(Role.VIEWER).get("/rebase?names=clean").status_code == 403
    theirs = console.browser(Role.OPERATOR, "shop")
    assert theirs.get("/rebase?names=clean").status_code == 404
    assert send(theirs, "clean", "plan").status_code == 404


def test_from_the_plan_to_the_end(console: Console, fleet: Fleet) -> None:
    client = console.browser(Role.OPERATOR)
    job = ended(
        fleet,
        send(client, "clean\ndisputed", "rebase", path=WEB_CONF, choice="theirs", again="1", start="1"),
    )
    assert (job.verb, str(job.condition)) == ("rebase", "done"), job
    page = client.get(f"/jobs/{job.number}").text
    assert "The rollout" in page and page.count('class="good" transform') == 2
    shown = client.get("/machines/clean").text
    assert "Rebased from web:1" in shown and "before-rebase-1" in shown
    said = {"csrf": word(client), "names": "clean", "do": "rollback"}
    ended(fleet, client.post("/machines/do", data=said, follow_redirects=False))
    asked = client.post("/machines/do", data={"csrf": word(client), "names": "disputed", "do": "commit"})
    assert "the way back" in asked.text
    said = {"csrf": word(client), "names": "disputed", "do": "commit", "typed": "disputed"}
    ended(fleet, client.post("/machines/do", data=said, follow_redirects=False))
    found = {each.name: each.instance for each in fleet.machines()}
    assert (found["clean"].stack.reference, found["disputed"].stack.reference) == ("web:1", "web:2")
    assert found["disputed"].trial is None and "Rebased from" not in client.get("/machines/disputed").text


def test_without_a_start_they_are_only_built(console: Console, fleet: Fleet) -> None:
    client = console.browser(Role.OPERATOR)
    ended(fleet, send(client, "clean", "rebase", again="1"))
    assert "its next start is its trial" in client.get("/machines/clean").text


FILE = """\
version: 1
fleet: shop
defaults: {master: 'web:2', memory: 256M, overlay: 64M, sparse: true}
machines: {clean: {}}
"""


def _sent(client: TestClient, do: str, **more: str) -> Any:
    said = {"csrf": word(client), "content": FILE, "do": do, "adopt": "1", **more}
    return client.post("/files", data=said, follow_redirects=False)


def test_a_fleet_file_puts_machines_on_its_master_when_that_is_ticked(console: Console, fleet: Fleet) -> None:
    client = console.browser(Role.OPERATOR)
    blocked = _sent(client, "plan").text
    assert "1 blocked" in blocked and "Rebase puts it on that master" in blocked and "--rebase" not in blocked
    told = _sent(client, "plan", rebase="1").text
    assert '<tr class="rebase">' in told and "on trial, with the way back" in told
    assert 'name="rebase" value="1" checked' in told and "checked> Replay" not in told
    assert "In dispute" not in client.get("/rebase?names=clean&onto=web%3A2").text
    assert 'href="/rebase?names=clean&amp;onto=web%3A2"' in told
    both = _sent(client, "plan", replay="1").text
    assert 'name="rebase" value="1" checked' in both and 'name="replay" value="1" checked' in both
    assert fleet.machine("clean").instance.stack.reference == "web:1"
    job = ended(fleet, _sent(client, "apply", rebase="1"))
    assert (job.verb, str(job.condition), job.subjects) == ("apply", "done", ("clean",)), job
    assert fleet.machine("clean").instance.stack.reference == "web:2"
