"""What every host promises about machines that run. On QEMU a guest of a few megabytes is really booted."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, Unsupported
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.events import EventKind
from skinnybox.model import Instance, Master, Power, Report
from skinnybox.operation import Operation
from tests.pace import within

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
Reopen = Callable[[], Host]
READY = 60.0
"""Seconds; a guest takes four here when nobody else wants the processor."""


@pytest.fixture
def instance(running_host: Host, new: New, contents_of: ContentsOf) -> Instance:
    made = new()
    running_host.create_overlay(made, contents_of(made), Operation())
    running_host.define(made)
    return made


def reported(host: Host, instance: Instance, seconds: float = READY) -> Report:
    deadline = time.monotonic() + within(seconds)
    while time.monotonic() < deadline:
        status = host.statuses().get(instance.uuid)
        found = host.reports([instance.uuid]).get(instance.uuid)
        if found is not None:
            return found
        assert status is not None and status.power is Power.RUNNING, host.console_log(instance.uuid)
        host.wait_change(1.0)
    raise AssertionError(f"no report; the console ends: {host.console_log(instance.uuid)[-2000:]!r}")


def stopped(host: Host, instance: Instance, seconds: float = READY) -> None:
    deadline = time.monotonic() + within(seconds)
    while instance.uuid in host.statuses():
        assert time.monotonic() < deadline, host.console_log(instance.uuid)[-2000:]
        host.wait_change(1.0)


def printed(host: Host, instance: Instance, words: bytes, seconds: float = READY) -> None:
    deadline = time.monotonic() + within(seconds)
    while words not in host.console_log(instance.uuid):
        assert time.monotonic() < deadline, host.console_log(instance.uuid)[-2000:]
        time.sleep(0.05)


def test_a_life(
    running_host: Host,
    reopen: Reopen,
    instance: Instance,
    master: Master,
    bootable: Path,
    contents_of: ContentsOf,
) -> None:
    """One boot serves all that can be asked of a running machine."""
    host = running_host
    assert host.usage([instance]) == {}
    status = host.start(instance, master, bootable, Operation())
    early = host.usage([instance]).get(instance.uuid)
    assert status.power is Power.RUNNING and status.pid and status.nonce and status.since
    assert host.statuses() == {instance.uuid: status}
    report = reported(host, instance)
    assert report.ready and report.instance == instance.uuid and report.nonce == status.nonce
    assert report.received is not None and report.received >= status.since
    now = host.usage([instance]).get(instance.uuid)  # where a host tells it at all
    assert (early is None) == (now is None)
    if early and now:
        assert now.cpu >= early.cpu >= 0 and now.memory >= 0
        assert (now.cpu > 0) == host.features.boots == (now.memory > 0)

    with pytest.raises(Conflict):
        host.start(instance, master, bootable, Operation())
    with pytest.raises(Conflict), host.open_overlay(instance, Operation()):
        pass
    with pytest.raises(Conflict):
        host.replace_overlay(instance, contents_of(instance), Operation())
    with pytest.raises(Conflict):
        host.delete(instance)

    host.close()
    found_again = reopen()
    assert found_again.statuses() == {instance.uuid: status}
    assert found_again.reports([instance.uuid])[instance.uuid] == report
    if found_again.features.console:
        printed(found_again, instance, b"ready")
    found_again.shutdown(instance)
    stopped(found_again, instance)
    assert found_again.usage([instance]) == {}
    found_again.shutdown(instance)
    with found_again.open_overlay(instance, Operation()):
        pass


def test_the_plug_and_a_new_start(
    running_host: Host, instance: Instance, master: Master, bootable: Path
) -> None:
    host = running_host
    first = host.start(instance, master, bootable, Operation())
    host.power_off(instance)
    assert host.statuses() == {}
    host.power_off(instance)
    second = host.start(instance, master, bootable, Operation())
    assert second.nonce != first.nonce
    assert reported(host, instance).nonce == second.nonce
    host.power_off(instance)
    host.delete(instance)
    assert list(host.records()) == []


def test_the_console_goes_both_ways(
    running_host: Host, instance: Instance, master: Master, bootable: Path
) -> None:
    host = running_host
    host.start(instance, master, bootable, Operation())
    reported(host, instance)
    if not host.features.console:
        with pytest.raises(Unsupported), host.console(instance.uuid):
            pass
        return
    with host.console(instance.uuid) as one, host.console(instance.uuid) as two:
        one.sendall(b"echo 6*7 is $((6*7))\n")
        one.settimeout(within(READY))
        seen = b""
        while b"6*7" not in seen:
            seen += one.recv(4096)
        assert two.fileno() >= 0
    host.power_off(instance)
    with pytest.raises(Conflict), host.console(instance.uuid):
        pass


def test_waiting_ends_when_something_changed(
    running_host: Host, instance: Instance, master: Master, bootable: Path
) -> None:
    host = running_host
    began = time.monotonic()
    host.wait_change(0.2)
    assert 0.15 < time.monotonic() - began < 5
    host.start(instance, master, bootable, Operation())
    reported(host, instance)
    began = time.monotonic()
    host.shutdown(instance)
    while host.statuses() and time.monotonic() < began + within(READY):
        host.wait_change(within(READY))
    assert time.monotonic() - began < within(READY) / 2


def test_what_happened_is_told(
    running_host: Host, reopen: Reopen, instance: Instance, master: Master, bootable: Path
) -> None:
    host = running_host
    assert list(host.events()) == []
    host.start(instance, master, bootable, Operation())
    reported(host, instance)
    host.shutdown(instance)
    stopped(host, instance)
    told = list(reopen().events())
    assert [event.kind for event in told] == [EventKind.STARTED, EventKind.READY, EventKind.ENDED]
    assert {(event.uuid, event.name) for event in told} == {(instance.uuid, instance.name)}
    assert [event.number for event in told] == [1, 2, 3]
    assert told == sorted(told, key=lambda event: event.time)
    assert list(host.events(after=2)) == told[2:]
    host.delete(instance)
    assert list(host.events()) == told
