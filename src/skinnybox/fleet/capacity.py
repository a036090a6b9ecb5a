"""The space account: what is promised, what is written, what is free, and what fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skinnybox.hosts.base import Host
from skinnybox.hosts.base import Storage as Storage
from skinnybox.model import Allocation, Instance, Master, Space
from skinnybox.sizes import GIB

HEADROOM = 0.02
"""Part of the disk that is never promised: a full disk stops more than machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Bytes, but for `fit`: how many more machines with a reserved overlay of `fit_size` there is room for.

    `full_copies` is what as many ordinary machines would have taken: one unpacked tree each, and what their
    overlays hold. `storages` is what one more machine costs where that is not simply its overlay's size, and
    what a clone of an ordinary machine with a disk of `system` bytes would.
    """

    space: Space
    full_copies: int
    taken: int
    fit: int
    fit_size: int
    storages: Sequence[Storage] = ()
    system: int = 0


def taken_by(host: Host, size: int) -> int:
    """What an overlay of `size` bytes takes of this host's store when it is written full."""
    return next((storage.full for storage in host.storages(size, 0) if storage.chosen), size)


def of_host(
    host: Host, instances: Sequence[Instance], masters: Sequence[Master], fit_size: int = GIB
) -> Account:
    """An ordinary machine's disk has room for the largest master's files, and for what an overlay holds."""
    found = account(host.space(instances, masters), instances, masters, fit_size)
    system = max((master.tree_size for master in masters), default=0) + fit_size
    storages = host.storages(fit_size, system)
    fit = fits(found.space, taken_by(host, fit_size))
    return replace(found, fit=fit, storages=storages, system=system)


def account(
    space: Space, instances: Sequence[Instance], masters: Sequence[Master], fit_size: int = GIB
) -> Account:
    trees = {master.id: master.tree_size for master in masters}
    copies = sum(trees.get(instance.stack.master, 0) for instance in instances)
    return Account(
        space=space,
        full_copies=copies + space.written,
        taken=space.masters + space.written + space.snapshots,
        fit=fits(space, fit_size),
        fit_size=fit_size,
    )


def fits(space: Space, size: int) -> int:
    """How many more reserved overlays of this size the store can keep its promise to."""
    return max(0, space.free - int(space.total * HEADROOM)) // size


def promised(instances: Sequence[Instance], allocation: Allocation) -> int:
    return sum(i.overlay.size for i in instances if i.overlay.allocation is allocation)
