import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.model import Network, Power, Report, Seed, Status, Trouble, image_uuid
from tests.samples import DIGEST, an_instance

NOW = datetime(2026, 11, 22, tzinfo=UTC)
INSTANCE = an_instance(seed=Seed(hostname="web-01", machine_id="0" * 32, generation=3), ssh_port=20000)
RUNNING = Status(power=Power.RUNNING, since=NOW, pid=1, nonce="aa")
READY = Report(
    ready=True,
    nonce="aa",
    instance=INSTANCE.uuid,
    images=(image_uuid(DIGEST),),
    seed_generation=3,
    received=NOW + timedelta(seconds=20),
)
WELL = MachineView(instance=INSTANCE, phase=Phase.DEFINED, status=RUNNING, report=READY)
FAILS = Trouble(brief="EIO", why="/a: EIO")
MAPPED = replace(
    WELL,
    instance=replace(INSTANCE, stack=replace(INSTANCE.stack, dax=True)),
    report=replace(READY, dax=True),
)


@pytest.mark.parametrize(
    ("machine", "condition"),
    [
        (WELL, Condition.READY),
        (replace(WELL, phase=Phase.CREATING, status=None), Condition.CREATING),
        (replace(WELL, phase=Phase.DELETING), Condition.DELETING),
        (replace(WELL, status=None), Condition.STOPPED),
        (replace(WELL, status=None, trouble=FAILS), Condition.DAMAGED),
        (replace(WELL, status=None, trouble=replace(FAILS, unreadable=True)), Condition.UNREADABLE),
        (replace(WELL, phase=Phase.DELETING, trouble=FAILS), Condition.DELETING),
        (replace(WELL, trouble=FAILS), Condition.READY),
        (replace(WELL, report=None), Condition.STARTING),
        (replace(WELL, report=replace(READY, reachable=True)), Condition.READY),
        (replace(WELL, report=replace(READY, reachable=False)), Condition.STARTING),
        (replace(WELL, report=replace(READY, reachable=False, images=())), Condition.MISMATCH),
        (replace(WELL, report=replace(READY, reachable=False, ready=False)), Condition.FAILED),
        (replace(WELL, report=replace(READY, nonce="of an earlier start")), Condition.STARTING),
        (replace(WELL, report=replace(READY, ready=False, reason="no disk")), Condition.FAILED),
        (replace(WELL, report=replace(READY, ready=False, checking=True)), Condition.STARTING),
        (replace(WELL, report=replace(READY, ready=False, checking=True, nonce="b")), Condition.STARTING),
        (replace(WELL, report=replace(READY, inactive_units=("a.service",))), Condition.READY),
        (replace(WELL, status=replace(RUNNING, power=Power.CRASHED, pid=None)), Condition.CRASHED),
        (replace(WELL, status=replace(RUNNING, power=Power.STALLED)), Condition.STALLED),
        (replace(WELL, report=replace(READY, images=(uuid.UUID(int=9),))), Condition.MISMATCH),
        (replace(WELL, report=replace(READY, images=())), Condition.MISMATCH),
        (replace(WELL, report=replace(READY, seed_generation=2)), Condition.MISMATCH),
        (replace(WELL, report=replace(READY, seed_generation=4)), Condition.READY),
        (replace(WELL, report=replace(READY, dax=True)), Condition.MISMATCH),
        (MAPPED, Condition.READY),
        (replace(MAPPED, report=replace(READY, dax=False)), Condition.MISMATCH),
        (replace(MAPPED, report=READY), Condition.MISMATCH),
    ],
)
def test_what_is_shown_follows_from_what_is_asked_seen_and_said(
    machine: MachineView, condition: Condition
) -> None:
    assert machine.condition is condition


def test_a_mismatch_says_what_was_booted() -> None:
    machine = replace(WELL, report=replace(READY, images=(uuid.UUID(int=9),)))
    assert machine.reason is not None
    assert str(uuid.UUID(int=9)) in machine.reason
    assert str(image_uuid(DIGEST)) in machine.reason


def test_a_kernel_that_silently_turned_dax_off_is_said() -> None:
    reason = replace(MAPPED, report=replace(READY, dax=False)).reason
    assert reason and "DAX" in reason


def test_a_guest_that_checks_itself_says_why_it_is_not_ready() -> None:
    checking = replace(
        WELL, report=replace(READY, ready=False, checking=True, reason="check fails: no route")
    )
    assert checking.reason == checking.not_ready == "check fails: no route"
    assert not checking.reported_failure and WELL.not_ready is None
    assert replace(WELL, report=replace(READY, ready=False, reason="no disk")).not_ready is None


def test_what_ran_before_a_rebase_and_does_not_now_is_said() -> None:
    machine = replace(WELL, report=replace(READY, inactive_units=("php.service", "a.service")))
    assert machine.reason == "not active since its rebase: php.service, a.service"
    assert machine.inactive_units == ("php.service", "a.service")


def test_what_is_ready_and_does_not_answer_is_said() -> None:
    shut = replace(READY, reachable=False, overlay_size=1000, overlay_free=1)
    machine = replace(WELL, report=shut)
    assert machine.reason == "its guest is ready, but nothing answers as ssh at 127.0.0.1:20000 yet"
    nowhere = replace(machine, instance=replace(INSTANCE, network=Network.BRIDGE, bridge="br0"))
    assert nowhere.reason == "its guest is ready, but has no address yet at which to reach it"
    assert replace(machine, report=replace(shut, reachable=None)).reason == "its overlay is full"


def test_boot_time_counts_from_power_on_to_the_report() -> None:
    assert WELL.boot_seconds == 20
    again = replace(READY, ready_since=READY.received, received=NOW + timedelta(hours=1))
    assert replace(WELL, report=again).boot_seconds == 20
    assert replace(WELL, report=None).boot_seconds is None
    assert replace(WELL, report=replace(READY, reachable=False)).boot_seconds is None
    ended = replace(RUNNING, power=Power.CRASHED, pid=None)
    assert replace(WELL, status=ended).boot_seconds is None
    assert WELL.address == "root@127.0.0.1:20000"


def test_what_a_guest_notes_that_is_ready_nevertheless() -> None:
    noted = replace(READY, reason="it has no perl")
    assert replace(WELL, report=noted).reason == "it has no perl"
    assert replace(WELL, report=replace(noted, inactive_units=("a.service",))).reason != "it has no perl"
    assert replace(WELL, report=noted).condition is Condition.READY


def test_a_full_overlay_is_said() -> None:
    report = replace(READY, overlay_size=1000, overlay_free=19)
    assert replace(WELL, report=report).reason == "its overlay is full"
    assert replace(WELL, report=replace(report, overlay_free=20)).reason is None
    report = replace(READY, data_size=1000, data_free=19)
    assert replace(WELL, report=report).reason == "its data disk is full"
    assert replace(WELL, report=replace(report, data_free=20)).reason is None


def test_what_is_not_there_yet_is_no_trouble() -> None:
    """Its place is looked at before its disks are made, and after they went."""
    for phase in (Phase.CREATING, Phase.DELETING):
        assert replace(WELL, phase=phase, status=None, trouble=FAILS).reason is None
    assert replace(WELL, trouble=FAILS).reason == FAILS.why
