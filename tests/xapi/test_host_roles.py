"""What users of a pool may do by their roles: an operator starts machines, who may not is told at once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Blocked
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi import xenstore_data
from skinnybox.model import Overlay
from skinnybox.sizes import MIB
from tests.emulators.xapi import PASSWORD, EmulatedPool
from tests.samples import seal
from tests.xapi.furnished import all_of, at_work, furnished, host_on, plain_disk

pytestmark = pytest.mark.image
SMALL = Specification(overlay=Overlay(size=32 * MIB), memory=256 * MIB, any_allocation=True)
As = Callable[[str], Fleet]


@pytest.fixture
def pool() -> Iterator[EmulatedPool]:
    with furnished(guest=at_work) as opened:
        for role in ("vm-operator", "vm-admin", "vm-power-admin"):
            opened.add_user(role, PASSWORD, role)
        yield opened


@pytest.fixture
def as_user(pool: EmulatedPool, tmp_path: Path) -> Iterator[As]:
    """The same state folder, logged in as somebody with that role, or root; the machines a and b are made."""
    seal(tmp_path / "state", tmp_path, "tiny", "1")
    opened: list[Fleet] = []

    def log_in(user: str) -> Fleet:
        host = host_on(pool, tmp_path / "state", make_disk=plain_disk, user=user)
        opened.append(Fleet(tmp_path / "state", host, boots_at_once=1).__enter__())
        return opened[-1]

    log_in("root").create(["a", "b"], "tiny", SMALL)
    yield log_in
    for fleet in opened:
        fleet.__exit__(None, None, None)


def records(pool: EmulatedPool) -> list[dict[str, object]]:
    kept = ("name_label", "memory_static_max", "VCPUs_max", "other_config", "xenstore_data")
    return [{key: each[key] for key in kept} for each in all_of(pool, "VM") if each["name_label"] in "ab"]


@pytest.mark.parametrize("role", ["vm-operator", "vm-admin", "vm-power-admin"])
def test_who_may_start_machines_can(pool: EmulatedPool, as_user: As, role: str) -> None:
    fleet = as_user(role)
    for _ in range(2):
        assert [outcome.error for outcome in fleet.start(["a", "b"])] == [None, None]
        assert {machine.condition for machine in fleet.machines()} == {Condition.READY}
        assert [outcome.error for outcome in fleet.stop(["a"], Stopping(timeout=20.0))] == [None]
        assert [outcome.error for outcome in fleet.kill(["b"])] == [None]


def test_an_operator_starts_none_that_has_to_be_told_something(pool: EmulatedPool, as_user: As) -> None:
    """Of an older seed, say: it would be another machine than its record says."""
    with pool.database() as database:
        vm = next(ref for ref, _ in database.where("VM", name_label="a"))
        database.put("VM", vm, "xenstore_data", f"{xenstore_data.PREFIX}seed-0", "old")
    a, b = as_user("vm-operator").start(["a", "b"])
    assert isinstance(a.error, Blocked) and "may not do that" in a.error.message
    assert b.error is None


def test_what_a_guest_wrote_keeps_no_operator_from_starting_it(pool: EmulatedPool, as_user: As) -> None:
    """Keys that nobody told it: only what it would be another machine by matters."""
    with pool.database() as database:
        vm = next(ref for ref, _ in database.where("VM", name_label="a"))
        for key in ("started", "junk"):
            database.put("VM", vm, "xenstore_data", f"{xenstore_data.PREFIX}{key}", "f" * 32)
        vm = next(ref for ref, _ in database.where("VM", name_label="b"))
        database.put("VM", vm, "xenstore_data", f"{xenstore_data.PREFIX}{xenstore_data.FORMAT}", "x")
    a, b = as_user("vm-operator").start(["a", "b"])
    assert a.error is None and isinstance(b.error, Blocked)


def test_an_operator_attaches_nothing(pool: EmulatedPool, as_user: As) -> None:
    with pool.session() as api:
        for drive in api.VM.get_VBDs(api.VM.get_by_name_label("a")[0]):
            api.VBD.destroy(drive)
    [outcome] = as_user("vm-operator").start(["a"])
    assert isinstance(outcome.error, Blocked) and outcome.error.hint and "vm-admin" in outcome.error.hint


@pytest.mark.parametrize("runs", [False, True])
def test_memory_that_the_role_may_not_change(pool: EmulatedPool, as_user: As, runs: bool) -> None:
    """Refused before anything of any of them is changed, and not by the start after it."""
    fleet = as_user("vm-admin")
    if runs:
        assert [outcome.error for outcome in fleet.start(["*"])] == [None, None]
    before = records(pool)
    for outcome in fleet.set(["*"], {"memory": 512 * MIB, "cpus": 2}):
        assert isinstance(outcome.error, Blocked) and "memory" in outcome.error.message
        assert outcome.error.hint and "vm-power-admin" in outcome.error.hint
    assert records(pool) == before
    assert {machine.instance.memory for machine in fleet.machines()} == {256 * MIB}
    assert [outcome.error for outcome in fleet.set(["*"], {"cpus": 2})] == [None, None]
    power = as_user("vm-power-admin")
    assert [outcome.error for outcome in power.set(["*"], {"memory": 512 * MIB})] == [None, None]
    assert {machine.instance.memory for machine in power.machines()} == {512 * MIB}
