"""Deploying, jobs, audit, tokens and masters: who may, what is told, and whose words are only text."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from skinnybox.errors import UsageError
from skinnybox.fleet.jobs import Actor, Condition, Job
from skinnybox.fleet.tokens import Role
from skinnybox.operation import Operation
from skinnybox.web import backups
from skinnybox.web.routes import SUBJECTS
from tests.layered import planted
from tests.web.conftest import SMALL, Console, fields, word

BATCH = {
    "master": "tiny:1", "prefix": "web-", "first": "1", "last": "3", "digits": "2", "overlay": "64M",
    "memory": "256M", "cpus": "1", "sparse": "1",
}  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>"
ROOT = Actor(name=HOSTILE, origin=f"{HOSTILE}\u202e")


def post(client: TestClient, there: str, **said: str) -> tuple[int, str]:
    """The status, and the address it leads to or the page."""
    answer = client.post(there, data={"csrf": word(client), **said}, follow_redirects=False)
    return answer.status_code, answer.headers.get("location") or answer.text


def ended(console: Console, number: int) -> Job:
    """Once it has: jobs here take some milliseconds."""
    deadline = time.monotonic() + 60
    while (job := console.fleet.jobs.one(number)).condition is Condition.RUNNING:
        assert time.monotonic() < deadline, f"job {number} goes on"
        time.sleep(0.02)
    return job


def of(location: str) -> int:
    found = re.fullmatch("/jobs/([0-9]+)", location)
    assert found, location
    return int(found[1])


def test_a_batch_is_made_by_whoever_asked(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    status, there = post(client, "/deploy", **BATCH, start="1", do="create")
    assert status == 303
    job = ended(console, of(there))
    assert (job.verb, job.condition, job.actor) == ("create", Condition.DONE, "a operator")
    assert [result.name for result in job.results] == ["web-01", "web-02", "web-03"] == console.fleet.names()
    assert {machine.told for machine in console.fleet.machines()} == {"ready"}


def test_the_preview_button_makes_nothing(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    for do in ({"do": "preview"}, {}):
        status, page = post(client, "/deploy", **BATCH, **do)
        assert status == 200 and "web-03" in page and "skinnybox create" in page
    assert console.fleet.names() == []
    assert not [job for job in console.fleet.jobs.all() if not job.verb.startswith("token")]


def test_the_live_preview_is_a_part_of_the_page(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    answer = client.post(
        "/deploy/preview", data={"csrf": word(client), **BATCH}, headers={"hx-request": "true"}
    )
    assert answer.status_code == 200
    assert answer.text.strip().startswith('<section id="preview"') and "<html" not in answer.text


def test_what_is_refused_is_told_in_the_words_of_the_page(console: Console) -> None:
    console.fleet.create(["web-02"], "tiny", SMALL)
    client = console.browser(Role.OPERATOR)
    status, page = post(client, "/deploy", **BATCH, do="create")
    assert (
        status == 422 and "1 of 3 names are taken: web-02" in page and "--skip-existing creates" not in page
    )
    huge = {key: value for key, value in BATCH.items() if key != "sparse"} | {
        "overlay": "4T",
        "prefix": "db-",
    }
    status, page = post(client, "/deploy", **huge, do="create")
    assert status == 422 and "3 reserved overlays need" in page and "or --sparse" not in page
    assert console.fleet.names() == ["web-02"]


def test_those_that_exist_are_left_and_the_others_have_the_addresses_that_were_told(console: Console) -> None:
    console.fleet.create(["web-02"], "tiny", SMALL)
    client = console.browser(Role.OPERATOR)
    said = {**BATCH, "bridge": "br0", "address": "10.0.0.11/24", "skip_existing": "1"}
    status, there = post(client, "/deploy", **said, do="create")
    assert status == 303 and ended(console, of(there)).condition is Condition.DONE
    network = console.fleet.machine("web-03").instance.seed.network
    assert network is not None and network.address == "10.0.0.13/24"


def test_whoever_reaches_one_fleet_makes_machines_of_that(console: Console) -> None:
    client = console.browser(Role.OPERATOR, "shop")
    status, there = post(client, "/deploy", **BATCH, do="create")
    assert status == 303 and ended(console, of(there)).condition is Condition.DONE
    assert {machine.instance.fleet for machine in console.fleet.machines()} == {"shop"}


def test_they_see_no_job_of_others(console: Console) -> None:
    console.fleet.create(["db-1"], "tiny", SMALL)
    console.fleet.create(["shop-1"], "tiny", replace(SMALL, fleet="shop"))
    theirs = console.browser(Role.VIEWER, "shop")
    others, own = [job for job in console.fleet.jobs.all() if job.verb == "create"]
    assert theirs.get(f"/jobs/{own.number}").status_code == 200
    assert theirs.get(f"/jobs/{others.number}").status_code == 404
    assert "db-1" not in theirs.get("/jobs").text
    assert "db-1" not in theirs.get("/masters/tiny:1").text


def test_a_job_is_cancelled_from_its_page(console: Console) -> None:
    def endless(operation: Operation) -> None:
        operation.sleep(600)

    viewer, operator = console.browser(Role.VIEWER), console.browser(Role.OPERATOR)
    number = console.fleet.background.begin(ROOT, "wait", ["web-01"], endless)
    assert post(viewer, f"/jobs/{number}/cancel")[0] == 403
    assert post(operator, f"/jobs/{number}/cancel") == (303, f"/jobs/{number}")
    assert ended(console, number).condition is Condition.CANCELLED


def test_only_what_is_new_of_a_log_is_sent_again(console: Console) -> None:
    def noting(operation: Operation) -> None:
        operation.note("first line")
        operation.note("second line")

    client = console.browser(Role.VIEWER)
    number = console.fleet.background.begin(ROOT, "note", [], noting)
    ended(console, number)
    again = {"hx-request": "true", "hx-target": "job"}
    told = client.get(f"/jobs/{number}?after={len('first line') + 1}", headers=again).text
    assert "second line" in told and "first line" not in told and "hx-trigger" not in told
    assert "second line" not in client.get(f"/jobs/{number}?after=999", headers=again).text
    assert "first line" in client.get(f"/jobs/{number}").text


def test_jobs_are_filtered_and_paged(console: Console) -> None:
    client = console.browser(Role.ADMIN)
    for number in range(60):
        begun = console.fleet.background.begin(ROOT, "count", [f"n{number}"], lambda _: None)
        ended(console, begun)
    first = client.get("/jobs?verb=count").text
    [older] = re.findall(r'href="(/jobs\?[^"]*before=[0-9]+)"', first)
    second = client.get(older.replace("&amp;", "&")).text
    rows = [
        re.findall(r'<tr><th scope="row"[^>]*><a href="/jobs/([0-9]+)"', page) for page in (first, second)
    ]
    assert (len(rows[0]), len(rows[1])) == (50, 10) and not set(rows[0]) & set(rows[1])
    assert "No job is like that" in client.get("/jobs?state=failed").text
    assert client.get("/jobs?word=N59").text.count("n59") >= 1
    assert "Nothing is like that" in client.get("/audit?word=nobody").text


@pytest.mark.parametrize("there", ["/jobs", "/jobs/{number}", "/audit", "/"])
def test_what_strangers_said_is_only_text(console: Console, there: str) -> None:
    def say(operation: Operation) -> None:
        operation.step(HOSTILE, done=1, total=2, unit=HOSTILE, detail=HOSTILE)
        operation.note(f"{HOSTILE}\u202e")
        raise UsageError(HOSTILE)

    client = console.browser(Role.ADMIN)
    number = console.fleet.background.begin(ROOT, "say", [HOSTILE, "\u202eweb"], say)
    ended(console, number)
    page = client.get(there.format(number=number))
    assert "<img" not in page.text and "&lt;img" in page.text
    assert "\u202e" not in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"


def test_a_token_is_told_once(console: Console) -> None:
    client = console.browser(Role.ADMIN)
    status, page = post(client, "/tokens", name=HOSTILE[:40], role="operator", fleet="", days="30")
    [secret] = re.findall("sk_[a-z2-7]{10}_[A-Za-z0-9_-]{43}", page)
    assert status == 200 and "<img" not in page
    token = console.fleet.tokens.shown(secret)
    assert token is not None and token.role is Role.OPERATOR and token.maker == "a admin"
    assert token.expires is not None and (token.expires - token.made).days == 30
    assert secret not in client.get("/tokens").text
    assert secret not in str(console.fleet.jobs.all())


def test_a_token_is_revoked_when_that_was_asked_twice(console: Console) -> None:
    client = console.browser(Role.ADMIN)
    made, secret = console.fleet.tokens.create("gone", Role.VIEWER)
    client.get(f"/tokens/{made.id}/revoke")
    assert console.fleet.tokens.shown(secret) is not None
    assert post(client, f"/tokens/{made.id}/revoke") == (303, "/tokens")
    assert console.fleet.tokens.shown(secret) is None


@pytest.mark.parametrize("said", [{"role": "god"}, {"days": "-1"}, {"name": ""}, {"days": "99999999"}])
def test_what_is_no_token_is_told(console: Console, said: dict[str, str]) -> None:
    before = len(console.fleet.tokens.all()) + 1
    status, _ = post(console.browser(Role.ADMIN), "/tokens", **{"name": "x", "role": "viewer", **said})
    assert (status, len(console.fleet.tokens.all())) == (422, before)


OPERATOR_ONLY = ["/deploy", "/files"]
ADMIN_ONLY = ["/audit", "/tokens", "/masters/new", "/masters/tiny:1/remove", "/layers/new"]
POSTS = [
    ("/deploy", Role.OPERATOR), ("/deploy/preview", Role.OPERATOR), ("/files", Role.OPERATOR),
    ("/jobs/1/cancel", Role.OPERATOR), ("/masters/tiny:1/verify", Role.OPERATOR),
    ("/masters/build", Role.ADMIN), ("/masters/import", Role.ADMIN), ("/masters/tiny:1/remove", Role.ADMIN),
    ("/layers/site:1/verify", Role.OPERATOR), ("/layers/import", Role.ADMIN), ("/layers/build", Role.ADMIN),
    ("/layers/site:1/remove", Role.ADMIN),
    ("/tokens", Role.ADMIN), ("/tokens/aaaaaaaaaa/revoke", Role.ADMIN),
]  # fmt: skip


def test_who_may_look(console: Console) -> None:
    for role, closed in ((Role.VIEWER, [*OPERATOR_ONLY, *ADMIN_ONLY]), (Role.OPERATOR, ADMIN_ONLY)):
        client = console.browser(role)
        for there in [
            *OPERATOR_ONLY,
            *ADMIN_ONLY,
            "/jobs",
            "/masters",
            "/masters/tiny:1",
            "/masters/diff",
            "/layers",
        ]:
            assert client.get(there).status_code == (403 if there in closed else 200), (role, there)


@pytest.mark.parametrize(("there", "least"), POSTS)
def test_who_may_change(console: Console, there: str, least: Role) -> None:
    assert console.browser(None).post(there, follow_redirects=False).status_code == 303
    if least > Role.VIEWER:
        assert post(console.browser(Role(least - 1)), there)[0] == 403
    client = console.browser(Role.ADMIN)
    word(client)
    for said in ({}, {"csrf": "0" * 64}, {"csrf": word(console.browser(Role.ADMIN))}):
        assert client.post(there, data={**BATCH, "do": "create", **said}).status_code == 403
    assert console.fleet.names() == []


@pytest.mark.parametrize("there", ["/tokens", "/audit", "/masters/new", "/layers/new"])
def test_whoever_reaches_one_fleet_does_nothing_beyond_it(console: Console, there: str) -> None:
    assert console.browser(Role.ADMIN, "shop").get(there).status_code == 403


def test_a_master_that_is_needed_is_not_offered_for_removal(console: Console) -> None:
    console.fleet.create(["web-01"], "tiny", SMALL)
    client = console.browser(Role.ADMIN)
    page = client.get("/masters/tiny:1/remove").text
    assert "1 machine boot" in page and 'action="/masters/tiny:1/remove"' not in page
    status, there = post(client, "/masters/tiny:1/remove")
    assert status == 303 and ended(console, of(there)).condition is Condition.FAILED
    assert console.fleet.masters.find("tiny").version == "1"


def test_an_import_names_a_whole_path(console: Console) -> None:
    status, there = post(console.browser(Role.ADMIN), "/masters/import", reference="x:1", source="etc/shadow")
    job = ended(console, of(there))
    assert status == 303 and job.condition is Condition.FAILED and "whole path" in (job.error or "")


def test_verifying_is_a_job(console: Console) -> None:
    status, there = post(console.browser(Role.OPERATOR), "/masters/tiny:1/verify")
    job = ended(console, of(there))
    assert (status, job.condition, job.verb) == (303, Condition.DONE, "master verify")


def test_no_path_of_the_server_is_on_a_page(console: Console) -> None:
    folder = str(console.fleet.masters.folder(console.fleet.masters.find("tiny")))
    client = console.browser(Role.ADMIN)
    for there in ("/masters", "/masters/tiny:1", "/deploy"):
        assert folder.rsplit("/masters", 1)[0] not in client.get(there).text


def test_a_layer_is_imported_had_and_removed(console: Console, tmp_path: Path) -> None:
    planted(tmp_path / "site", {"index.html": "hello"})
    said = {"reference": "site:1", "above": "tiny:1", "source": str(tmp_path / "site"), "at": "/srv"}
    admin, viewer = console.browser(Role.ADMIN), console.browser(Role.VIEWER)
    assert ended(console, of(post(admin, "/layers/import", **said)[1])).condition is Condition.DONE
    operator = console.browser(Role.OPERATOR)
    _, there = post(operator, "/deploy", **BATCH, layers="site", do="create")
    assert ended(console, of(there)).condition is Condition.DONE
    assert console.fleet.machine("web-01").instance.stack.layers == ("site:1",)
    assert "/layers/site:1" in viewer.get("/layers").text and "site:1" in operator.get("/deploy").text
    page, asked = viewer.get("/layers/site:1").text, admin.get("/layers/site:1/remove").text
    assert 'href="/machines/web-01"' in page and "/verify" not in page and str(tmp_path) not in page
    assert "3 machines have it" in asked and 'action="/layers/site:1/remove"' not in asked
    console.fleet.delete(["web-*"], force=True)
    _, there = post(operator, "/layers/site:1/verify")
    assert ended(console, of(there)).condition is Condition.DONE
    assert 'action="/layers/site:1/remove"' in admin.get("/layers/site:1/remove").text
    assert ended(console, of(post(admin, "/layers/site:1/remove")[1])).condition is Condition.DONE
    assert console.fleet.layers.all() == []


@pytest.mark.parametrize(
    ("there", "said", "why"),
    [
        ("import", {"source": "etc"}, "whole path"),
        pytest.param("import", {"source": "/", "above": "none"}, "no master", marks=pytest.mark.full),
        ("build", {"recipe": "packages: [vim]"}, "may hold copy and scripts"),
        pytest.param(
            "build", {"recipe": "scripts: [x]", "layers": "none"}, "no layer none", marks=pytest.mark.full
        ),
    ],
)
def test_what_cannot_be_a_layer_is_told_by_its_job(
    console: Console, there: str, said: dict[str, str], why: str
) -> None:
    asked = {"reference": "x:1", "above": "tiny:1", **said}
    _, job = post(console.browser(Role.ADMIN), f"/layers/{there}", **asked)
    assert why in (ended(console, of(job)).error or "")


def test_fields_of_the_form_survive_a_mistake(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    _, page = post(client, "/deploy", **{**BATCH, "overlay": '"><script>', "address": "10.0.0.1/24"})
    assert "<script>" not in page.replace("<script type", "")
    assert fields(page)["overlay"] == '"><script>' and fields(page)["address"] == "10.0.0.1/24"


@pytest.mark.parametrize("there", ["/jobs/0", "/jobs/99999999999999999999", "/jobs/x", "/jobs/1?after=x"])
def test_a_number_that_is_none_is_told(console: Console, there: str) -> None:
    answer = console.browser(Role.VIEWER).get(there)
    assert answer.status_code in (404, 422) and "<html" in answer.text


def test_from_where_somebody_asked_only_admins_find_out(console: Console) -> None:
    client, admin = console.browser(Role.OPERATOR), console.browser(Role.ADMIN)
    begun = console.fleet.background.begin(Actor(name="anna", origin="192.0.2.7"), "look", [], lambda _: None)
    ended(console, begun)
    assert "No job is like that" in client.get("/jobs?word=192.0.2.7").text
    assert "192.0.2.7" not in client.get(f"/jobs/{begun}").text
    assert f"/jobs/{begun}" in admin.get("/audit?word=192.0.2.7").text


@pytest.mark.parametrize("verb", ["master build", "layer build"])
def test_only_admins_end_what_is_done_to_masters(console: Console, verb: str) -> None:
    operator, admin = console.browser(Role.OPERATOR), console.browser(Role.ADMIN)
    number = console.fleet.background.begin(ROOT, verb, ["x:1"], lambda op: op.sleep(600))
    assert "Cancel it" not in operator.get(f"/jobs/{number}").text
    assert post(operator, f"/jobs/{number}/cancel")[0] == 403
    assert post(admin, f"/jobs/{number}/cancel")[0] == 303
    assert ended(console, number).condition is Condition.CANCELLED


def test_whatever_a_page_sends_is_looked_at(console: Console) -> None:
    """Each address that takes what changes something does nothing without the word of the session."""
    client = console.browser(Role.ADMIN)
    anyone = {"/sign-in", "/sign-out", "/theme"}
    found = [
        route.path
        for router in (backups.sending, *(subject.router for subject in SUBJECTS))
        for route in router.routes
        if isinstance(route, APIRoute) and not (route.methods or set()) <= {"GET", "HEAD"}
    ]
    assert set(found) >= {"/deploy", "/files", "/tokens", "/machines/do", "/restore/upload", *anyone}
    for there in set(found) - anyone:
        filled = re.sub("{[a-z]+(:[a-z]+)?}", "1", there)
        answer = client.post(filled, data={**BATCH, "do": "create"}, follow_redirects=False)
        assert answer.status_code == 403, there
        assert answer.headers["x-frame-options"] == "DENY"
