"""The space account: what is promised, what is written, what is free, and what fits.

No byte is given away twice: what sparse overlays were promised and do not have yet is not free for a reserved
one. `create` is less strict, and refuses only what the disk has no room for now: whoever promises more than
there is has chosen so.
"""

from collections.abc import Sequence

from skinnybox.hosts.base import Host
from skinnybox.model import Allocation, Instance, Layer, Master, Space, Storage
from skinnybox.sizes import GIB, MIB
from skinnybox.values import dataclass, replace

HEADROOM = 0.02
"""Part of the disk that is never promised: a full disk stops more than machines."""
LEAST = MIB
"""What a sparse overlay is reckoned to take at the least; a new one takes less, up to some 50 GiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Bytes, but for `fit` and `fit_sparse`: how many more machines with a reserved overlay of `fit_size`
    there is room for, every promise kept; and how many with a sparse one, if each comes to take
    `sparse_each`, what machines here have written on average, and no promise is called in. Both None on
    storage that keeps no sparse ones.

    `taken` is what masters, layers, overlays and snapshots have of the disk; each master and layer once.
    `full_copies` is what as many ordinary machines would have taken: one unpacked tree each, with those of
    its layers, and what their overlays hold. `storages` is what one more machine costs where that is not
    simply its overlay's size, and what a clone of an ordinary machine with a disk of `system` bytes would.
    """

    space: Space
    full_copies: int
    taken: int
    fit: int
    fit_size: int
    fit_sparse: int | None
    sparse_each: int | None
    storages: Sequence[Storage] = ()
    system: int = 0


def taken_by(host: Host, size: int) -> int:
    """What an overlay of `size` bytes takes of this host's store when it is written full."""
    return next((storage.full for storage in host.storages(size, 0) if storage.chosen), size)


def of_host(
    host: Host,
    instances: Sequence[Instance],
    masters: Sequence[Master],
    fit_size: int = GIB,
    layers: Sequence[Layer] = (),
) -> Account:
    """An ordinary machine's disk has room for the largest master's files, and for what an overlay holds."""
    found = account(host.space(instances, masters, layers), instances, masters, fit_size, layers)
    system = max((master.tree_size for master in masters), default=0) + fit_size
    storages = host.storages(fit_size, system)
    fit = fits(found.space, taken_by(host, fit_size))
    if Allocation.SPARSE not in host.features.allocations:
        found = replace(found, fit_sparse=None, sparse_each=None)
    return replace(found, fit=fit, storages=storages, system=system)


def account(
    space: Space,
    instances: Sequence[Instance],
    masters: Sequence[Master],
    fit_size: int = GIB,
    layers: Sequence[Layer] = (),
) -> Account:
    trees = {master.id: master.tree_size for master in masters}
    trees |= {layer.id: layer.tree_size for layer in layers}
    stacks = [(instance.stack.master, *instance.stack.layer_ids) for instance in instances]
    copies = sum(trees.get(identity, 0) for stack in stacks for identity in stack)
    each = max(space.written // max(1, space.instances), LEAST)
    return Account(
        space=space,
        full_copies=copies + space.written,
        taken=space.masters + space.layers + space.allocated + space.snapshots,
        fit=fits(space, fit_size),
        fit_size=fit_size,
        fit_sparse=_room(space) // each,
        sparse_each=each,
    )


def fits(space: Space, size: int) -> int:
    """How many more reserved overlays of this size the store can keep its promise to, and all it gave."""
    return max(0, _room(space) - space.owed) // size


def _room(space: Space) -> int:
    return max(0, space.free - int(space.total * HEADROOM))


def promised(instances: Sequence[Instance], allocation: Allocation) -> int:
    disks = (disk for instance in instances for disk in instance.disks.values())
    return sum(disk.size for disk in disks if disk.allocation is allocation)
