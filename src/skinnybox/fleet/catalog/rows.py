"""One machine as the catalog has it: the row, read and judged. What cannot be read is damage with a name."""

import json
from enum import StrEnum
from functools import lru_cache
from typing import Any

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.fleet.catalog.database import damaged
from skinnybox.fleet.catalog.owner import process_lives
from skinnybox.hosts.record import from_record
from skinnybox.model import Instance
from skinnybox.values import dataclass


class Phase(StrEnum):
    """What a row is to the next command once its owner is gone: CREATING is taken back, DELETING is gone on
    with, DEFINED is a machine (one that was being changed included: lease.py)."""

    CREATING = "creating"
    DEFINED = "defined"
    DELETING = "deleting"


class Doing(StrEnum):
    """What a lease is taken for, as an error says it: `web-01 is being reset by process 77`."""

    CREATE = "created"
    SET = "changed"
    RESET = "reset"
    SLIM = "slimmed"
    GROW = "grown"
    RESTORE = "restored from a snapshot"
    RESEED = "given a new seed"
    REBASE = "rebased"
    REBASE_ON = "stopped and rebased"
    ROLLBACK = "rolled back"
    COMMIT = "committed to its new master"
    MOVE = "moved"
    REPAIR = "repaired"
    DELETE = "deleted"
    DELETE_FORCED = "deleted by force"


REBASES = frozenset({Doing.REBASE, Doing.REBASE_ON, Doing.ROLLBACK, Doing.COMMIT})
"""Killed at one of these, a record may be ahead of the disk: lease.py puts it right when it takes it."""

_WITHOUT_LEASE = {Phase.CREATING: Doing.CREATE, Phase.DEFINED: Doing.SET, Phase.DELETING: Doing.DELETE}
"""What an owner without a lease is at: one of a version that knew none, or who creates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`owner` is the process that creates, changes or deletes it, or did so when it ended."""

    instance: Instance
    phase: Phase
    owner: str | None
    host_keys: tuple[str, ...] = ()
    doing: Doing | None = None

    @property
    def is_held(self) -> bool:
        """Whether a living process is at it."""
        return self.owner is not None and process_lives(self.owner)

    @property
    def work(self) -> str | None:
        """What a command does to it, or did when it was killed; None: nobody is at it."""
        if not self.owner or self.doing is None:
            return None
        if process_lives(self.owner):
            return f"it is being {self.doing} by process {self.owner.split('/')[1]}"
        return f"it was being {self.doing} when that command was killed: the next one that changes it goes on"

    @property
    def is_broken_off(self) -> bool:
        """Whether somebody was killed who put it on another master, or back."""
        return self.doing in REBASES and self.owner is not None and not self.is_held

    @property
    def is_unfinished(self) -> bool:
        """Whether a process that is gone left it half created, changed or deleted."""
        return not self.is_held and (self.owner is not None or self.phase is not Phase.DEFINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """A row as it is, whatever is wrong with its record: then there is no `instance`."""

    uuid: str
    name: str
    phase: str
    owner: str | None
    instance: Instance | None
    host_keys: tuple[str, ...]
    doing: Doing

    @property
    def is_held(self) -> bool:
        """Whether a living process is at it."""
        return self.owner is not None and process_lives(self.owner)


COLUMNS = "phase, owner, record, keys, doing"
TABLES = "instances LEFT JOIN host_keys USING (uuid) LEFT JOIN leases USING (uuid)"


def doing_of(phase: str, doing: str | None) -> Doing:
    try:
        return Doing(doing) if doing else _WITHOUT_LEASE[Phase(phase)]
    except ValueError:  # of a later version
        return Doing.SET


@lru_cache(maxsize=1 << 14)
def _instance(record: str) -> Instance:
    """A server looks at the same texts all the time, and to read one takes longer than all else of a row."""
    values: dict[str, Any] = json.loads(record)
    return from_record(values)


def parsed(phase: str, owner: str | None, record: str, host_keys: str | None, doing: str | None) -> Row:
    """Raises Corrupt; Unsupported for a record of a later version."""
    try:
        return Row(
            instance=_instance(record),
            phase=Phase(phase),
            owner=owner,
            host_keys=tuple(json.loads(host_keys)) if host_keys else (),
            doing=doing_of(phase, doing) if owner or phase != Phase.DEFINED else None,
        )
    except (ValueError, TypeError, RecursionError, Corrupt) as error:
        raise damaged(f"a record is none: {error}") from error


def raw(
    uuid: str,
    name: str,
    phase: str,
    owner: str | None,
    record: str,
    host_keys: str | None,
    doing: str | None,
) -> RawRow:
    try:
        row = parsed(phase, owner, record, host_keys, doing)
        instance, keys = row.instance, row.host_keys
    except (Corrupt, Unsupported):
        instance, keys = None, ()
    return RawRow(
        uuid=uuid, name=name, phase=phase, owner=owner, instance=instance, host_keys=keys,
        doing=doing_of(phase, doing) if phase in set(Phase) else Doing.SET,
    )  # fmt: skip
