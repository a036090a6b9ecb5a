"""The fleet's memory: which instances there are, under which names. SQLite; the hosts hold the truth.

A name is claimed before anything is made on a host and given back after everything is gone, so a process
killed in between leaves a row that says what it was doing and who it was; the next command finishes it.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox.errors import Conflict, Corrupt, NotFound, Unsupported
from skinnybox.fleet.catalog import host_kind, known_hosts
from skinnybox.fleet.catalog.database import REPAIR, Database, damaged
from skinnybox.fleet.catalog.owner import process_lives, process_mark
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Instance

MIGRATIONS = (
    """
    CREATE TABLE instances (
        uuid     TEXT PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE,
        phase    TEXT NOT NULL CHECK (phase IN ('creating', 'defined', 'deleting')),
        owner    TEXT,
        master   TEXT NOT NULL,
        ssh_port INTEGER UNIQUE,
        record   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX instances_by_master ON instances (master);
    CREATE TABLE host_keys (
        uuid TEXT PRIMARY KEY REFERENCES instances (uuid) ON DELETE CASCADE,
        keys TEXT NOT NULL
    ) STRICT;
    """,
)

_COLUMNS = "phase, owner, record, keys"


class Phase(StrEnum):
    CREATING = "creating"
    DEFINED = "defined"
    DELETING = "deleting"


_DOING = {Phase.CREATING: "created", Phase.DEFINED: "changed", Phase.DELETING: "deleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One machine as remembered. `owner` is the process that is creating or deleting it."""

    instance: Instance
    phase: Phase
    owner: str | None
    host_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """A row as it is, whatever is wrong with its record: then there is no `instance`."""

    uuid: str
    name: str
    phase: str
    owner: str | None
    instance: Instance | None
    host_keys: tuple[str, ...]

    @property
    def is_held(self) -> bool:
        """Whether a living process is creating or deleting it."""
        return self.owner is not None and process_lives(self.owner)


class Catalog:
    """Every method is one transaction, and may be called from several threads."""

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        """With `anew`, a fresh one beside machines that are about to be told to it."""
        self._folder = path.parent
        self._pins = known_hosts.folder(path.parent)
        self._db = Database(path, MIGRATIONS, lambda: anew or self._may_be_new())

    @property
    def path(self) -> Path:
        return self._db.path

    def close(self) -> None:
        self._db.close()

    def _may_be_new(self) -> bool:
        """A memory that is empty beside machines has been lost, and must not give their names away."""
        records = (self._folder / "instances").glob("*/instance.json")  # a pool keeps its own
        return next(records, None) is None and host_kind.noted(self._folder) != "xapi"

    def claim(self, instances: Sequence[Instance]) -> list[Instance]:
        """Take all the names, or none. Conflict naming those that are taken. Returns them with the ssh ports
        they have: one that another process took meanwhile is replaced by the next free one."""
        with self._db.writing():
            taken = self.taken(i.name for i in instances)
            if taken:
                raise Conflict(
                    f"{len(taken)} of {len(instances)} names are taken: {', '.join(taken[:5])}",
                    hint="--skip-existing creates only the others",
                )
            claimed = self._with_free_ports(instances)
            self._insert(claimed, Phase.CREATING, process_mark())
        return claimed

    def _with_free_ports(self, instances: Sequence[Instance]) -> list[Instance]:
        used = self.ports()
        if not any(i.ssh_port in used for i in instances):
            return list(instances)
        wanted = {i.ssh_port for i in instances if i.ssh_port is not None}
        spare = free_ports(used | wanted, self._folder)
        return [replace(i, ssh_port=next(spare)) if i.ssh_port in used else i for i in instances]

    def _insert(self, instances: Iterable[Instance], phase: Phase, owner: str | None) -> None:
        self._db.many(
            "INSERT INTO instances (uuid, name, phase, owner, master, ssh_port, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(str(i.uuid), i.name, phase, owner, i.stack.master, i.ssh_port, _text(i)) for i in instances],
        )

    def taken(self, names: Iterable[str]) -> list[str]:
        existing = set(self.names())
        return [name for name in names if name in existing]

    def settle(self, instances: Iterable[Instance]) -> None:
        """They exist now, as their records say."""
        with self._db.writing():
            self._db.many(
                "UPDATE instances SET phase = 'defined', owner = NULL, record = ? WHERE uuid = ?",
                [(_text(instance), str(instance.uuid)) for instance in instances],
            )

    def change(
        self, instance: Instance, alter: Callable[[Instance], Instance], record: Callable[[Instance], None]
    ) -> Instance:
        """Rewrite one machine as it is now: `alter` says how, `record` writes it down on its host. NotFound
        when it is gone, Conflict while a command creates or deletes it, or when its ssh port is taken."""
        with self._db.writing():
            row = next(iter(self.rows([instance.name])), None)
            if row is None or row.instance.uuid != instance.uuid:
                raise NotFound(f"{instance.name} was deleted meanwhile")
            if row.phase is not Phase.DEFINED:
                raise Conflict(f"{instance.name} is being {_DOING[row.phase]} by another command")
            changed = alter(row.instance)
            self._db.execute(
                "UPDATE instances SET ssh_port = ?, record = ? WHERE uuid = ?",
                (changed.ssh_port, _text(changed), str(changed.uuid)),
            )
            record(changed)
        return changed

    def mark_deleting(self, instance: Instance) -> Phase:
        """Take it to be deleted; returns what it was before. Conflict while a living process creates or
        deletes it, NotFound when it is gone already."""
        with self._db.writing():
            found = self._db.all("SELECT phase, owner FROM instances WHERE uuid = ?", (str(instance.uuid),))
            if not found:
                raise NotFound(f"{instance.name} was deleted meanwhile")
            phase, owner = Phase(found[0][0]), found[0][1]
            if owner and process_lives(owner):
                raise Conflict(
                    f"{instance.name} is being {_DOING[phase]} by process {owner.split('/')[1]}",
                    hint="wait until that command ends",
                )
            self._mark(instance, Phase.DELETING, process_mark())
        return phase

    def release(self, instance: Instance, phase: Phase) -> None:
        """Nobody works on it any more. Left in a phase other than defined, the next command finishes it."""
        with self._db.writing():
            self._mark(instance, phase, None)

    def _mark(self, instance: Instance, phase: Phase, owner: str | None) -> None:
        self._db.execute(
            "UPDATE instances SET phase = ?, owner = ? WHERE uuid = ?", (phase, owner, str(instance.uuid))
        )

    def forget(self, instances: Iterable[Instance]) -> None:
        uuids = [instance.uuid for instance in instances]
        with self._db.writing():
            self._db.many("DELETE FROM instances WHERE uuid = ?", [(str(uuid),) for uuid in uuids])
        for uuid in uuids:
            known_hosts.drop(self._pins, uuid)

    def names(self) -> list[str]:
        found = [name for (name,) in self._db.all("SELECT name FROM instances ORDER BY name")]
        if not all(isinstance(name, str) for name in found):
            raise damaged("a machine's name is none")
        return found

    def rows(self, names: Sequence[str] | None = None) -> list[Row]:
        """Those named, in that order; all, by name, when none are given."""
        query = f"SELECT name, {_COLUMNS} FROM instances LEFT JOIN host_keys USING (uuid)"
        if names is not None and len(names) <= 500:
            marks = ",".join("?" * len(names))
            found = self._db.all(f"{query} WHERE name IN ({marks})", list(names))
        else:
            found = self._db.all(f"{query} ORDER BY name")
        rows = {name: _row(*values) for name, *values in found}
        if any(row.instance.name != name for name, row in rows.items()):
            raise damaged("a record stands under another name")
        return list(rows.values()) if names is None else [rows[name] for name in names if name in rows]

    def unfinished(self) -> list[Row]:
        """What a process that is gone left half done."""
        found = self._db.all(
            f"SELECT {_COLUMNS} FROM instances LEFT JOIN host_keys USING (uuid)"
            " WHERE phase <> 'defined' ORDER BY name"
        )
        rows = (_row(*values) for values in found)
        return [row for row in rows if not row.owner or not process_lives(row.owner)]

    def check(self) -> None:
        """Read every page. Corrupt when one is damaged."""
        found = [line for (line,) in self._db.all("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            raise Corrupt(f"{self.path} is damaged: {found[0]}", hint=REPAIR)

    def remains(self) -> list[Remains]:
        """Every row, readable or not."""
        found = self._db.all(
            "SELECT uuid, name, phase, owner, record, keys FROM instances LEFT JOIN host_keys USING (uuid)"
        )
        return [_remains(*values) for values in found]

    def alone(self) -> AbstractContextManager[None]:
        """One transaction for the block: what was read in it still holds when `put_right` is called in it."""
        return self._db.writing()

    def put_right(self, machines: Sequence[tuple[Instance, tuple[str, ...]]], gone: Iterable[str]) -> None:
        """These are there, as they are and with these host keys; `gone` (UUIDs) are not. Within `alone`."""
        replaced = [*gone, *(str(machine.uuid) for machine, _ in machines)]
        self._db.many("DELETE FROM instances WHERE uuid = ?", [(uuid,) for uuid in replaced])
        self._insert([machine for machine, _ in machines], Phase.DEFINED, None)
        self._db.many(
            "INSERT INTO host_keys (uuid, keys) VALUES (?, ?)",
            [(str(machine.uuid), json.dumps(keys)) for machine, keys in machines if keys],
        )

    def dependants(self, master: str) -> list[str]:
        """Names of the instances that need this master's id."""
        found = self._db.all("SELECT name FROM instances WHERE master = ? ORDER BY name", (master,))
        return [name for (name,) in found]

    def ports(self) -> set[int]:
        found = self._db.all("SELECT ssh_port FROM instances WHERE ssh_port IS NOT NULL")
        return {port for (port,) in found}

    def pin_host_keys(self, uuid: UUID, keys: tuple[str, ...]) -> None:
        """Remember the first keys a machine reported; later ones change nothing. They are kept as a file as
        well, which ssh reads and which outlives this memory."""
        with self._db.writing():
            new = self._db.execute(
                "INSERT OR IGNORE INTO host_keys SELECT uuid, ? FROM instances WHERE uuid = ?",
                (json.dumps(keys), str(uuid)),
            )
        if new:
            with contextlib.suppress(OSError):
                known_hosts.keep(self._pins, uuid, keys)

    def unpin_host_keys(self, uuid: UUID) -> None:
        known_hosts.drop(self._pins, uuid)
        with self._db.writing():
            self._db.execute("DELETE FROM host_keys WHERE uuid = ?", (str(uuid),))


def _text(instance: Instance) -> str:
    return json.dumps(to_record(instance), separators=(",", ":"))


def _remains(
    uuid: str, name: str, phase: str, owner: str | None, record: str, host_keys: str | None
) -> Remains:
    try:
        row = _row(phase, owner, record, host_keys)
    except (Corrupt, Unsupported):
        return Remains(uuid=uuid, name=name, phase=phase, owner=owner, instance=None, host_keys=())
    keys = row.host_keys
    return Remains(uuid=uuid, name=name, phase=phase, owner=owner, instance=row.instance, host_keys=keys)


def _row(phase: str, owner: str | None, record: str, host_keys: str | None) -> Row:
    try:
        values: dict[str, Any] = json.loads(record)
        keys = tuple(json.loads(host_keys)) if host_keys else ()
        return Row(instance=from_record(values), phase=Phase(phase), owner=owner, host_keys=keys)
    except (ValueError, TypeError, RecursionError, Corrupt) as error:
        raise damaged(f"a record is none: {error}") from error
