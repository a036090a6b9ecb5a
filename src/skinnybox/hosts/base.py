"""What every kind of host can do, in named parts. All of it blocks and may be called from several threads.

A host knows no fleet: it is given values and finds machines again by their UUID. What a host cannot do
it refuses with Unsupported before it has touched anything; `features` says so beforehand.
What is abstract has to be written for a kind of host; where disks are files here, most is (local/host.py).
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from skinnybox.errors import NotFound
from skinnybox.hosts.building import Building, Buildings
from skinnybox.hosts.growing import Growing
from skinnybox.hosts.keeping import Keeping
from skinnybox.hosts.noting import Noting
from skinnybox.hosts.sharing import Sharing
from skinnybox.model import (
    Allocation,
    Consistency,
    DiskKind,
    Instance,
    Layer,
    Master,
    Network,
    Report,
    Snapshot,
    Space,
    Status,
    Storage,
    Trouble,
    Usage,
)
from skinnybox.operation import Operation
from skinnybox.values import dataclass

if TYPE_CHECKING:
    from socket import socket

    from skinnybox.hosts.events import Event
    from skinnybox.hosts.holding import Holding
    from skinnybox.issues import Check, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What this host can do, as data."""

    kind: str
    allocations: frozenset[Allocation]
    networks: frozenset[Network]
    default_network: Network | None
    console: bool
    dax: bool
    """Whether guests can map an image from the host's memory (Stack.dax) instead of reading a disk."""
    boots: bool
    """False for a host that only pretends to run machines."""
    tells_name: bool = False
    """Whether guests see what this host calls them, which may change without Skinnybox."""
    bridges: frozenset[str] = frozenset()
    """Where a machine's tap may be put; none without the right to do so."""
    default_bridge: str | None = None
    """Which of them a machine gets when nobody says another, where BRIDGE is the default network."""
    creates_at_once: int = 1
    """How many machines are best made at the same time: more than one where each is many round trips."""
    presses_a_button: bool = False
    """Whether guests are asked to power off by a button, which one that does not watch it yet never hears."""
    data: bool = False
    """Whether machines can have a data disk."""
    layers: bool = False
    layers_from: int = 1
    """Whether machines can have layers below their overlay, if their guest part speaks this protocol."""
    encrypts: bool = False
    """Whether a machine can be handed a key that is kept nowhere."""
    memory: int | None = None
    """Bytes that all of this host has, for the largest machine it could run; None where nobody knows."""
    tells: int = 0
    """Base and seed message of together so many bytes reach a guest beside its overlay, at every start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The messages (wire.py) that a fresh disk carries: three beside an overlay's empty upper directory, and
    only `base` on a data disk."""

    base: bytes
    seed: bytes = b""
    identity: bytes = b""


class Disks(Protocol):
    """`operation` is told of what takes long because bytes go to the host or come from it, and ends it.

    What is said of the overlay goes for the data disk where that is named as the `disk`; no call touches one
    that it does not name, but `delete`. Unsupported where `features` has none."""

    def refuse_names(self, names: Collection[str]) -> None:
        """Conflict where machines of these names cannot be made, because others here are called so. Before
        anything is made of any of them."""
        return

    @abstractmethod
    def create_overlay(
        self,
        instance: Instance,
        contents: Contents,
        operation: Operation,
        disk: DiskKind = DiskKind.OVERLAY,
    ) -> None:
        """A fresh overlay. Conflict when the instance has one; NoSpace with nothing left behind."""

    @abstractmethod
    def replace_overlay(self, instance: Instance, contents: Contents, operation: Operation) -> None:
        """Put a fresh overlay in place of the old one, atomically: killed at any moment, one of the two is
        there, whole. Conflict while the machine runs or somebody has it open."""

    @abstractmethod
    def overlay_size(self, instance: Instance, disk: DiskKind = DiskKind.OVERLAY) -> int:
        """What it really has, in bytes; quick. NotFound when there is none."""

    @abstractmethod
    def open_overlay(
        self, instance: Instance, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> AbstractContextManager[Path]:
        """A local file with the overlay's bytes, not to be written, while nobody else may use it. Conflict
        while the machine runs or somebody else has it open; NotFound when there is none."""

    def refuse_used(self, instance: Instance) -> None:
        """Conflict where open_overlay would be refused; quick, also where that has to fetch the overlay."""
        with suppress(NotFound), self.open_overlay(instance, Operation()):
            pass

    def rebuild_overlay(
        self,
        instance: Instance,
        size: int,
        build: Callable[[Path, Path], None],
        operation: Operation,
        disk: DiskKind = DiskKind.OVERLAY,
        keep: str | None = None,
    ) -> None:
        """Put what `build` makes (building.py) in place of the overlay, as atomically as replace_overlay, and
        refused as that is."""
        building = Building(size=size, build=build, keep=keep)
        self.rebuild_disks(instance, {disk: building}, operation, lambda: None)

    @abstractmethod
    def rebuild_disks(
        self, instance: Instance, buildings: Buildings, operation: Operation, ready: Callable[[], None]
    ) -> None:
        """The same of several disks. All are whole when `ready` is called, and only then take their places,
        one at once after the other. What fails by then changes nothing; killed later, some may be new. What
        is to be kept (keeping.py) is a snapshot from the moment on in which another has its place."""

    @abstractmethod
    def discard_data(self, instance: Instance) -> None:
        """Remove a data disk that no record knows. Idempotent. Conflict while somebody has it."""

    @abstractmethod
    def copy_overlay(
        self, instance: Instance, target: Path, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> Consistency:
        """A copy of one point in time at `target`, a new local file, whether the machine runs or not. Its
        holes are holes, none of its blocks is shared. Conflict while another command copies it or works on
        it; NoSpace, also beforehand; whatever stops it, neither host nor machine keep anything of it."""

    @abstractmethod
    def take_snapshot(
        self, instance: Instance, label: str, operation: Operation, *, data: bool = False
    ) -> Snapshot:
        """Keep such a copy here under `label`, with the record as given. Conflict when there is one. With
        `data` one of the data disk as well, of a moment of its own behind the overlay's."""

    @abstractmethod
    def snapshots(self, instance: Instance) -> Sequence[Snapshot]:
        """Oldest first. They go with the disk."""

    @abstractmethod
    def open_snapshot(
        self, instance: Instance, label: str, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> AbstractContextManager[Path]:
        """A local file with its bytes, not to be written. NotFound."""

    @abstractmethod
    def delete_snapshot(self, instance: Instance, label: str) -> None:
        """Idempotent."""

    @abstractmethod
    def written(self, instances: Iterable[Instance]) -> Mapping[UUID, int]:
        """Bytes each overlay really takes on the host; an instance without a disk is left out."""


class Lifecycle(Protocol):
    @abstractmethod
    def define(self, instance: Instance) -> None:
        """Record the instance beside its overlay. Idempotent; replaces an older record, atomically."""

    @abstractmethod
    def delete(self, instance: Instance) -> None:
        """Its record, its disks and all snapshots, whatever of it is there. Idempotent. Conflict, with
        nothing touched, while the machine runs or somebody has the overlay open; any other error may come
        half way, and the next call goes on."""

    @abstractmethod
    def start(self, instance: Instance, master: Master, folder: Path, operation: Operation) -> Status:
        """Power on; returns when its hardware runs, long before the guest is ready. Conflict when it does."""

    @abstractmethod
    def shutdown(self, instance: Instance) -> None:
        """Ask the guest to power off; does not wait. Idempotent on a stopped machine."""

    @abstractmethod
    def power_off(self, instance: Instance) -> None:
        """Pull the plug and wait until it is off. Idempotent."""


class Observation(Protocol):
    @abstractmethod
    def records(self) -> Iterable[Instance]:
        """Every instance recorded here, as `define` was given it."""

    @abstractmethod
    def holdings(self) -> "Iterable[Holding]":
        """The same with all that is damaged, for repair: what has a record, an overlay or a place here."""

    @abstractmethod
    def leftovers(self, known: Collection[UUID]) -> "Iterable[Finding]":
        """What lies here and is part of none of the machines `known`, nor of this host; holdings are not told
        again. Nothing that may be in the making is to be removed."""

    @abstractmethod
    def statuses(self) -> Mapping[UUID, Status]:
        """Every machine that is not simply stopped, in one look. Here and in the other looks at many
        machines, one that cannot be read is left out, and costs the others nothing."""

    @abstractmethod
    def troubles(self, instances: Iterable[Instance]) -> Mapping[UUID, Trouble]:
        """Those of them of which something here cannot be read, and why."""

    @abstractmethod
    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        """The guest's last report since its last start. Not there: it has not spoken yet."""

    @abstractmethod
    def wait_change(self, timeout: float) -> None:
        """Return when a status or report may have changed, or after `timeout` seconds. A host that learns
        late that it could not do what this thread asked for (a shutdown) raises that here."""

    def moving(self, uuid: UUID) -> int | None:
        """A number that changes while its guest prints or works; None where nobody sees that. Quick."""
        return None

    def slowed(self, uuid: UUID) -> str | None:
        """What makes its guest slow just now, in words; None where nothing is known to."""
        return None

    @abstractmethod
    def events(self, after: int = 0) -> "Iterable[Event]":
        """What happened to machines here, as far back as it is kept: those with a number above `after`,
        oldest first. A start and an end are always told; what a guest causes only so often."""

    @abstractmethod
    def console_log(self, uuid: UUID) -> bytes:
        """The end of what the guest printed; b"" when it never ran. Unsupported where nobody keeps it."""

    @abstractmethod
    def console(self, uuid: UUID) -> "AbstractContextManager[socket]":
        """Both directions of the serial console, as a stream. Conflict when the machine is off."""


class Host(Disks, Sharing, Growing, Keeping, Lifecycle, Observation, Noting, Protocol):
    @property
    @abstractmethod
    def features(self) -> Features: ...

    @abstractmethod
    def space(
        self, instances: Iterable[Instance], masters: Iterable[Master], layers: Iterable[Layer] = ()
    ) -> Space:
        """What the store holds and what is free. Blocks as long as it takes to look at every overlay."""

    def storages(self, overlay: int, system: int) -> Sequence[Storage]:
        """What overlays of `overlay` bytes and clones of a system's disk of `system` bytes cost, the chosen
        store first. None where an overlay takes its size and nothing more."""
        return ()

    def usage(self, instances: Iterable[Instance]) -> Mapping[UUID, Usage]:
        """What those of them that run take. None where the host does not tell."""
        return {}

    @abstractmethod
    def doctor(self) -> "list[Check]":
        """Whether this host is fit, and what to do when it is not."""

    def close(self) -> None:
        """Give back what the object holds. Machines keep running. Idempotent."""
        return
