"""The one way in which a machine that exists is changed: taken, changed, and given back in one commit.

    with leased(host, catalog, instance, Doing.GROW) as held:
        host.rebuild_overlay(held.instance, ...)
        held.commit(replace(held.instance, ...))

The commit writes the host's record first and the catalog's row second, and both only while the machine is
still ours. So whatever kills us, the record on the host is never behind the row (but by what was announced,
and not begun), and who finds a lease whose owner is dead takes the machine to be what that record says
(`as_left`).
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from skinnybox.errors import Conflict, NotFound, SkinnyboxError
from skinnybox.fleet import trial_left, trials
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.leases import Lease
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.hosts.base import Host
from skinnybox.model import Instance


class Held:
    """A machine that nobody else changes; `instance` is how it is now. `tellings`: how often the host may
    have heard of another, whatever came of that. `was_interrupted`: somebody died over it."""

    def __init__(self, host: Host, catalog: Catalog, lease: Lease, instance: Instance) -> None:
        self._host = host
        self._catalog = catalog
        self._lease = lease
        self.instance = instance
        self.is_ended = False
        self.was_interrupted = lease.interrupted
        self.tellings = 0

    def hold(self, instance: Instance) -> None:
        """Keep its ports and addresses for it, before a disk is touched that would tell of them. Conflict
        when one is another machine's."""
        self._catalog.hold_ports(self._lease, instance)

    def commit(self, instance: Instance) -> Instance:
        """It is so from now on; ends the lease. Conflict when a port or an address is another machine's, or
        when the machine is not ours any more: then nothing was written."""
        self._write(instance, end=True)
        self.is_ended = True
        return instance

    def record(self, instance: Instance) -> None:
        """Write it down already, and go on: for what must be known of it before its disk is touched."""
        self._write(instance, end=False)

    def give_up(self) -> Lease:
        """It is only to be deleted from now on, by who has what this returns; ends the lease."""
        self._catalog.turn(self._lease, Doing.DELETE)
        self.is_ended = True
        return self._lease

    def announce(self, instance: Instance) -> None:
        """The same, but the row first: for what is to be done next, and must be known from its first moment
        on. Killed between the two nothing was done yet, and who takes the machine next finds it as it was on
        the host; so does this, when it fails."""
        before = self.instance
        try:
            self._catalog.record(self._lease, instance, end=False)
            self._tell(instance)
        except BaseException:
            with contextlib.suppress(SkinnyboxError):
                self.record(before)
            raise
        self.instance = instance

    def _write(self, instance: Instance, *, end: bool) -> None:
        self._catalog.hold_ports(self._lease, instance)
        self._tell(instance)
        self._catalog.record(self._lease, instance, end=end)
        self.instance = instance

    def _tell(self, instance: Instance) -> None:
        self.tellings += 1
        self._host.define(instance)


@contextmanager
def leased(host: Host, catalog: Catalog, instance: Instance, doing: Doing) -> Iterator[Held]:
    """Nobody else changes or deletes it during the block; without a commit it is given back as it was.
    Conflict, naming who has it; NotFound when it was deleted meanwhile; Blocked for what its rebase has to be
    decided for first."""
    lease = catalog.take(instance.uuid, instance.name, doing)
    held = Held(host, catalog, lease, lease.instance or instance)
    try:
        before = held.instance
        left = as_left(host, before) if lease.interrupted else trial_left.judged(host, before)
        if left != before:
            held.record(left)
            trial_left.clear(host, before, left)
        trials.refuse(held.instance, doing)
        yield held
    finally:
        if not held.is_ended:
            # What stopped us is what the user must hear; not given back, it is as if we had been killed.
            with contextlib.suppress(SkinnyboxError):
                catalog.release(lease, Phase.DEFINED)


def as_left(host: Host, instance: Instance) -> Instance:
    """What somebody who died while changing it left: what its record on the host says, on the master that its
    overlay is of, with the sizes that its disks really have. One that is in use cannot be asked: its size is
    put right another time."""
    for holding in host.holdings():
        if holding.uuid == instance.uuid and holding.instance and holding.instance.uuid == instance.uuid:
            instance = holding.instance
    instance = trial_left.judged(host, instance)
    for kind, disk in instance.disks.items():
        with contextlib.suppress(NotFound, Conflict):
            size = host.overlay_size(instance, kind)
            if size > disk.size:
                instance = instance.with_size(kind, size)
    return instance
