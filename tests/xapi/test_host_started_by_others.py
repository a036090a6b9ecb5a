"""Machines that somebody else starts and restarts: XenCenter, XO, Ansible, the pool after a power cut."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.hosts.xapi import tags, xenstore_data
from skinnybox.hosts.xapi.create import BLANK
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.xenstore_data import NONCE
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import SMALL, at_work, may_format

pytestmark = pytest.mark.image
GUEST = at_work


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One machine, `web`, that was never started."""
    fleet.create(["web"], "tiny", SMALL)
    return fleet


def by_another(pool: EmulatedPool, *operations: str) -> None:
    with pool.session() as api:
        vm = api.VM.get_by_name_label("web")[0]
        for operation in operations:
            getattr(api.VM, operation)(vm, *([False, False] if operation == "start" else []))


def told(pool: EmulatedPool) -> dict[str, str]:
    with pool.database() as database:
        [vm] = [record for _, record in database.where("VM", name_label="web")]
        return dict(vm["xenstore_data"])


def put(pool: EmulatedPool, name: str, key: str, value: str | None) -> None:
    with pool.database() as database:
        [vm] = [ref for ref, _ in database.where("VM", name_label="web")]
        database.put("VM", vm, name, key, value)


def newest(pool: EmulatedPool) -> tuple[str, dict[str, Any]]:
    """The overlay that counts."""
    with pool.database() as database:
        disks = [(ref, dict(each)) for ref, each in database.where("VDI") if tags.instance_of(each)]
    return max(disks, key=lambda each: tags.generation_of(each[1]))


def noted(pool: EmulatedPool) -> str:
    with pool.database() as database:
        [vm] = [record for _, record in database.where("VM", name_label="web")]
        return str(vm["other_config"][tags.START])


def seen(fleet: Fleet) -> MachineView:
    """Now, not as it was a moment ago."""
    host = fleet._host
    assert isinstance(host, XapiHost)
    host._pool.things.refresh(anew=True)
    return fleet.machine("web")


def test_a_first_start_past_us_comes_up(pool: EmulatedPool, fleet: Fleet) -> None:
    by_another(pool, "start")
    machine = seen(fleet)
    assert machine.condition is Condition.READY
    assert machine.boot_seconds is not None and machine.boot_seconds < 60
    assert f"{xenstore_data.PREFIX}{xenstore_data.FORMAT}" not in told(pool), "it has formatted its overlay"


def test_a_nonce_that_was_repeated_is_not_given_again(pool: EmulatedPool, fleet: Fleet) -> None:
    """The pool shows the report of the start before until the guest says something new."""
    made = noted(pool)
    by_another(pool, "start", "hard_shutdown")
    seen(fleet)
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    assert not noted(pool).startswith(made) and noted(pool).endswith(f" {made}")


def test_a_first_start_has_the_nonce_of_its_making(pool: EmulatedPool, fleet: Fleet) -> None:
    made = noted(pool)
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    nonce, started = noted(pool).split(" ")
    assert nonce == made == told(pool)[NONCE] and datetime.fromisoformat(started).tzinfo


def test_a_machine_that_was_told_no_nonce(pool: EmulatedPool, fleet: Fleet) -> None:
    """Those of an earlier version."""
    put(pool, "other_config", tags.START, None)
    put(pool, "xenstore_data", NONCE, None)
    by_another(pool, "start")
    assert seen(fleet).condition is Condition.READY


def test_who_was_told_a_nonce_repeats_it(pool: EmulatedPool, fleet: Fleet) -> None:
    by_another(pool, "start")
    put(pool, "other_config", tags.START, "0" * 32)
    assert seen(fleet).condition is Condition.STARTING
    with pool.database() as database:
        [vm] = [ref for ref, _ in database.where("VM", name_label="web")]
    pool.guest_writes(vm, {"data/ts": "1 ready - - 1", "data/updated": "1"})
    assert seen(fleet).condition is Condition.STARTING


NOTED = ["VM.remove_from_other_config", "VM.add_to_other_config"]
HEARD = ["VM.remove_from_xenstore_data", "VM.add_to_xenstore_data"]


@pytest.mark.parametrize(
    ("started", "call"), [*((ran, call) for ran in (False, True) for call in (*NOTED, "VM.start")),
                          *((True, call) for call in HEARD)]
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 2])
def test_a_start_past_us_after_one_of_ours_was_killed(
    pool: EmulatedPool, fleet: Fleet, started: bool, call: str, times: int
) -> None:
    """It has noted the nonce of a start that the machine had not heard of yet, or of which it heard half, or
    lost what was noted before. A first start has the nonce that the machine got at its making."""
    if started:
        assert [outcome.error for outcome in fleet.start(["web"])] == [None]
        by_another(pool, "hard_shutdown")
        seen(fleet)
    for _ in range(times):
        fault = pool.faults.drop_before(call, times=1 << 20)
        assert fleet.start(["web"])[0].error is not None and fault.met
        pool.faults.clear()
        seen(fleet)
    by_another(pool, "start")
    assert seen(fleet).condition is Condition.READY
    assert f"{xenstore_data.PREFIX}{xenstore_data.FORMAT}" not in told(pool)


def switched(pool: EmulatedPool, power: str) -> None:
    """By somebody else, and the pool still shows what its guest said before."""
    with pool.database() as database:
        [vm] = [ref for ref, _ in database.where("VM", name_label="web")]
        database.set("VM", vm, "power_state", power)


@pytest.mark.parametrize(
    "call",
    [
        "VDI.add_to_other_config", "VBD.destroy", "VBD.create", "VM.remove_from_other_config",
        "VM.add_to_other_config", "VM.remove_from_xenstore_data",
    ],
)  # fmt: skip
def test_a_reset_that_was_killed_before_it_told_of_the_overlay(
    pool: EmulatedPool, fleet: Fleet, call: str
) -> None:
    """What the guest said of the old overlay is no word of the new one, whichever nonce it had: taken for
    that, the order to format would be gone for good, and the machine would never come up again."""
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    assert seen(fleet).condition is Condition.READY
    assert [outcome.error for outcome in fleet.kill(["web"])] == [None]
    fault = pool.faults.drop_before(call, times=1 << 20)
    assert fleet.overlays.reset(["web"])[0].error is not None and fault.met
    pool.faults.clear()
    switched(pool, "Running")
    if call == "VM.remove_from_xenstore_data":
        assert seen(fleet).condition is Condition.STARTING
    seen(fleet)
    assert BLANK in newest(pool)[1]["other_config"]
    switched(pool, "Halted")
    seen(fleet)
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    assert seen(fleet).condition is Condition.READY
    reference, record = newest(pool)
    assert BLANK not in record["other_config"] and record["VBDs"]
    with pool.file_of(reference).open("rb") as disk:
        assert disk.read(4096).strip(b"\0"), "it was formatted"


@pytest.mark.parametrize("operations", [("clean_reboot",), ("hard_shutdown", "start")])
def test_a_restart_past_us(pool: EmulatedPool, fleet: Fleet, operations: tuple[str, ...]) -> None:
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    long_ago = datetime.now(UTC) - timedelta(days=3)
    nonce, _ = noted(pool).split(" ")
    put(pool, "other_config", tags.START, f"{nonce} {long_ago.isoformat()}")
    by_another(pool, *operations)
    machine = seen(fleet)
    assert machine.condition is Condition.READY
    assert machine.status and machine.status.since and machine.status.since > long_ago + timedelta(days=2)
    assert machine.boot_seconds is not None and machine.boot_seconds < 60


def test_a_fresh_overlay_comes_with_a_fresh_nonce(pool: EmulatedPool, fleet: Fleet) -> None:
    """What the guest said of the old one is still shown in the pool; who starts it then must not have the
    order to format taken away by that."""
    by_another(pool, "start")
    assert seen(fleet).condition is Condition.READY
    before = told(pool)[NONCE]
    by_another(pool, "hard_shutdown")
    seen(fleet)
    assert [outcome.error for outcome in fleet.overlays.reset(["web"])] == [None]
    after = told(pool)
    assert after[NONCE] != before and may_format(after, fleet.machine("web").instance)
    by_another(pool, "start")
    assert seen(fleet).condition is Condition.READY
