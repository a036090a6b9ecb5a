"""The values everything speaks of: masters, instances, overlays, seeds, changes. No input or output here.

Sizes are bytes, times are aware UTC, digests are `sha256:<64 hex digits>`, paths inside a guest are bytes
without a leading slash (the root itself is b"").
"""

import re
import uuid as uuids
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from skinnybox.errors import UsageError
from skinnybox.sizes import MIB

GUEST_PROTOCOL = 2
"""Version of what host and guest say to each other (see wire.py); part of a master's content id."""
OLDEST_GUEST_PROTOCOL = 1
"""What masters sealed long ago speak, and is still spoken to them: at least the one before the newest."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SNAPSHOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})(?::([A-Za-z0-9][A-Za-z0-9._-]{0,63}))?")


def check_name(name: str) -> str:
    """An instance's name is also its hostname: one RFC 1123 label, in lower case. Raises UsageError."""
    if not _LABEL.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a machine name",
            hint="lower-case letters, digits and inner hyphens, at most 63: web-01",
        )
    return name


def check_label(label: str) -> str:
    """A snapshot's label: letters, digits, and `. _ -` behind the first, at most 64. Raises UsageError."""
    if not _SNAPSHOT.fullmatch(label):
        raise UsageError(
            f"{label!r} is no label of a snapshot",
            hint="letters, digits, and . _ - behind the first, at most 64: before-upgrade",
        )
    return label


def parse_reference(text: str) -> tuple[str, str | None]:
    """`NAME` or `NAME:VERSION`. Raises UsageError."""
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} does not name a master", hint="NAME or NAME:VERSION, as in lamp:2026-11")
    return found[1], found[2]


class ImageKind(StrEnum):
    EROFS_LZ4HC = "erofs-lz4hc"
    EROFS_PLAIN = "erofs-plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One sealed filesystem image of a master. An overlay is bound to its `digest`; its filesystem UUID is
    `image_uuid(digest)`, so that no two images ever share one."""

    kind: ImageKind
    file: str
    digest: str
    size: int

    @property
    def uuid(self) -> UUID:
        return image_uuid(self.digest)


def image_uuid(digest: str) -> UUID:
    """The filesystem UUID of the image with this digest (RFC 9562, version 8)."""
    raw = bytearray(bytes.fromhex(digest.removeprefix("sha256:"))[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


KERNEL_FILE, INITRD_FILE = "kernel", "initrd"  # beside the images in a master's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A sealed OS tree. `id` is the digest of its content, `kernel` and `initrd` those of these two files;
    `tree_size` is the sum of its files, in bytes. All images hold the same tree; the first is what new
    machines get."""

    id: str
    name: str
    version: str
    images: tuple[Image, ...]
    kernel: str
    initrd: str
    os: str
    architecture: str
    kernel_version: str
    tree_size: int
    entries: int
    guest_protocol: int
    created: datetime

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"

    def image(self, digest: str) -> Image | None:
        return next((image for image in self.images if image.digest == digest), None)

    def image_of(self, kind: ImageKind) -> Image | None:
        return next((image for image in self.images if image.kind is kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What an instance boots from: a master and the digests of the images, the master's first. With `dax`
    the guest maps them straight from the host's memory."""

    master: str
    reference: str
    images: tuple[str, ...]
    dax: bool = False


class Allocation(StrEnum):
    RESERVED = "reserved"
    SPARSE = "sparse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    size: int
    allocation: Allocation = Allocation.RESERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    """A file put into the guest. `mode` is permission bits; `owner` is `user:group` of the guest."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root:root"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticNetwork:
    address: str  # with a prefix length: 10.0.0.5/24
    gateway: str | None = None
    dns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What an instance boots with. The guest applies it once per `generation`. `network` None is DHCP.

    `follows_name`: at each boot the guest takes the name its hypervisor has for it then as its hostname.
    """

    hostname: str
    machine_id: str
    generation: int = 1
    network: StaticNetwork | None = None
    authorized_keys: tuple[str, ...] = ()
    files: tuple[SeedFile, ...] = ()
    run_once: str | None = None
    follows_name: bool = False


class Network(StrEnum):
    """How a machine reaches out: through passt; only in by ssh; with the host's loopback open to it; or as a
    neighbour of whoever is on a bridge of the host."""

    PASST = "passt"
    RESTRICTED = "restricted"
    OPEN = "open"
    BRIDGE = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One VM. `uuid` is its identity; `name` is unique in a state folder; `ssh_port` is on 127.0.0.1;
    `bridge` names the host's bridge of a machine whose network is BRIDGE; `fleet` the fleet file it is of;
    with `autostart` it is to come up again when the host has restarted."""

    uuid: UUID
    name: str
    stack: Stack
    overlay: Overlay
    seed: Seed
    created: datetime
    memory: int = 512 * MIB
    cpus: int = 1
    ssh_port: int | None = None
    ssh_user: str = "root"
    network: Network | None = None
    bridge: str | None = None
    fleet: str | None = None
    autostart: bool = False

    @property
    def mac(self) -> str:
        """A locally administered unicast address made from the UUID, so it is stable and unique."""
        tail = uuids.uuid5(self.uuid, "mac/0").bytes[:5]
        return ":".join(f"{octet:02x}" for octet in (0x52, *tail))


class Consistency(StrEnum):
    """What a copy of an overlay is like: that of a stopped machine, or one as a power cut would leave it."""

    STOPPED = "stopped"
    CRASH = "crash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One overlay as it was at one time. `instance` is the machine's record at that time, `written` what the
    snapshot really takes on its host, in bytes."""

    label: str
    taken: datetime
    instance: Instance
    consistent: Consistency
    written: int


class Acceleration(StrEnum):
    """What a user wants where this machine's own QEMU runs guests: KVM where it works, KVM or nothing, or
    emulation."""

    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class Power(StrEnum):
    STOPPED = "stopped"
    RUNNING = "running"
    CRASHED = "crashed"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a host sees of one machine. `reason` explains a crash or stall; `nonce` names this very start."""

    power: Power
    since: datetime | None = None
    pid: int | None = None
    nonce: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the guest says of itself: its word, not the truth. `images` are the filesystem UUIDs mounted."""

    ready: bool
    nonce: str
    instance: UUID
    reason: str | None = None
    images: tuple[UUID, ...] = ()
    seed_generation: int | None = None
    dax: bool | None = None
    overlay_size: int | None = None
    overlay_free: int | None = None
    addresses: tuple[str, ...] = ()
    ssh_host_keys: tuple[str, ...] = ()
    kernel: str | None = None
    uptime: float | None = None
    received: datetime | None = None
    reachable: bool | None = None  # the host's own word: its ssh has answered; None: nobody asks it


class ChangeKind(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    METADATA = "metadata"
    TYPE = "type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path of a delta against its stack. `type` is one of the letters of `ls -l` (d - l p c b s)."""

    path: bytes
    kind: ChangeKind
    type: str
    size: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a store holds, in bytes: `promised` to overlays, really `written`, `free` on the disk now;
    `snapshots` is what those really take."""

    total: int
    free: int
    masters: int
    promised: int
    written: int
    reserved_unwritten: int
    instances: int
    snapshots: int = 0
