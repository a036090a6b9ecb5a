"""What all machines of one `create` have in common, and whether that can be."""

from collections import Counter
from collections.abc import Iterable

from skinnybox.errors import Conflict, NoSpace, NotFound, Unsupported, UsageError
from skinnybox.fleet import capacity, data_disk, encrypted, seed_parts
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.hosts.base import Features, Host
from skinnybox.model import (
    Allocation,
    DataDisk,
    Instance,
    Network,
    Nic,
    Overlay,
    Properties,
    SeedFile,
    SeedUser,
    StaticNetwork,
    fields,
    ranges,
)
from skinnybox.model.datadisk import check as check_data
from skinnybox.model.encryption import check_encryption
from skinnybox.model.forwards import check_together
from skinnybox.model.labels import labels_of
from skinnybox.model.own_check import check_command
from skinnybox.model.places import Place, places_of, taken
from skinnybox.model.places import places as its_places
from skinnybox.model.swap import check_swap
from skinnybox.model.throwaway import check_throw_away
from skinnybox.overlays.seed import seed_capacity
from skinnybox.printable import short
from skinnybox.sizes import format_size
from skinnybox.values import dataclass, replace

MOST_NICS = 6
"""Beside the first: a guest of Xen has 7 cards at most."""
_ROOM = "fewer or smaller machines, or --sparse, which promises nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification(Properties):
    """What every machine of one `create` has in common; UsageError for numbers out of range. `dax` None: what
    the master's first image is for. With `any_allocation` nobody asked for that of the disks: where a host
    has only the other, it is that. `network` None is the host's default,
    `hostname` None the machine's name. See `given` in model/fields.py."""

    overlay: Overlay
    static_network: StaticNetwork | None = None
    authorized_keys: tuple[str, ...] = ()
    files: tuple[SeedFile, ...] = ()
    run_once: str | None = None
    hostname: str | None = None
    nics: tuple[Nic, ...] = ()
    dax: bool | None = None
    layers: tuple[str, ...] = ()
    follow_name: bool = False
    users: tuple[SeedUser, ...] = ()
    timezone: str | None = None
    locale: str | None = None
    ntp: tuple[str, ...] = ()
    user_data: bytes | None = None
    any_allocation: bool = False

    def __post_init__(self) -> None:
        ranges.OVERLAY.check(self.overlay.size)
        ranges.MEMORY.check(self.memory)
        ranges.CPUS.check(self.cpus)
        labels_of(dict(self.labels))
        if self.data is not None:
            check_data(self.data)

    @property
    def disks(self) -> tuple[Overlay | DataDisk, ...]:
        """Of each machine."""
        return (self.overlay,) if self.data is None else (self.overlay, self.data)


def completed(specification: Specification, features: Features) -> Specification:
    """With what this host does when nothing is said."""
    network, bridge = specification.network, specification.bridge
    if specification.any_allocation and specification.overlay.allocation not in features.allocations:
        specification = _allocated(specification, next(iter(features.allocations)))
    if network is None and features.default_network is Network.BRIDGE:
        network, bridge = Network.BRIDGE, bridge or features.default_bridge
    return replace(specification, network=network, bridge=bridge)


def _allocated(specification: Specification, allocation: Allocation) -> Specification:
    overlay, data = specification.overlay, specification.data
    return replace(
        specification,
        overlay=replace(overlay, allocation=allocation),
        data=None if data is None else replace(data, allocation=allocation),
    )


def check(specification: Specification, features: Features) -> None:
    """Refuse, before anything is touched, what cannot be right or what this host cannot do."""
    if features.memory is not None and specification.memory > features.memory:
        asked, there = format_size(specification.memory), format_size(features.memory)
        raise UsageError(f"{asked} of memory is more than this host has: {there}")
    if specification.overlay.allocation not in features.allocations:
        others = " or ".join(f"--{other}" for other in sorted(features.allocations))
        raise Unsupported(
            f"this host cannot keep {specification.overlay.allocation} overlays", hint=f"use {others}"
        )
    if specification.network and specification.network not in features.networks:
        raise Unsupported(f"this host has no {specification.network} network", hint="`skinnybox doctor`")
    if specification.dax and not features.dax:
        raise Unsupported("this host cannot let a guest map its master", hint="leave --dax out")
    if specification.layers and not features.layers:
        raise Unsupported("this host attaches no layers", hint="leave --layer (in a fleet file: layers) out")
    if specification.follow_name and not features.tells_name:
        raise Unsupported(
            "guests of this host do not see what it calls them",
            hint="leave --follow-name (in a fleet file: follow_name) out",
        )
    if specification.data is not None:
        data_disk.refuse_host(features)
    encrypted.refuse_host(specification.encrypt, features)
    check_encryption(specification.encrypt, specification.overlay, specification.data)
    if specification.check is not None:
        check_command(specification.check)
    check_swap(specification.swap, specification.overlay)
    check_throw_away(specification.throw_away, specification.memory)
    _check_bridge(specification, features)
    _check_forwards(specification)
    _check_nics(specification, features)
    _check_seed(specification)


def _check_seed(specification: Specification) -> None:
    for key in specification.authorized_keys:
        seed_parts.public_keys(key)
    targets = [file.path for file in specification.files]
    if twice := {path for path in targets if targets.count(path) > 1}:
        raise UsageError(f"{short(min(twice))} is written by two files")
    seed = fields.given(specification, fields.SEED)
    seed_capacity(seed_parts.message_of(specification.ssh_user, specification.data, **seed))


def _check_bridge(specification: Specification, features: Features) -> None:
    bridged = specification.network is Network.BRIDGE
    if bridged and specification.bridge is None and features.default_network is Network.BRIDGE:
        known = ", ".join(sorted(features.bridges)[:20]) or "nothing to name"
        raise NotFound("no network of this host is the one to take", hint=f"--bridge names one: {known}")
    if bridged != (specification.bridge is not None):
        raise UsageError("a bridged machine needs the name of a bridge, and no other does")
    if specification.bridge is not None and specification.bridge not in features.bridges:
        known = ", ".join(sorted(features.bridges)) or "none"
        raise NotFound(f"this host has no bridge {specification.bridge!r}", hint=f"it has {known}")


def _check_forwards(specification: Specification) -> None:
    check_together(specification.forwards)
    if specification.forwards and specification.network is Network.BRIDGE:
        raise Unsupported(
            "no port of this host leads to a machine on a bridge",
            hint="it has an address of its own, and all its ports are there: skinnybox list",
        )


def _check_nics(specification: Specification, features: Features) -> None:
    if len(specification.nics) > MOST_NICS:
        raise UsageError(f"{len(specification.nics)} cards beside the first; at most {MOST_NICS}")
    for nic in specification.nics:
        if nic.bridge is None and Network.RESTRICTED not in features.networks:
            raise Unsupported("this host has no restricted network", hint="say what the card is on: bridge")
        if nic.bridge is not None and nic.bridge not in features.bridges:
            known = ", ".join(sorted(features.bridges)) or "none"
            raise NotFound(f"this host has no bridge {nic.bridge!r}", hint=f"it has {known}")
    every = (specification.static_network, *(nic.network for nic in specification.nics))
    ways = [way for network in every if network for way in network.gateways]
    if len(ways) > len({":" in way for way in ways}):
        raise UsageError(
            f"gateways {' and '.join(ways)}: a machine has one way out for each family",
            hint="leave all but one out; further routes are files of your own",
        )


def check_addresses(wanted: Iterable[Specification], catalog: Catalog) -> None:
    """Before anything is made: on one bridge an address is one card's; elsewhere each is alone in its
    network. UsageError for one that two of these would have, Conflict with the name of who has one by now;
    the catalog looks again when it takes their names."""
    asked = Counter(place for each in wanted for place in places(each))
    for (bridge, address), count in asked.items():
        if count > 1:
            raise UsageError(f"{address} on {bridge} would be the address of {count} cards")
    for row in catalog.rows() if asked else ():
        for place in places(row.instance):
            if place in asked:
                raise Conflict(taken(place, row.instance.name))


def places(of: Specification | Instance) -> list[Place]:
    """Where nobody else may be, with any of its cards."""
    if isinstance(of, Instance):
        return its_places(of)
    return places_of(of.bridge, of.static_network, of.nics)


def with_key(specification: Specification, public_key: str) -> Specification:
    """The fleet's own key lets `ssh` and `exec` in; the user's keys come after it."""
    return replace(specification, authorized_keys=(public_key, *specification.authorized_keys))


def check_space(host: Host, disks: Iterable[Overlay | DataDisk], freed: int = 0) -> None:
    """Refuse a batch that the disk cannot keep its promise to, before the first byte is written. `freed` is
    what will have been given back by then. The host is asked whatever it is: one that cannot even say what is
    free would not be able to undo the batch either."""
    free = host.space((), ()).free + freed
    promised = [each for each in disks if each.allocation is Allocation.RESERVED]
    need = needed(host, promised)
    if need > free:
        what = "disks" if any(isinstance(each, DataDisk) for each in promised) else "overlays"
        said = f"{len(promised)} reserved {what} need {format_size(need)}; {format_size(free)} are free"
        raise NoSpace(
            f"{said}, with what is deleted first" if freed else said,
            hint=_ROOM if Allocation.SPARSE in host.features.allocations else "fewer or smaller machines",
        )


def needed(host: Host, disks: Iterable[Overlay | DataDisk]) -> int:
    """Bytes of the host's store that those of them take which are reserved."""
    reserved = Counter(each.size for each in disks if each.allocation is Allocation.RESERVED)
    return sum(count * capacity.taken_by(host, size) for size, count in reserved.items())
