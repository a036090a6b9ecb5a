"""kill -9, a full or a failing disk at every change a command makes: nothing lost, nothing unexplained."""

import os
import random
from collections.abc import Callable, Sequence

import pytest

from tests.faults import scenarios
from tests.faults.conftest import Place
from tests.faults.injector import NEEDS_SPACE, Deed, Fault, needs_injector
from tests.faults.of_archives import ARCHIVES
from tests.faults.of_layers import LAYERS
from tests.faults.of_rebase import OF_REBASE
from tests.faults.scenarios import Scenario, withstand

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800), needs_injector]
SCENARIOS: tuple[Scenario, ...] = (*scenarios.SCENARIOS, *ARCHIVES, *LAYERS, *OF_REBASE)
NOW_AND_THEN = 12
"""Changes that a slow run may have more than a quick one: a job writes down by the clock how far it is."""
HUNDREDS = 10
_SYNCS = ("fsync", "fdatasync")
_WRITES = ("write", "pwrite64", "ftruncate", "fallocate", "copy_file_range")

Copied = Callable[[], Place]
by_scenario = pytest.mark.parametrize(
    "scenario",
    [pytest.param(each, id=each.name, marks=[pytest.mark.full] * each.long) for each in SCENARIOS],
)
by_deed = pytest.mark.parametrize("deed", list(Deed))


def changes(scenario: Scenario, place: Place) -> Sequence[str]:
    """What the command does to the state folder when nothing happens to it."""
    place = scenario.placed(place)
    scenario.prepare(place)
    untouched = scenario.given(place, None)
    assert untouched.code == 0, untouched
    scenario.wanted(place)
    place.tidy()
    return untouched.calls


def countable(calls: Sequence[str], deed: Deed) -> list[str]:
    """Those of the calls at which a fault of this kind can come, in order: what a Fault's `at` counts."""
    return [call for call in calls if deed is not Deed.FULL or call.split(" ")[0] in NEEDS_SPACE]


@by_scenario
def test_a_blow_here_and_there(scenario: Scenario, copied: Copied) -> None:
    """One of each kind, at the same change in every run; `full` takes all, and a thousand at random."""
    calls = changes(scenario, copied())
    for deed in Deed:
        count = len(countable(calls, deed))
        at = random.Random(f"{scenario.name} {deed}").randint(1, count)
        given = withstand(scenario, copied(), Fault(deed=deed, at=at))
        assert given.struck or at > count - NOW_AND_THEN, deed


@pytest.mark.full
@by_deed
@by_scenario
def test_a_blow_at_every_change(scenario: Scenario, deed: Deed, copied: Copied) -> None:
    for at in range(1, len(countable(changes(scenario, copied()), deed)) + 1):
        withstand(scenario, copied(), Fault(deed=deed, at=at))


@pytest.fixture(scope="module")
def seed() -> int:
    """Other points at each run; SKINNYBOX_FAULTS_SEED repeats those of an earlier one."""
    return int(os.environ.get("SKINNYBOX_FAULTS_SEED") or random.randrange(1 << 32))


@pytest.mark.full
@pytest.mark.parametrize("hundred", range(HUNDREDS))
def test_a_thousand_blows_at_random(hundred: int, seed: int, copied: Copied) -> None:
    print(f"SKINNYBOX_FAULTS_SEED={seed}")
    chance = random.Random(f"{seed} {hundred}")
    known: dict[str, Sequence[str]] = {}
    for _ in range(100):
        scenario, deed = chance.choice(SCENARIOS), chance.choice(list(Deed))
        if scenario.name not in known:
            known[scenario.name] = changes(scenario, copied())
        at = _anywhere(countable(known[scenario.name], deed), chance)
        withstand(scenario, copied(), Fault(deed=deed, at=at))


def _anywhere(calls: Sequence[str], chance: random.Random) -> int:
    """First a class of calls, then one of it: else nearly all would be writes."""
    classes: dict[str, list[int]] = {}
    for at, call in enumerate(calls, start=1):
        name = call.split(" ")[0]
        kind = "sync" if name in _SYNCS else "write" if name in _WRITES else "name"
        classes.setdefault(kind, []).append(at)
    return chance.choice(classes[chance.choice(sorted(classes))])
