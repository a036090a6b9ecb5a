"""What becomes known of what happens to machines in a pool."""

import time
from collections.abc import Callable
from pathlib import Path

from skinnybox.hosts.events import EventKind, Thresholds
from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import PASSWORD, EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import furnished, make_one, plain_disk


def running(pool: EmulatedPool) -> tuple[str, Record]:
    with pool.database() as database:
        (found,) = database.where("VM", is_control_domain=False, is_a_template=False)
        return found


def host_of(pool: EmulatedPool, state: Path) -> XapiHost:
    address = Address(user="root", url=pool.url)
    thresholds = Thresholds(warning=80, critical=95)
    return XapiHost(address, state, secret=lambda: PASSWORD, make_disk=plain_disk, thresholds=thresholds)


def test_a_full_overlay_is_told_once(
    new_instance: Callable[..., Instance], sealed: Sealed, tmp_path: Path
) -> None:
    with furnished() as pool:
        instance = new_instance()
        host = host_of(pool, tmp_path / "state")
        make_one(host, instance, Operation())
        host.start(instance, *sealed, Operation())
        vm, record = running(pool)
        nonce = record["xenstore_data"]["vm-data/skinnybox/nonce"]

        def used(percent: int) -> list[EventKind]:
            word = f"1 ready {nonce} - 1 dax=off overlay=1000/{1000 - 10 * percent}"
            pool.guest_writes(vm, {"data/ts": word, "data/updated": "1"})
            opened = host_of(pool, tmp_path / "state")  # as the next command
            kinds = [event.kind for event in opened.events()]
            opened.close()
            return kinds[2:]

        told = [EventKind.OVERLAY_WARNING]
        assert used(50) == []
        ready = next(event.time for event in host.events() if event.kind is EventKind.READY)
        time.sleep(1.1)  # the pool's clock has whole seconds
        assert used(80) == used(79) == told
        again = host_of(pool, tmp_path / "state")
        (report,) = again.reports([instance.uuid]).values()
        assert report.received is not None and report.received <= ready  # not when it last said anything
        again.close()
        told.append(EventKind.OVERLAY_CRITICAL)
        assert used(96) == used(92) == told
        told.append(EventKind.OVERLAY_RECOVERED)
        assert used(10) == told
        for _ in range(30):
            used(99), used(1)
        assert len(used(99)) < 30  # a guest that lies back and forth
        host.power_off(instance)
        assert [event.kind for event in host.events()][-1] is EventKind.ENDED
        host.close()
