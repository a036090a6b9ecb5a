"""Whether machines of a pool can be reached: asked once for each start, and remembered."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.hosts.events import EventKind
from skinnybox.hosts.reach import Way
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import at_work, furnished, host_on, make_one, plain_disk

New = Callable[..., Instance]
WAY = Way("10.0.0.5")


@pytest.fixture
def shut() -> Iterator[EmulatedPool]:
    """A pool whose guests say that they are ready, and do not answer."""
    with furnished(guest=at_work, ssh=False) as pool:
        yield pool


@pytest.fixture
def on(shut: EmulatedPool, tmp_path: Path) -> Iterator[Callable[[], XapiHost]]:
    """Another object of the same folder, each time."""
    opened: list[XapiHost] = []

    def one() -> XapiHost:
        opened.append(host_on(shut, tmp_path / "state", make_disk=plain_disk))
        return opened[-1]

    yield one
    for host in opened:
        host.close()


def started(host: XapiHost, instance: Instance, sealed: Sealed) -> Instance:
    make_one(host, instance, Operation())
    host.start(instance, *sealed, Operation())
    return instance


def reachable(host: XapiHost, instance: Instance) -> bool | None:
    return host.reports([instance.uuid])[instance.uuid].reachable


def test_who_was_reached_is_not_asked_again_before_its_next_start(
    shut: EmulatedPool, on: Callable[[], XapiHost], new_instance: New, sealed: Sealed
) -> None:
    instance = started(on(), new_instance(), sealed)
    assert reachable(on(), instance) is False and set(shut.ssh.asked) == {WAY}
    shut.ssh.open()
    assert reachable(on(), instance) is True
    shut.ssh.asked.clear()
    another = on()
    assert reachable(another, instance) is True and not shut.ssh.asked
    another.power_off(instance)
    assert another.statuses() == {}
    another.start(instance, *sealed, Operation())
    assert reachable(another, instance) is True and shut.ssh.asked == [WAY]
    assert [event.kind for event in on().events()] == [
        EventKind.STARTED,
        EventKind.READY,
        EventKind.ENDED,
        EventKind.STARTED,
        EventKind.READY,
    ]


@pytest.mark.parametrize("operation", ["hard_reboot", "clean_reboot"])
def test_who_is_restarted_past_us_is_asked_again(
    shut: EmulatedPool, on: Callable[[], XapiHost], new_instance: New, sealed: Sealed, operation: str
) -> None:
    """Its nonce is that of the start at which it was reached."""
    shut.ssh.open()
    instance = started(on(), new_instance(), sealed)
    host = on()
    assert reachable(host, instance) is True and shut.ssh.asked == [WAY]
    with shut.session() as api:
        getattr(api.VM, operation)(api.VM.get_by_name_label(instance.name)[0])
    host._pool.things.refresh(anew=True)
    assert reachable(host, instance) is True and shut.ssh.asked == [WAY, WAY]
    host._pool.things.refresh(anew=True)
    assert reachable(host, instance) is True and shut.ssh.asked == [WAY, WAY]


def test_one_that_is_never_reached_is_waited_for_once(
    on: Callable[[], XapiHost], new_instance: New, sealed: Sealed
) -> None:
    instance = started(on(), new_instance(), sealed)
    host = on()
    began = time.monotonic()
    host.statuses()
    assert 0.9 < time.monotonic() - began < 5
    began = time.monotonic()
    for _ in range(5):
        assert reachable(host, instance) is False
    assert time.monotonic() - began < 4  # waited for each time it is five seconds


def test_one_without_an_address_is_not_ready(
    shut: EmulatedPool, on: Callable[[], XapiHost], new_instance: New, sealed: Sealed
) -> None:
    shut.ssh.open()
    host = on()
    make_one(host, instance := new_instance(), Operation())
    shut.xapi.guest = _without_address(shut)
    host.start(instance, *sealed, Operation())
    assert reachable(host, instance) is False and not shut.ssh.asked
    with shut.database() as database:
        for reference, _ in database.where("VM_guest_metrics"):
            database.update("VM_guest_metrics", reference, networks={"0/ip": "10.0.0.5"})
    host._pool.things.refresh(anew=True)
    assert reachable(host, instance) is True and shut.ssh.asked == [WAY]


def _without_address(pool: EmulatedPool) -> Callable[[str], None]:
    def guest(vm: str) -> None:
        at_work(pool.xapi, vm)
        metrics = pool.xapi.database.get("VM", vm, "guest_metrics")
        pool.xapi.database.update("VM_guest_metrics", metrics, networks={})

    return guest


def test_a_change_of_the_door_ends_a_wait(
    shut: EmulatedPool, on: Callable[[], XapiHost], new_instance: New, sealed: Sealed
) -> None:
    instance = started(on(), new_instance(), sealed)
    host = on()
    assert reachable(host, instance) is False
    shut.ssh.open()
    began = time.monotonic()
    host.wait_change(30)
    assert time.monotonic() - began < 10
    assert reachable(host, instance) is True
