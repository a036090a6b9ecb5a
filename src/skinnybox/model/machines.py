"""Machines as they are to be: what they boot from, their disk, their seed, and what is set of them."""

import uuid as uuids
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from skinnybox.model.stack import Stack
from skinnybox.model.trial import Trial
from skinnybox.sizes import MIB
from skinnybox.values import dataclass, replace


class Allocation(StrEnum):
    RESERVED = "reserved"
    SPARSE = "sparse"


class DiskKind(StrEnum):
    """Which of its own disks: the one of its system, or the one whose data outlive that."""

    OVERLAY = "overlay"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    size: int
    allocation: Allocation = Allocation.RESERVED


class SwapKind(StrEnum):
    """A file beside the upper directory on the overlay's disk, or compressed memory."""

    FILE = "file"
    ZRAM = "zram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """`size` in bytes, whole MiB; None, of zram only: half of the machine's memory, as that is at its
    start."""

    kind: SwapKind = SwapKind.FILE
    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is None and self.kind is not SwapKind.ZRAM:
            raise ValueError("a swap file has a size")

    def __str__(self) -> str:
        """As it is written, but for the unit: 512M, zram, zram:256M."""
        size = [] if self.size is None else [f"{self.size // MIB}M"]
        return ":".join([*(["zram"] if self.kind is SwapKind.ZRAM else []), *size])


class Thrown(StrEnum):
    """Where a machine keeps what it writes until its next start: on its overlay's disk, or in memory."""

    DISK = "disk"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowAway:
    """At each start what the machine wrote is gone. `size` is bytes of memory, in whole MiB; None: half of
    what it has."""

    kind: Thrown = Thrown.DISK
    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.kind is not Thrown.MEMORY:
            raise ValueError("what is thrown away on the disk has the overlay's size")

    def __str__(self) -> str:
        """As it is written, but for the unit."""
        return str(self.kind) if self.size is None else f"{self.kind}:{self.size // MIB}M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """Of an overlay, by its guest. `key_file` is where the host finds the key at each start, never the key,
    with `{name}` in place of the machine's name; None: a new one at each start, so that nothing outlives the
    machine's power."""

    key_file: str | None = None

    def file_of(self, name: str) -> str | None:
        return self.key_file and self.key_file.replace("{name}", name)

    def __str__(self) -> str:
        """As it is written."""
        return self.key_file or "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDisk:
    """What no reset and no older system takes back: absolute `folders` of the guest lie on it, in order.
    datadisk.py makes and checks one."""

    size: int
    folders: tuple[str, ...]
    allocation: Allocation = Allocation.RESERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    """A file put into the guest. `mode` is permission bits; `owner` is `user:group` of the guest."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root:root"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedUser:
    """A user the guest is to have. `groups` are further ones, which it has; `sudo`: it may do all by sudo,
    for its password where it has one. None is the guest's own shell, and no password that lets in."""

    name: str
    groups: tuple[str, ...] = ()
    sudo: bool = False
    shell: str | None = None
    authorized_keys: tuple[str, ...] = ()
    password_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticNetwork:
    """Of one card. `also`: more addresses of it, of either family. `gateway` is of the family of `address`,
    `other_gateway` of the other one."""

    address: str  # with a prefix length: 10.0.0.5/24
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    other_gateway: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.address, *self.also)

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(gateway for gateway in (self.gateway, self.other_gateway) if gateway is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A card beside the first. `bridge` is one of the host, or a network of a pool; None is a network of
    QEMU's own that leads nowhere. `network` None is DHCP, or with `manual` no address at all. With `vlan` all
    that is on a tagged interface above the card."""

    bridge: str | None = None
    network: StaticNetwork | None = None
    manual: bool = False
    vlan: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What an instance boots with. The guest applies it once per `generation`. `network` None is DHCP.

    `follows_name`: at each boot the guest takes the name its hypervisor has for it then as its hostname.
    None, and nothing, of what comes after it leaves the guest as its master has it.
    """

    hostname: str
    machine_id: str
    generation: int = 1
    network: StaticNetwork | None = None
    authorized_keys: tuple[str, ...] = ()
    files: tuple[SeedFile, ...] = ()
    run_once: str | None = None
    follows_name: bool = False
    nics: tuple[Nic, ...] = ()
    users: tuple[SeedUser, ...] = ()
    timezone: str | None = None
    locale: str | None = None
    ntp: tuple[str, ...] = ()
    user_data: bytes | None = None


class Acceleration(StrEnum):
    """What a user wants where this machine's own QEMU runs guests: KVM where it works, KVM or nothing, or
    emulation."""

    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class Network(StrEnum):
    """How a machine reaches out: through passt; only in by ssh; with the host's loopback open to it; or as a
    neighbour of whoever is on a bridge of the host."""

    PASST = "passt"
    RESTRICTED = "restricted"
    OPEN = "open"
    BRIDGE = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A TCP port of the host, at one of its addresses or at all (0.0.0.0), that leads to one of the guest."""

    address: str = "127.0.0.1"
    port: int
    to: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}:{self.to}"

    def meets(self, other: "Forward") -> bool:
        """Whether the host could not have both."""
        same = self.address == other.address or EVERYWHERE in (self.address, other.address)
        return same and self.port == other.port


EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What is said of a machine when it is made, and stays said of it: of a Specification and of an Instance
    alike. `bridge` names the host's bridge of a machine whose network is BRIDGE; `fleet` the fleet file it is
    of; with `autostart` it is to come up again when the host has restarted; one that is `protected` nobody
    deletes; `data` is its second disk, for what must outlive its system; `check` is a shell command of its
    guest, without whose success it is not ready.

    One that is added here needs its row in fields.py, and nothing else for being written down."""

    memory: int = 512 * MIB
    cpus: int = 1
    ssh_user: str = "root"
    network: Network | None = None
    bridge: str | None = None
    fleet: str | None = None
    autostart: bool = False
    forwards: tuple[Forward, ...] = ()
    protected: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    swap: Swap | None = None
    throw_away: ThrowAway | None = None
    data: DataDisk | None = None
    encrypt: Encryption | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Properties):
    """One VM. `uuid` is its identity; `name` is unique in a state folder; `ssh_port` is on 127.0.0.1.
    `half_restored` is the label of the snapshot that its system and its data are just being put back from:
    where it stays, one of them may be of then and the other of now. `trial` is there from a rebase on until
    that is decided. `moving` is where it was being moved to: where that stays, it may be there as well."""

    uuid: UUID
    name: str
    stack: Stack
    overlay: Overlay
    seed: Seed
    created: datetime
    ssh_port: int | None = None
    half_restored: str | None = None
    trial: Trial | None = None
    moving: str | None = None

    @property
    def disks(self) -> "dict[DiskKind, Overlay | DataDisk]":
        """Those it is to have."""
        of_data = {} if self.data is None else {DiskKind.DATA: self.data}
        return {DiskKind.OVERLAY: self.overlay, **of_data}

    def with_size(self, kind: DiskKind, size: int) -> "Instance":
        """With one of those in another size."""
        if kind is DiskKind.DATA and self.data is not None:
            return replace(self, data=replace(self.data, size=size))
        return replace(self, overlay=replace(self.overlay, size=size))

    @property
    def mac(self) -> str:
        """Of its first card."""
        return self.mac_of(0)

    def mac_of(self, number: int) -> str:
        """A locally administered unicast address made from the UUID, so it is stable and unique."""
        tail = uuids.uuid5(self.uuid, f"mac/{number}").bytes[:5]
        return ":".join(f"{octet:02x}" for octet in (0x52, *tail))
