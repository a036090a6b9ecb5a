"""A state folder whose machines are in one pool, and an address that leads to another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Blocked
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.hosts.xapi.identity import POOL
from skinnybox.model import Overlay
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.samples import seal
from tests.xapi.furnished import furnished, host_on, plain_disk

pytestmark = pytest.mark.image
SMALL = Specification(overlay=Overlay(size=32 * MIB), memory=256 * MIB, cpus=1, any_allocation=True)


def fleet(pool: EmulatedPool, state: Path) -> Fleet:
    return Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=1)


def test_nothing_is_done_or_forgotten_there(pool: EmulatedPool, tmp_path: Path) -> None:
    state = tmp_path / "state"
    seal(state, tmp_path, "tiny", "1")
    with fleet(pool, state) as first:
        first.create(["web"], "tiny", SMALL)
    with furnished() as other:
        with fleet(other, state) as lost:
            deeds: list[Callable[[], object]] = [
                lost.machines,
                lambda: lost.delete(["web"]),
                lambda: lost.create(["db"], "tiny", SMALL),
            ]
            for deed in deeds:
                with pytest.raises(Blocked, match="are in the pool"):
                    deed()
        host = host_on(other, state)
        with pytest.raises(Blocked):
            repair.repair(state, host)
        host.close()
    with fleet(pool, state) as again:
        assert [machine.condition.value for machine in again.machines()] == ["stopped"]
        assert [outcome.error for outcome in again.delete(["web"])] == [None]


def test_machines_that_did_move_are_found(pool: EmulatedPool, tmp_path: Path) -> None:
    """As when a host with all its machines joins another pool: that has another id."""
    state = tmp_path / "state"
    seal(state, tmp_path, "tiny", "1")
    with fleet(pool, state) as first:
        first.create(["web"], "tiny", SMALL)
    known = (state / POOL).read_text()
    with pool.database() as database:
        (reference,) = database.tables["pool"]
        database.set("pool", reference, "uuid", "0d2b0a3e-6f1f-4c4b-9a51-3b1c0f0b7c55")
    with fleet(pool, state) as again, pytest.raises(Blocked, match=known.strip()):
        again.machines()
    (state / POOL).unlink()
    with fleet(pool, state) as again:
        assert [machine.name for machine in again.machines()] == ["web"]
    assert (state / POOL).read_text() != known
