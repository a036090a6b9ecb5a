"""What machines cost in calls, and that a list of thousands is one."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.hosts.xapi import build, tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool, vms
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import furnished, host_on, make_one, plain_disk

SHARED = ("event.from", "session.login_with_password", "session.logout")
MOST_CALLS = 14
"""Two of them note its start where no guest can write, three take its order to format back, of which
the place where it reads is set as a whole, and so read before."""


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.full)])
def test_calls_for_each_machine(
    count: int, new_instance: Callable[..., Instance], sealed: Sealed, tmp_path: Path
) -> None:
    with furnished(host_memory=1 << 40) as pool:
        host = host_on(pool, tmp_path / "state", make_disk=plain_disk)
        host.add_master(*sealed, Operation())
        pool.log.clear()
        began = time.monotonic()
        for number in range(count):
            instance = new_instance(f"web-{number:03}")
            make_one(host, instance, Operation())
            host.start(instance, *sealed, Operation())
            assert instance.uuid in host.reports([instance.uuid])
        seconds = time.monotonic() - began
        calls = Counter(pool.log.methods())
        looks = calls["event.from"]
        own = sum(number for name, number in calls.items() if name not in SHARED)
        tasks = pool.log.tasks()
        host.close()
    print(
        f"\n{count} machines, made, started and ready, each: {own / count:g} calls, {tasks / count:g} tasks, "
    )
    print(f"{looks / count:g} looks at the event stream, {1000 * seconds / count:.0f} ms; {dict(calls)}")
    assert own <= MOST_CALLS * count and tasks <= count


def machines(pool: EmulatedPool, count: int, new_instance: Callable[..., Instance], state: Path) -> None:
    """Of this state folder, straight into the database: calls are not what is measured."""
    host = host_on(pool, state)
    fleet = host._pool.identity.own()
    host.close()
    for number in range(count):
        instance = new_instance(f"web-{number:04}")
        values = build.machine(instance, fleet, tags.record_text(instance), None, blank=True)
        with pool.database() as database:
            vm = vms.make(pool.xapi, {**values, **{key: int(values[key]) for key in NUMBERS}})
            database.set("VM", vm, "power_state", "Running")
            database.set("VM", vm, "domid", number + 1)


NUMBERS = [f"memory_{each}" for each in ("static_min", "static_max", "dynamic_min", "dynamic_max")]
NUMBERS += ["VCPUs_max", "VCPUs_at_startup", "user_version"]


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.full)])
def test_a_list_is_one_call(count: int, new_instance: Callable[..., Instance], tmp_path: Path) -> None:
    with furnished() as pool:
        machines(pool, count, new_instance, tmp_path / "state")
        host: XapiHost = host_on(pool, tmp_path / "state")
        pool.log.clear()
        began = time.monotonic()
        statuses = host.statuses()
        assert len(statuses) == count and host.reports(statuses) == {}
        print(f"\n{count} machines listed in {time.monotonic() - began:.2f} s: {pool.log.methods()}")
        assert pool.log.methods() == ["session.login_with_password", "event.from"]
        assert {instance.uuid for instance in host.records()} == set(statuses)
        host.close()


def test_only_what_changed_is_sent(new_instance: Callable[..., Instance], tmp_path: Path) -> None:
    with furnished() as pool:
        machines(pool, 3, new_instance, tmp_path / "state")
        host = host_on(pool, tmp_path / "state")
        before = host.statuses()
        with pool.database() as database:
            first = next(ref for ref, each in database.where("VM") if tags.instance_of(each))
            gone = uuid.UUID(database.get("VM", first, "other_config")[tags.INSTANCE])
            database.set("VM", first, "power_state", "Halted")
        host.wait_change(10.0)
        assert set(host.statuses()) == set(before) - {gone}
        with pool.database() as database:
            database.destroy("VM", first)
        time.sleep(1.1)
        host.statuses()
        assert gone not in {instance.uuid for instance in host.records()}
        host.close()
