"""What a pool can do, and what it holds: as of a look of its own."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from skinnybox.errors import NotFound
from skinnybox.hosts.base import Features
from skinnybox.hosts.xapi import space, tags, xenstore_data
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.model import Allocation, DiskKind, Instance, Layer, Master, Network, Space, Storage

_AT_ONCE = 8
"""Machines made at the same time. A pool does most of it one after the other; more only wait there."""


def features(pool: Pool) -> Features:
    pool.things.refresh()
    sr, record = pool.sr()
    thin = space.is_thin(record, pool.devices(sr))
    known = [record for _, record in pool.things.all("network")]
    names = [str(record["name_label"]) for record in known]
    alike = [str(record["uuid"]) for record in known if names.count(record["name_label"]) > 1]
    return Features(
        kind="xapi",
        allocations=frozenset([Allocation.SPARSE if thin else Allocation.RESERVED]),
        networks=frozenset([Network.BRIDGE]),
        default_network=Network.BRIDGE,
        bridges=frozenset([*names, *alike]),
        default_bridge=_default_bridge(pool, names),
        console=False,
        dax=False,
        data=True,
        layers=True,
        layers_from=xenstore_data.LAYERS_FROM,
        boots=True,
        creates_at_once=_AT_ONCE,
        tells=xenstore_data.MOST,
        tells_name=True,
    )


def _default_bridge(pool: Pool, names: Sequence[str]) -> str | None:
    """By its name, unless several have that; None when the pool has none with a way out."""
    try:
        _, record = pool.network(None)
    except NotFound:
        if pool.address.network is not None:
            raise
        return None
    name = str(record["name_label"])
    return name if names.count(name) == 1 else str(record["uuid"])


def written(pool: Pool, instances: Iterable[Instance]) -> Mapping[UUID, int]:
    """Bytes each overlay takes on its SR."""
    pool.things.refresh()
    overlays = pool.overlays()
    return {
        instance.uuid: int(overlays[instance.uuid][1]["physical_utilisation"])
        for instance in instances
        if instance.uuid in overlays
    }


def held(
    pool: Pool, instances: Sequence[Instance], masters: Iterable[Master], layers: Iterable[Layer]
) -> Space:
    pool.things.refresh()
    sr = pool.sr()[1]
    taken = sum(written(pool, instances).values()) + _of_data(pool, instances)
    return Space(
        total=int(sr["physical_size"]),
        free=_free(sr),
        masters=sum(_shared_size(pool, master) for master in masters),
        layers=sum(_shared_size(pool, layer) for layer in layers),
        promised=sum(disk.size for instance in instances for disk in instance.disks.values()),
        written=taken,  # a pool does not say what of a volume was written
        allocated=taken,
        owed=_owed(pool, instances),
        instances=len(instances),
        snapshots=_snapshots(pool, {instance.uuid for instance in instances}),
    )


def _of_data(pool: Pool, instances: Iterable[Instance]) -> int:
    """Bytes that their data disks take."""
    disks = pool.data_disks()
    return sum(int(disks[i.uuid][1]["physical_utilisation"]) for i in instances if i.uuid in disks)


def _owed(pool: Pool, instances: Iterable[Instance]) -> int:
    """What the machines' disks on the chosen SR will still take of it. Storage that reserves has taken it at
    once, but for volumes that are deflated while nobody uses them."""
    chosen, sr = pool.sr()
    own, devices = {kind: pool.own_disks(kind) for kind in DiskKind}, pool.devices(chosen)
    full: dict[int, int] = {}
    found = 0
    for instance, kind in ((each, kind) for each in instances for kind in each.disks):
        record = own[kind][instance.uuid][1] if instance.uuid in own[kind] else None
        if record is None or record["SR"] != chosen:
            continue
        size = instance.disks[kind].size
        if size not in full:
            full[size] = space.cost(sr, devices, size, 0).full
        found += max(0, full[size] - int(record["physical_utilisation"]))
    return found


def _snapshots(pool: Pool, of: set[UUID]) -> int:
    return sum(
        int(record["physical_utilisation"])
        for _, record in pool.disks()
        if tags.role_of(record) in (tags.Role.SNAPSHOT, tags.Role.DATA_SNAPSHOT)
        and tags.instance_of(record) in of
    )


def _shared_size(pool: Pool, sealed: Master | Layer) -> int:
    """What it takes in the pool; what it will, when it is not there yet."""
    digests = {image.digest for image in sealed.images}
    found = [
        int(record["physical_utilisation"])
        for _, record in pool.things.all("VDI")
        if tags.digest_of(record) in digests
    ]
    return sum(found) or sum(image.size for image in sealed.images)


def storages(pool: Pool, overlay: int, system: int) -> list[Storage]:
    """Every SR that takes disks, the chosen one first."""
    pool.things.refresh()
    chosen = pool.sr()[0]
    srs = [each for each in pool.things.all("SR") if space.takes_disks(each[1])]
    srs.sort(key=lambda each: (each[0] != chosen, each[1]["name_label"], each[0]))
    return [_storage(pool, sr, overlay, system, chosen=sr[0] == chosen) for sr in srs]


def _storage(pool: Pool, sr: Found, overlay: int, system: int, *, chosen: bool) -> Storage:
    reference, record = sr
    cost = space.cost(record, pool.devices(reference), overlay, system)
    return Storage(
        name=str(record["name_label"]),
        kind=str(record["type"]),
        total=int(record["physical_size"]),
        free=_free(record),
        each=cost.each,
        full=cost.full,
        clone=cost.clone,
        clone_full=cost.clone_full,
        chosen=chosen,
        guess=cost.guess,
    )


def _free(record: Record) -> int:
    return max(0, int(record["physical_size"]) - int(record["physical_utilisation"]))
