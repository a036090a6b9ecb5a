"""A pool of XenServer or XCP-ng hosts as one host of Skinnybox.

Nothing of a machine lies on this one but locks, copies on their way and what happened (events.py).
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from skinnybox.errors import Conflict, Unsupported
from skinnybox.hosts import events, reach
from skinnybox.hosts.base import Features
from skinnybox.hosts.events import DEFAULT_THRESHOLDS, Event, EventKind, Journal, Thresholds
from skinnybox.hosts.holding import Holding
from skinnybox.hosts.preferences import Preferences
from skinnybox.hosts.sharing import SealedLayer
from skinnybox.hosts.xapi import account, create, observe, tags
from skinnybox.hosts.xapi.address import Address, parse, password
from skinnybox.hosts.xapi.doors import Doors
from skinnybox.hosts.xapi.observed_events import ObservedEvents
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.hosts.xapi.pool_disks import PoolDisks
from skinnybox.issues import Check, Finding
from skinnybox.model import (
    Instance,
    Layer,
    Master,
    Report,
    Space,
    Status,
    Storage,
    Trouble,
)
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from skinnybox.hosts.xapi.master import MakeDisk
    from skinnybox.hosts.xapi.shared import Shared

PATIENCE = 60.0
_KNOCKING = 0.5
"""Seconds between two looks whether a machine answers by now, for who waits."""


def open_pool(name: str, state: Path, preferences: Preferences) -> "XapiHost":
    """Of `xapi://USER@POOL`. Nothing is asked of the pool, nor a password of anybody, before it is needed."""
    address = parse(name)
    return XapiHost(
        address,
        state,
        secret=lambda: password(address, os.environ),
        thresholds=preferences.thresholds,
        reach=preferences.reach,
    )


class XapiHost(PoolDisks):
    """Several of them may share a pool and a folder, also from several processes."""

    def __init__(
        self,
        address: Address,
        state: Path,
        *,
        secret: Callable[[], str],
        patience: float = PATIENCE,
        make_disk: "MakeDisk | None" = None,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        reach: bool = True,
        dial: reach.Dial = reach.dial,
    ) -> None:
        self._pool = Pool(address, secret, state, patience)
        self._templates, self._runs = state / "templates", state / "run"
        self._doors = Doors(dial, reach=reach)
        self._events = ObservedEvents(self._runs, thresholds, self._doors)
        self._make_disk = make_disk
        self._own = threading.local()

    @cached_property
    def features(self) -> Features:
        return account.features(self._pool)

    def add_master(self, master: Master, folder: Path, operation: Operation) -> None:
        self._add([self._master(master, folder)], operation)

    def _master(self, master: Master, folder: Path, of: Instance | None = None) -> "Shared":
        from skinnybox.hosts.xapi import master as masters
        from skinnybox.masters import disk

        return masters.shared(master, folder, self._make_disk or disk.make, of)

    def add_layers(self, layers: Sequence[SealedLayer], operation: Operation) -> None:
        from skinnybox.hosts.xapi import layers as of_layers

        self._add([of_layers.shared(*layer) for layer in layers], operation)

    def _add(self, wanted: Sequence["Shared"], operation: Operation, of: Instance | None = None) -> None:
        from skinnybox.hosts.xapi import shared

        def step(reference: str, done: float) -> None:
            operation.step(task="upload", done=int(100 * done), total=100, unit="%", detail=reference)

        shared.add(self._pool, wanted, lambda reference: partial(step, reference), of)

    def remove_master(self, master: Master) -> None:
        from skinnybox.hosts.xapi import shared

        shared.remove(self._pool, master.images, master.reference)

    def remove_layer(self, layer: Layer) -> None:
        from skinnybox.hosts.xapi import shared

        shared.remove(self._pool, layer.images, layer.reference)

    def refuse_names(self, names: Collection[str]) -> None:
        self._pool.things.refresh()
        self._pool.refuse_names(names)

    def define(self, instance: Instance) -> None:
        create.define(self._pool, instance)

    def delete(self, instance: Instance) -> None:
        from skinnybox.hosts.xapi import disks

        disks.delete(self._pool, instance)

    def start(self, instance: Instance, master: Master, folder: Path, operation: Operation) -> Status:
        from skinnybox.hosts.xapi import layers, power

        wanted = [self._master(master, folder, instance), *layers.of_machine(instance, master, folder)]
        self._pool.overlay(instance)
        self._add(wanted, operation, of=instance)
        power.start(self._pool, instance)
        found = self.statuses().get(instance.uuid)
        if found is None:
            raise Conflict(f"{instance.name} was switched off by somebody else")
        return found

    def shutdown(self, instance: Instance) -> None:
        from skinnybox.hosts.xapi import power

        power.shutdown(self._pool, instance)

    def power_off(self, instance: Instance) -> None:
        from skinnybox.hosts.xapi import power

        power.power_off(self._pool, instance)

    def reboot(self, instance: Instance) -> None:
        from skinnybox.hosts.xapi import power

        power.reboot(self._pool, instance)

    def records(self) -> Iterable[Instance]:
        self._pool.things.refresh()
        found = [tags.instance_from(record) for _, record in self._pool.ours().values()]
        return [instance for instance in found if instance is not None]

    def holdings(self) -> Iterable[Holding]:
        from skinnybox.hosts.xapi import stored

        return stored.found(self._pool, self._runs / "xapi")

    def leftovers(self, known: Collection[UUID]) -> Iterable[Finding]:
        from skinnybox.hosts.xapi import leftovers

        return leftovers.found(self._pool, known)

    def _refresh(self) -> None:
        self._pool.things.refresh()
        pulse = observe.pulse(self._pool)
        self._doors.knock(self._pool, pulse, self._events.ready)
        self._events.observe(self._pool, pulse)
        self._own.pulse = pulse

    def statuses(self) -> Mapping[UUID, Status]:
        self._refresh()
        return observe.statuses(self._pool)

    def troubles(self, instances: Iterable[Instance]) -> Mapping[UUID, Trouble]:
        return observe.troubles(self._pool, instances)

    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        self._refresh()
        found = observe.reports(self._pool, uuids, self._events.ready)
        create.take_orders_back(
            self._pool, {uuid: report.nonce for uuid, report in found.items() if report.ready}
        )
        return {
            uuid: replace(report, reachable=self._doors.answers(report)) for uuid, report in found.items()
        }

    def wait_change(self, timeout: float) -> None:
        """Of what this thread last saw. What else happens in the pool does not end it."""
        self._pool.begun.look()
        deadline = time.monotonic() + timeout
        self._pool.things.refresh()
        before = getattr(self._own, "pulse", None) or observe.pulse(self._pool)
        while observe.pulse(self._pool) == before and (left := deadline - time.monotonic()) > 0:
            if self._doors.opened():
                return
            self._pool.things.wait(min(left, _KNOCKING) if self._doors.shut else left)
            self._pool.things.refresh()

    def note_event(self, uuid: UUID, name: str, kind: EventKind, detail: str) -> None:
        with suppress(OSError):
            Journal(self._runs).write(uuid, name, kind, detail)

    def events(self, after: int = 0) -> Iterable[Event]:
        self._refresh()
        return events.read(self._runs, after)

    def console_log(self, uuid: UUID) -> bytes:
        hint = "XenCenter, XO Lite or `xe console` show the screen of a machine that runs"
        raise Unsupported("a pool keeps nothing of what its machines print", hint=hint)

    def console(self, uuid: UUID) -> AbstractContextManager[socket.socket]:
        if uuid not in self.statuses():
            raise Conflict("the machine is off: it has no console", hint="start it first")
        raise Unsupported(
            "the console of a pool's machine is a screen, not a line",
            hint="XenCenter, XO Lite or `xe console` show it; `skinnybox ssh` logs in",
        )

    def space(
        self, instances: Iterable[Instance], masters: Iterable[Master], layers: Iterable[Layer] = ()
    ) -> Space:
        return account.held(self._pool, list(instances), masters, layers)

    def storages(self, overlay: int, system: int) -> Sequence[Storage]:
        return account.storages(self._pool, overlay, system)

    def doctor(self) -> list[Check]:
        from skinnybox.hosts.xapi import doctor

        return doctor.check(self._pool)

    def close(self) -> None:
        self._doors.close()
        self._pool.begun.close()
        self._pool.sessions.close()
