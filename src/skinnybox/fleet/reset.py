"""A fresh overlay for a stopped machine: what it made its own is gone, its identity stays."""

from collections.abc import Callable
from dataclasses import replace

from skinnybox.delta.reset import Fresh, fresh_contents
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.fleet import data_disk, encrypted
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.hosts.base import Contents, Host
from skinnybox.model import Instance
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import read_identity
from skinnybox.overlays.journal import replayed
from skinnybox.overlays.seed import seed_capacity


def reset(
    host: Host,
    catalog: Catalog,
    instance: Instance,
    operation: Operation,
    alter: Callable[[Instance], Instance] = lambda now: now,
) -> Instance:
    """Returns it as it is recorded then: what `alter` makes of how it is now, in the next generation.

    Killed between overlay and record, the guest has a newer seed than recorded, and that is well: the next
    reset makes an overlay of that generation again.
    """
    with leased(host, catalog, instance, Doing.RESET) as held:
        wanted = alter(held.instance)
        held.hold(wanted)
        fresh = _fresh(host, wanted, operation)
        seed_capacity(fresh.seed)  # refused before anything is made
        with data_disk.ensured(host, held, wanted, operation, [wanted.overlay]):
            if not fresh.identity:
                # Before it is in place: the next report pins them again, and wrong ones would lock the user
                # out.
                catalog.unpin_host_keys(instance.uuid)
            contents = Contents(base=fresh.base, seed=fresh.seed, identity=fresh.identity)
            host.replace_overlay(fresh.instance, contents, operation)
            return held.commit(replace(fresh.instance, half_restored=None))


def _fresh(host: Host, instance: Instance, operation: Operation) -> Fresh:
    """A damaged overlay costs the machine its ssh host keys, never the reset; an encrypted one does, too,
    whatever its guest has written over it that could be read."""
    if encrypted.is_opaque(instance):
        host.refuse_used(instance)
        return fresh_contents(instance, b"")
    with host.open_overlay(instance, operation) as overlay:
        try:
            with replayed(overlay) as image:
                return fresh_contents(instance, read_identity(image, instance.uuid))
        except (Corrupt, Unsupported):
            return fresh_contents(instance, b"")
