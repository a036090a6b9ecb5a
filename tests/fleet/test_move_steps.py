"""The steps of a move, with a destination that only pretends: what each leaves where it goes wrong."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from skinnybox.errors import Blocked, Conflict, Corrupt, NoSpace, SkinnyboxError, TimedOut
from skinnybox.fleet import moving, moving_folder
from skinnybox.fleet.moving import Move
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from skinnybox.operation import UNATTENDED
from tests.fleet import rebasing, test_move
from tests.fleet.test_rebase import two_masters

__all__ = ["two_masters"]
fleet, web, to, there = rebasing.fleet_of_two, test_move.web, test_move.to, test_move.there


class Nowhere:
    """A destination that is never asked for anything."""

    where = "nowhere"
    unknown = ()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def test_one_that_is_protected_meanwhile_stays(fleet: Fleet, web: Instance) -> None:
    before = fleet.machine("web")
    assert fleet.set(["web"], {"protected": True})[0].ok
    with pytest.raises(Blocked, match="is protected"):
        moving.move(fleet._context, cast(moving.Destination, Nowhere()), before, Move(), UNATTENDED)
    assert fleet.machine("web").instance == replace(web, protected=True)
    assert fleet.set(["web"], {"protected": False})[0].ok and fleet.start(["web"])[0].ok


class Failing:
    """A destination on which what is called `at` goes wrong; and what was called before."""

    where = "elsewhere"
    unknown = (TimedOut,)

    def __init__(self, at: str, error: SkinnyboxError) -> None:
        self._at, self._error = at, error
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            self.called.append(name)
            if name == self._at:
                raise self._error
            return words[1].instance if name == "make" else None

        return call


@pytest.mark.parametrize(
    ("at", "error", "called", "may_be_there"),
    [
        ("bring", Conflict("another master"), [], False),
        ("make", NoSpace("full"), ["bring", "known", "make"], False),
        ("make", TimedOut("no answer"), ["bring", "known", "make"], True),
        ("compare", Corrupt("not the same"), ["bring", "known", "make", "compare"], True),
        ("remember", NoSpace("full"), ["bring", "known", "make", "compare", "remember"], True),
    ],
)
def test_what_goes_wrong_there_keeps_it_here(
    fleet: Fleet, web: Instance, at: str, error: SkinnyboxError, called: list[str], may_be_there: bool
) -> None:
    """Where it may be there by then it does not start here; where it is, that is said."""
    there, message = Failing(at, error), error.message
    with pytest.raises(type(error)) as told:
        moving.move(fleet._context, cast(moving.Destination, there), fleet.machine("web"), Move(), UNATTENDED)
    assert there.called == (called or ["bring"])
    assert fleet.machine("web").instance == replace(web, moving="elsewhere" if may_be_there else None)
    assert fleet.start(["web"])[0].ok is not may_be_there
    if at == "remember":
        assert told.value.message == f"web is in elsewhere, and still here: {message}"
        assert told.value.hint and "give the same command again" in told.value.hint
    else:
        assert told.value.message == message


@pytest.mark.parametrize("fresh", [False, True])
def test_what_was_there_already_is_compared_before_it_goes_here(
    fleet: Fleet, web: Instance, there: Fleet, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """What was just made of an archive was compared with that."""
    compared = list[str]()
    place = moving_folder.Folder(fleet._context, there._context)
    monkeypatch.setattr(moving_folder.Folder, "_archived", lambda *_: nullcontext(Path("archive")))
    monkeypatch.setattr(moving_folder.Folder, "_compare", lambda _, made, *more: compared.append(made.name))
    place.compare(fleet._context, fleet.machine("web"), {}, web, UNATTENDED, fresh=fresh)
    assert compared == ([] if fresh else ["web"])
    hint = moving.differs("web").hint
    assert hint and "delete the other" in hint
