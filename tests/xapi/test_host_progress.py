"""Overlays on their way to a pool and from it: whoever waits is told how far they are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.model import Overlay
from skinnybox.operation import UNATTENDED, Operation, Step
from skinnybox.sizes import MIB
from tests.samples import seal
from tests.xapi.furnished import at_work, furnished, host_on, plain_disk

pytestmark = pytest.mark.image
SIZE = 32 * MIB
SMALL = Specification(overlay=Overlay(size=SIZE), memory=256 * MIB, cpus=1, any_allocation=True)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One machine, `web`, that has run: what it wrote is nowhere but in the pool."""
    folder = tmp_path_factory.mktemp("fleet")
    seal(folder / "state", folder, "tiny", "1")
    with furnished(guest=at_work) as pool:
        host = host_on(pool, folder / "state", make_disk=plain_disk)
        with Fleet(folder / "state", host, boots_at_once=1) as fleet:
            fleet.create(["web"], "tiny", SMALL)
            assert [each.error for each in fleet.start(["web"])] == [None]
            assert [each.error for each in fleet.stop(["web"], Stopping())] == [None]
            yield fleet


def changes(fleet: Fleet, operation: Operation) -> None:
    with fleet.overlays.changes("web", operation=operation) as found:
        list(found)


def grow(fleet: Fleet, operation: Operation) -> None:
    done(fleet.overlays.grow(["web"], MIB, by=True, operation=operation))


def snapshot(fleet: Fleet, operation: Operation) -> None:
    done(fleet.overlays.snapshot(["web"], "one", operation))


def restore(fleet: Fleet, operation: Operation) -> None:
    done(fleet.overlays.snapshot(["web"], "before", UNATTENDED))
    done(fleet.overlays.restore(["web"], "before", operation))


def reset(fleet: Fleet, operation: Operation) -> None:
    done(fleet.overlays.reset(["web"], operation))


def done(outcomes: Sequence[Outcome[Any]]) -> None:
    assert [each.error for each in outcomes] == [None]


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (changes, {"fetch web"}),
        (grow, {"fetch web", "put web"}),
        (snapshot, {"copy web"}),
        (restore, {"fetch web", "put web"}),
        (reset, {"fetch web"}),  # this guest keeps no host keys: its new overlay may start blank
    ],
)
def test_every_transfer_is_told_to_its_end(
    fleet: Fleet, deed: Callable[[Fleet, Operation], None], expected: set[str]
) -> None:
    told: list[Step] = []
    deed(fleet, Operation(told.append))
    ways = {step.task for step in told if step.unit == "bytes"}
    assert ways == expected
    for way in ways:
        steps = [step for step in told if step.task == way]
        assert all(step.total is not None and step.total >= SIZE for step in steps)
        assert steps[-1].done == steps[-1].total
