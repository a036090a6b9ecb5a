"""The list of machines: what is in it, in what order, and what is done to several at once."""

import re
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.jobs import Condition
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.tokens import Role
from skinnybox.fleet.view import MachineView
from skinnybox.web.listing import PAGE, Query, listed, natural, query_of
from tests.samples import an_instance
from tests.web.conftest import SMALL, Console, fields, word

NAME = re.compile(r'<th scope="row"><a href="/machines/([^"]+)"')


def names(text: str) -> list[str]:
    return NAME.findall(text)


@pytest.fixture
def some(console: Console) -> Console:
    fleet = console.fleet
    fleet.create(["web-2", "web-10"], "tiny", replace(SMALL, fleet="shop", labels=(("role", "web"),)))
    fleet.create(["db"], "tiny", replace(SMALL, labels=(("role", "db"), ("tier", "1"))))
    fleet.start(["web-2"])
    return console


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["db", "web-2", "web-10"]),
        ("?order=down", ["web-10", "web-2", "db"]),
        ("?sort=state", ["web-2", "db", "web-10"]),
        ("?sort=state&order=down", ["db", "web-10", "web-2"]),
        ("?q=WEB", ["web-2", "web-10"]),
        ("?state=stopped", ["db", "web-10"]),
        ("?state=ready&q=web", ["web-2"]),
        ("?master=tiny", ["db", "web-2", "web-10"]),
        ("?master=tiny:2", []),
        ("?fleet=shop", ["web-2", "web-10"]),
        ("?fleet=-", ["db"]),
        ("?label=role=web", ["web-2", "web-10"]),
        ("?label=role=db+tier", ["db"]),
        ("?label=!tier", ["web-2", "web-10"]),
        ("?sort=none&order=none&page=none", ["db", "web-2", "web-10"]),
        ("?page=99999", ["db", "web-2", "web-10"]),
        ("?page=-1", ["db", "web-2", "web-10"]),
    ],
)
def test_sorted_and_filtered_by_what_stands_in_the_address(
    some: Console, asked: str, found: list[str]
) -> None:
    assert names(some.browser(Role.VIEWER).get(f"/machines{asked}").text) == found


def test_a_label_that_is_none_is_told_where_it_was_typed(some: Console) -> None:
    shown = some.browser(Role.VIEWER).get("/machines?label=R%26D").text
    assert "is no label&#39;s key" in shown and 'aria-invalid="true"' in shown and names(shown) == []


def test_names_with_numbers_are_in_the_order_of_the_numbers() -> None:
    given = ["web-10", "web-9", "a", "web-1b", "web-1a", "10", "9"]
    assert sorted(given, key=natural) == ["9", "10", "a", "web-1a", "web-1b", "web-9", "web-10"]


def test_an_address_holds_all_that_the_list_is() -> None:
    query = query_of({"q": "a", "state": "ready", "sort": "up", "order": "down", "page": "3"})
    address = query.address()
    assert address == "/machines?q=a&state=ready&sort=up&order=down&page=3"
    assert query.address(page=1) == "/machines?q=a&state=ready&sort=up&order=down"
    assert query.sorted_by("up") == "/machines?q=a&state=ready&sort=up"
    assert Query().address() == "/machines"


def test_rows_that_are_as_they_were_are_not_sent_again(some: Console) -> None:
    client = some.browser(Role.OPERATOR)
    asked = {"hx-request": "true", "hx-target": "rows"}
    first = client.get("/machines", headers=asked)
    assert first.text.lstrip().startswith('<tbody id="rows"') and "<html" not in first.text
    found = re.search(r'hx-get="([^"]+)"', first.text)
    assert found
    again = found[1].replace("&amp;", "&")
    assert client.get(again, headers=asked).status_code == 204
    some.fleet.stop(["web-2"], Stopping())
    assert client.get(again, headers=asked).status_code == 200


def ended(console: Console, location: str) -> Condition:
    number = int(location.rsplit("/", 1)[1])
    deadline = time.monotonic() + 30
    while (job := console.fleet.jobs.one(number)).condition is Condition.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job.condition


@pytest.mark.parametrize(
    ("chosen", "started"),
    [
        ({"names": ["db"]}, {"db", "web-2"}),
        ({"names": ["db", "web-10"]}, {"db", "web-2", "web-10"}),
        ({"all": "1", "label": "role=web"}, {"web-2", "web-10"}),
        ({"all": "1"}, {"db", "web-2", "web-10"}),
    ],
)
def test_what_is_done_to_several_is_a_job_of_whoever_asked(
    some: Console, chosen: dict[str, object], started: set[str]
) -> None:
    client = some.browser(Role.OPERATOR)
    answer = client.post(
        "/machines/do", data={**chosen, "do": "start", "csrf": word(client)}, follow_redirects=False
    )
    assert ended(some, answer.headers["location"]) is Condition.DONE
    assert {m.name for m in some.fleet.machines() if str(m.condition) == "ready"} == started
    job = some.fleet.jobs.all()[-1]
    assert (job.verb, job.actor) == ("start", "a operator") and "token" in job.origin


def test_what_cannot_be_taken_back_is_asked_for_again(some: Console) -> None:
    client = some.browser(Role.OPERATOR)
    said = {"do": "delete", "csrf": word(client)}
    asked = client.post("/machines/do", data={**said, "names": "db"})
    assert asked.status_code == 200 and "Delete db?" in asked.text and "Type its name" in asked.text
    assert "db" in some.fleet.names()
    wrong = client.post("/machines/do", data={**said, "names": "db", "typed": "dp"})
    assert wrong.status_code == 400 and "dp" in wrong.text and "db" in some.fleet.names()
    several = client.post("/machines/do", data={**said, "names": ["db", "web-10"], "typed": "db"})
    assert several.status_code == 400 and "Type how many they are" in several.text
    sure = client.post(
        "/machines/do", data={**said, "names": "db\nweb-10", "typed": "2"}, follow_redirects=False
    )
    assert ended(some, sure.headers["location"]) is Condition.DONE
    assert some.fleet.names() == ["web-2"]


def test_of_all_that_a_list_is_about_those_that_were_shown_are_meant(some: Console) -> None:
    client = some.browser(Role.OPERATOR)
    said = {"do": "delete", "csrf": word(client), "all": "1", "state": "stopped"}
    asked = fields(client.post("/machines/do", data=said).text)
    assert (asked["all"], asked["state"], "names" in asked) == ("1", "stopped", False)
    some.fleet.delete(["db"])
    some.fleet.create(["other"], "tiny", SMALL)
    sent = {**said, "sum": asked["sum"], "typed": "2"}
    again = client.post("/machines/do", data=sent, follow_redirects=False)
    assert again.status_code == 400 and "other" in some.fleet.names()
    sent["sum"] = fields(again.text)["sum"]
    sure = client.post("/machines/do", data=sent, follow_redirects=False)
    assert ended(some, sure.headers["location"]) is Condition.DONE
    assert some.fleet.names() == ["web-2"]


def test_one_that_runs_is_deleted_only_when_that_is_said(some: Console) -> None:
    client = some.browser(Role.OPERATOR)
    said = {"names": "web-2", "typed": "web-2", "csrf": word(client)}
    first = client.post("/machines/do", data={**said, "do": "delete"}, follow_redirects=False)
    assert ended(some, first.headers["location"]) is Condition.FAILED
    second = client.post("/machines/do", data={**said, "do": "delete-running"}, follow_redirects=False)
    assert ended(some, second.headers["location"]) is Condition.DONE
    assert "web-2" not in some.fleet.names()


@pytest.mark.parametrize(
    "said", [{"do": "start"}, {"do": "none", "names": "db"}, {"names": "db"}, {"do": "start", "names": "*"}]
)
def test_nothing_is_done_where_nothing_clear_is_asked(some: Console, said: dict[str, str]) -> None:
    client = some.browser(Role.OPERATOR)
    before = len(some.fleet.jobs.all())
    answer = client.post("/machines/do", data={**said, "csrf": word(client)}, follow_redirects=False)
    if said.get("names") != "*":
        assert answer.status_code == 400
        assert len(some.fleet.jobs.all()) == before


def many(count: int) -> list[MachineView]:
    return [
        MachineView(
            instance=replace(
                an_instance(f"a-machine-with-a-rather-long-name-{number:05}"), uuid=uuid4(),
                labels=(("role", "webserver"), ("tier", "frontend")), fleet="a-fleet-of-many",
            ),
            phase=Phase.DEFINED,
        )
        for number in range(count)
    ]  # fmt: skip


def test_a_page_of_two_thousand_is_small(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    views = many(2000)
    monkeypatch.setattr(console.fleet._queries, "machines", lambda patterns=("*",): views)
    shown = console.browser(Role.ADMIN).get("/machines")
    assert len(names(shown.text)) == PAGE == 100
    assert len(shown.content) < 150_000
    assert "2,000 machines" in shown.text and "1–100 of 2,000" in shown.text
    last = console.browser(Role.ADMIN).get("/machines?page=20")
    assert names(last.text)[-1].endswith("01999") and "Next" not in last.text


def test_the_picture_of_two_thousand_is_small_enough(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = many(2000)
    monkeypatch.setattr(console.fleet._queries, "machines", lambda patterns=("*",): views)
    shown = console.browser(Role.ADMIN).get("/")
    assert shown.text.count("<use ") >= 2000 and len(shown.content) < 600_000


def test_listing_two_thousand_takes_no_time() -> None:
    views = many(2000)
    begun = time.perf_counter()
    page = listed(views, Query(sort="overlay", order="down", q="machine"))
    assert (page.found, len(page.machines), page.pages) == (2000, 100, 20)
    assert time.perf_counter() - begun < 2
