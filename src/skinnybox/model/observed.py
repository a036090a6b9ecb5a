"""What is seen of machines and stores, and copies of overlays as they were at one time."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from skinnybox.model.machines import DiskKind, Instance
from skinnybox.values import dataclass


class Consistency(StrEnum):
    """What a copy of an overlay is like: that of a stopped machine, or one as a power cut would leave it."""

    STOPPED = "stopped"
    CRASH = "crash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One overlay as it was at one time. `instance` is the machine's record at that time, `written` what the
    snapshot really takes on its host, in bytes; with `data` the data disk is in it."""

    label: str
    taken: datetime
    instance: Instance
    consistent: Consistency
    written: int
    data: bool = False


class Power(StrEnum):
    STOPPED = "stopped"
    RUNNING = "running"
    CRASHED = "crashed"
    STALLED = "stalled"
    SUSPENDED = "suspended"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a host sees of one machine. `reason` explains a crash or stall; `nonce` names this very start."""

    power: Power
    since: datetime | None = None
    pid: int | None = None
    nonce: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a machine's place on its host cannot be read: `brief` in a word (EIO), `why` with what it is of.
    `unreadable`: only for want of a right; all else is damage."""

    brief: str
    why: str
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestDisk:
    """What a guest says of one of its own disks, in bytes: how large it is there, and its filesystem. `why`
    is why that could not be made as large as its disk."""

    kind: DiskKind
    size: int
    filesystem: int
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebaseTasks:
    """What a guest says became of the tasks that a rebase left for its first start. `identifier` is the one
    of those tasks, in hex digits; `why` is why they are not `done`."""

    identifier: str
    done: bool
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the guest says of itself: its word, not the truth. `images` are the filesystem UUIDs mounted.
    `received` is when the host got it, `ready_since` when the machine was reached first in this start, or
    else when it first said that it is ready: guests go on reporting, and have not booted anew for that.
    `failed_units` are names of what its init could not start, the first few. What is of the data disk is None
    where there is none, and of guests and on hosts that do not tell.

    `checking`: it is up and not ready yet, for the `reason`: its own check fails so far, or it still finishes
    a rebase. `inactive_units` are services that ran before a rebase, and do not after it."""

    ready: bool
    nonce: str
    instance: UUID
    reason: str | None = None
    images: tuple[UUID, ...] = ()
    seed_generation: int | None = None
    dax: bool | None = None
    overlay_size: int | None = None
    overlay_free: int | None = None
    data_size: int | None = None
    data_free: int | None = None
    addresses: tuple[str, ...] = ()
    ssh_host_keys: tuple[str, ...] = ()
    failed_units: tuple[str, ...] = ()
    kernel: str | None = None
    uptime: float | None = None
    received: datetime | None = None
    ready_since: datetime | None = None
    swap: int | None = None  # bytes of all that is on
    disks: tuple[GuestDisk, ...] = ()  # none: a guest part of before, which says nothing of them
    checking: bool = False
    rebase: RebaseTasks | None = None
    inactive_units: tuple[str, ...] = ()
    reachable: bool | None = None  # the host's own word: its ssh has answered; None: nobody asks it


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a machine that runs takes of its host. Seconds of processors, and bytes from and to disks, since
    it was started; bytes of memory that are there for it alone, now. None: nobody may see that."""

    cpu: float
    memory: int
    read: int | None = None
    written: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a store holds, in bytes. Of all overlays: what was `promised` to them, what machines have
    `written`, the part of the disk `allocated` to them, written or not, and what is `owed`: promised, and not
    theirs yet. `free` is on the disk now, `snapshots` and `layers` what those really take."""

    total: int
    free: int
    masters: int
    promised: int
    written: int
    allocated: int
    owed: int
    instances: int
    snapshots: int = 0
    layers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What one more machine takes on a store that is not simply a folder here, in bytes: `each` once it runs,
    `full` when its overlay is written full. `clone` and `clone_full` are the same of a copy-on-write clone of
    a whole system's disk, the other way to make machines there. `chosen`: overlays go there."""

    name: str
    kind: str
    total: int
    free: int
    each: int
    full: int
    clone: int
    clone_full: int
    chosen: bool
    guess: bool = False
