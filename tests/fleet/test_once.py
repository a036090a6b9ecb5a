"""Requests that are sent twice and done once."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, UsageError
from skinnybox.fleet.catalog import answers
from skinnybox.fleet.catalog.answers import Reused
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import open_fake


def test_the_same_again_is_answered_the_same(fleet: Fleet, state: Path) -> None:
    assert fleet.once.begin("me", "k", {"a": 1}, lambda: 7) == 7
    assert fleet.once.begin("me", "k", {"a": 1}, lambda: 8) == 7
    with open_fake(state) as another:
        assert another.once.begin("me", "k", {"a": 1}, lambda: 9) == 7
    assert fleet.once.begin("you", "k", {"a": 1}, lambda: 10) == 10
    with pytest.raises(Reused):
        fleet.once.begin("me", "k", {"a": 2}, lambda: 11)


def test_what_was_refused_may_be_tried_again(fleet: Fleet) -> None:
    def refuse() -> int:
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        fleet.once.begin("me", "k", 1, refuse)
    assert fleet.once.begin("me", "k", 1, lambda: 3) == 3


def test_two_at_once_begin_one(fleet: Fleet) -> None:
    begun, inside = list[int](), threading.Event()

    def slow() -> int:
        begun.append(1)
        inside.set()
        threading.Event().wait(0.2)
        return 5

    first = threading.Thread(target=lambda: fleet.once.begin("me", "k", 1, slow))
    first.start()
    inside.wait()
    with pytest.raises(Conflict, match="being answered"):
        fleet.once.begin("me", "k", 1, slow)
    first.join()
    assert (fleet.once.begin("me", "k", 1, slow), begun) == (5, [1])


def test_what_a_killed_process_began_is_begun_again(fleet: Fleet) -> None:
    db = fleet._catalog.database
    assert answers.claim(db, "k", "x") is None
    with db.writing():
        db.execute("UPDATE answers SET owner = 'gone/999999/1'")
    assert answers.claim(db, "k", "x") is None


def test_no_more_are_kept_than_so_many_and_for_so_long(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEPT", 5)
    db = fleet._catalog.database
    for number in range(20):
        fleet.once.begin("me", str(number), 1, lambda: 1)
    assert db.all("SELECT count(*) FROM answers") == [(5,)]
    assert fleet.once.begin("me", "19", 1, lambda: 2) == 1
    monkeypatch.setattr(answers, "KEPT_FOR", timedelta(0))
    assert fleet.once.begin("me", "19", 1, lambda: 2) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\u00fc"])
def test_a_key_is_a_short_word(fleet: Fleet, key: str) -> None:
    with pytest.raises(UsageError):
        fleet.once.begin("me", key, 1, lambda: 1)


def test_a_repair_is_a_job(fleet: Fleet) -> None:
    fleet._catalog.make()
    fleet.upkeep.repair()
    assert [job.verb for job in fleet.jobs.all()] == ["repair"]
