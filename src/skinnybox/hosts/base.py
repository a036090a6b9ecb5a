"""What every kind of host can do, in named parts. All of it blocks and may be called from several threads.

A host keeps no fleet state: it is given values and finds machines again by their UUID. What a host cannot do
it refuses with Unsupported before it has touched anything; `features` says so beforehand.
"""

import socket
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from skinnybox.model import Allocation, Check, Instance, Master, Network, Report, Space, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What this host can do, as data."""

    kind: str
    allocations: frozenset[Allocation]
    networks: frozenset[Network]
    default_network: Network | None
    console: bool
    boots: bool
    """False for a host that only pretends to run machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The three messages (wire.py) that a fresh overlay carries beside an empty upper directory."""

    base: bytes
    seed: bytes
    identity: bytes = b""


class Disks(Protocol):
    def add_master(self, master: Master, folder: Path) -> None:
        """Make a sealed master usable here. Idempotent by image digest."""

    def remove_master(self, master: Master) -> None:
        """Idempotent."""

    def create_overlay(self, instance: Instance, contents: Contents) -> None:
        """A fresh overlay. Conflict when the instance has one; NoSpace with nothing left behind."""

    def replace_overlay(self, instance: Instance, contents: Contents) -> None:
        """Put a fresh overlay in place of the old one, atomically: killed at any moment, one of the two is
        there, whole. Conflict while the machine runs or somebody has it open."""

    def open_overlay(self, instance: Instance) -> AbstractContextManager[Path]:
        """A local file with the overlay's bytes, not to be written, while nobody else may use it. Conflict
        while the machine runs or somebody else has it open; NotFound when there is none."""

    def delete_disk(self, instance: Instance) -> None:
        """Idempotent. Conflict while the machine runs or somebody has the overlay open."""

    def written(self, instances: Iterable[Instance]) -> Mapping[UUID, int]:
        """Bytes each overlay really takes on the host; an instance without a disk is left out."""


class Lifecycle(Protocol):
    def define(self, instance: Instance) -> None:
        """Record the instance beside its overlay. Idempotent; replaces an older record, atomically."""

    def undefine(self, instance: Instance) -> None:
        """Forget it. Idempotent. Conflict while the machine runs."""

    def start(self, instance: Instance, master: Master, folder: Path) -> Status:
        """Power on; returns when the virtual hardware runs, long before the guest is ready. Conflict when it
        runs already."""

    def shutdown(self, instance: Instance) -> None:
        """Ask the guest to power off; does not wait. Idempotent on a stopped machine."""

    def power_off(self, instance: Instance) -> None:
        """Pull the plug and wait until it is off. Idempotent."""


class Observation(Protocol):
    def records(self) -> Iterable[Instance]:
        """Every instance recorded here, as `define` was given it."""

    def statuses(self) -> Mapping[UUID, Status]:
        """Every machine that is not simply stopped, in one look."""

    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        """The guest's last report since its last start. Not there: it has not spoken yet."""

    def wait_change(self, timeout: float) -> None:
        """Return when a status or report may have changed, or after `timeout` seconds."""

    def console_log(self, uuid: UUID) -> bytes:
        """The end of what the guest printed; b"" when it never ran."""

    def console(self, uuid: UUID) -> AbstractContextManager[socket.socket]:
        """Both directions of the serial console, as a stream. Conflict when the machine is off."""


class Host(Disks, Lifecycle, Observation, Protocol):
    @property
    def features(self) -> Features: ...

    def space(self, instances: Iterable[Instance], masters: Iterable[Master]) -> Space:
        """What the store holds and what is free."""

    def doctor(self) -> list[Check]:
        """Whether this host is fit, and what to do when it is not."""

    def close(self) -> None:
        """Give back what the object holds. Machines keep running. Idempotent."""
