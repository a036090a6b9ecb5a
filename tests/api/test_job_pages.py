"""Lists of jobs are chosen by the database, and are what one by one was seen."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox.fleet.catalog import jobs as kept
from skinnybox.fleet.jobs import Condition, Job, Wanted
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate import reach
from skinnybox.gate.principal import Principal
from tests.api.conftest import Api
from tests.fleet.conftest import SPARSE

DEAD = "0/1/1"
VERBS = ("start", "set", "token create", "repair", "master build")
SUBJECTS: tuple[tuple[str, ...], ...] = ((), ("a",), ("a", "b"), ("b",), ('x"y',), ("tiny:1",))
TOKEN = "tttttttttt"


def written(fleet: Fleet) -> None:
    """Every verb of every subject by two who asked, in each condition; some whose process is gone."""
    from skinnybox.fleet.catalog.owner import process_mark

    database = fleet._catalog.database
    fleet._catalog.make()
    states = [*Condition, Condition.RUNNING]
    every = product(VERBS, SUBJECTS, ("127.0.0.1", f"192.0.2.1, token {TOKEN}"), enumerate(states))
    for verb, subjects, origin, (number, state) in every:
        owner = DEAD if number == len(states) - 1 else process_mark()
        job = Job(
            number=0, verb=verb, subjects=subjects, actor=verb[:1], origin=origin, owner=owner, begun="x"
        )
        job = replace(job, number=kept.begin(database, job))
        if state is not Condition.RUNNING:
            kept.end(database, replace(job, condition=state, ended="y"))


def who(role: Role, fleet: str | None = None) -> Principal:
    return Principal(name="w", role=role, fleet=fleet, origin="192.0.2.9", token=TOKEN)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("only", [None, "shop"])
def test_what_the_database_chooses_is_what_they_may_know_of(
    fleet: Fleet, role: Role, only: str | None
) -> None:
    fleet.create(["a"], "tiny", replace(SPARSE, fleet="shop"))
    fleet.create(["b"], "tiny", SPARSE)
    written(fleet)
    asks = who(role, only)
    sees = reach.sight(fleet, asks)
    every = [replace(job, log="") for job in reversed(fleet.jobs.all()) if sees(job)]
    assert len(every) > 50
    for states, verb, machine in product(
        [(), *((each,) for each in Condition)], (None, "start"), (None, "a", 'x"y')
    ):
        wanted = Wanted(states=states, verb=verb, machine=machine)
        meant = [
            job for job in every
            if (not states or job.condition in states) and verb in (None, job.verb)
            and (machine is None or machine in job.subjects)
        ]  # fmt: skip
        found = reach.jobs(fleet, asks, wanted, 1000)
        assert [job.number for job in found] == [job.number for job in meant], wanted
        assert fleet.jobs.count(reach.knowable(fleet, asks, wanted)) == len(meant)
        assert reach.jobs(fleet, asks, wanted, 2, 1) == found[1:3]
        if len(found) > 3:
            assert reach.jobs(fleet, asks, replace(wanted, before=found[1].number), 2) == found[2:4]
    verbs = fleet.jobs.verbs(reach.knowable(fleet, asks, Wanted()))
    assert verbs == sorted({job.verb for job in every})


def test_a_page_reads_no_more_than_it_shows(
    fleet: Fleet, client: TestClient, admin: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(fleet)
    read: list[Any] = []
    real = kept.parsed

    def parsed(*row: Any) -> Job:
        read.append(row[0])
        return real(*row)

    monkeypatch.setattr("skinnybox.fleet.catalog.job_pages.parsed", parsed)
    monkeypatch.setattr(kept, "parsed", parsed)
    found = admin.get("/jobs", params={"limit": 10})
    assert len(found["items"]) == 10 and found["total"] > 300
    assert len(read) <= 20, len(read)
    newest = [job["job"] for job in found["items"]]
    second = admin.get("/jobs", params={"limit": 10, "offset": 10})["items"]
    assert newest == sorted(newest, reverse=True) and newest[-1] == second[0]["job"] + 1


def test_a_word_that_jobs_are_looked_for_by_may_be_a_letter(fleet: Fleet, admin: Api) -> None:
    """A machine may be called so. Nothing, or a page of text, is no word."""
    written(fleet)
    for path, word in product(("/jobs", "/audit"), ("verb", "actor", "machine")):
        for said, code in (("a", 200), ("a" * 100, 200), ("", 422), ("a" * 101, 422)):
            answer = admin.ask("GET", path, params={word: said})
            assert answer.status_code == code, (path, word, said, answer.text)
    assert admin.get("/jobs", params={"machine": "a"})["total"] > 0
