"""The catalog: which instances there are, under which names. SQLite; the hosts hold the truth.

A name is claimed before anything is made on a host and given back after everything is gone, so a process
killed in between leaves a row that says what it was doing and who it was; the next command finishes it. Who
changes a machine that exists holds a lease of it (leases.py). No transaction is open while a host is called.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

from skinnybox.errors import Conflict, Corrupt
from skinnybox.fleet.catalog import (
    clashes,
    held_names,
    host_kind,
    known_hosts,
    leases,
    of_no_machine,
    rows,
)
from skinnybox.fleet.catalog.database import Database, damaged
from skinnybox.fleet.catalog.database_file import REPAIR
from skinnybox.fleet.catalog.leases import Lease
from skinnybox.fleet.catalog.owner import process_mark
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.catalog.rows import Doing, Phase, RawRow, Row
from skinnybox.hosts.record import to_text
from skinnybox.model import Instance
from skinnybox.values import replace

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


_ADDITIONS = {
    "leases": leases.TABLE,
    "held_ports": clashes.TABLE,
    "held_places": clashes.PLACES,
    "held_names": held_names.TABLE,
    "jobs": of_no_machine.JOBS,
    "tokens": of_no_machine.TOKENS,
    "answers": of_no_machine.ANSWERS,
}


class Catalog:
    """Every method is one transaction, and may be called from several threads."""

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        """With `anew`, a fresh one beside machines that are about to be told to it."""
        self._folder = path.parent
        self._known_hosts = known_hosts.folder(path.parent)
        self._db = Database(path, MIGRATIONS, lambda: anew or self._may_be_new(), _ADDITIONS)

    @property
    def path(self) -> Path:
        return self._db.path

    @property
    def database(self) -> Database:
        """For jobs.py and tokens.py: what is kept in it that is of no machine."""
        return self._db

    @property
    def note(self) -> str | None:
        """What who reads it has to know: that nothing can be written, and why."""
        denied = self._db.read_only
        if denied is None:
            return None
        return f"only read, nothing can be written: {denied.message}" + (
            f"; {self._db.missing}" if self._db.missing else ""
        )

    def make(self) -> None:
        """Its file, which otherwise the first change makes: before anything says that machines are elsewhere,
        which would make one that is absent a lost one. Idempotent."""
        self._db.make()

    def close(self) -> None:
        self._db.close()

    def _may_be_new(self) -> bool:
        """A catalog that is empty beside machines has been lost, and must not give their names away."""
        records = (self._folder / "instances").glob("*/instance.json")  # a pool keeps its own
        return next(records, None) is None and not host_kind.are_elsewhere(self._folder)

    def claim(self, instances: Sequence[Instance]) -> list[Instance]:
        """Take all the names, or none. Conflict naming those that are taken. Returns them with the ssh ports
        they have: one that another process took meanwhile is replaced by the next free one. A forwarded port
        leads to one machine, and an address on a bridge is one's: else Conflict, naming that."""
        with self._db.writing():
            self.refuse_taken(instances)
            self.refuse_known(instances)
            claimed = self._with_free_ports(instances)
            clashes.refuse(self._db, claimed)
            self._insert(claimed, Phase.CREATING, process_mark())
        return claimed

    def refuse_taken(self, new: Sequence[Instance]) -> None:
        """Conflict naming those whose names are taken."""
        names = [instance.name for instance in new]
        taken = [*self.taken(names), *held_names.held(self._db, names)]
        if taken:
            raise Conflict(
                f"{len(taken)} of {len(new)} names are taken: {', '.join(taken[:5])}",
                hint="--skip-existing creates only the others",
            )

    def refuse_known(self, new: Sequence[Instance]) -> None:
        """Conflict for one that is here already, by whatever name: as of an archive of a machine."""
        for instance in new:
            for (name,) in self._db.all("SELECT name FROM instances WHERE uuid = ?", (str(instance.uuid),)):
                raise Conflict(
                    f"that machine is here already, as {name}", hint="--new-identity makes another of it"
                )

    def check_ports(self, new: Sequence[Instance]) -> None:
        """Before anything is made for them: what claim() would say of their ports and addresses just now."""
        clashes.refuse(self._db, new)

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
            [_values(instance, phase, owner) for instance in instances],
        )

    def taken(self, names: Iterable[str]) -> list[str]:
        existing = set(self.names())
        return [name for name in names if name in existing]

    def confirm(self, instances: Sequence[Instance]) -> None:
        """Those that this process claimed exist now. Conflict, with nothing written, when another command
        has taken one of them back."""
        ours = process_mark()
        with self._db.writing():
            written = self._db.many(
                "UPDATE instances SET phase = 'defined', owner = NULL"
                " WHERE uuid = ? AND phase = 'creating' AND owner = ?",
                [(str(instance.uuid), ours) for instance in instances],
            )
            if written != len(instances):
                raise Conflict("another command cleared away what was being created", hint="try again")

    def give_up(self, instance: Instance) -> None:
        """Nobody creates it any more, and it could not be taken back: the next command does that."""
        with self._db.writing():
            self._db.execute(
                "UPDATE instances SET owner = NULL WHERE uuid = ? AND phase = 'creating' AND owner = ?",
                (str(instance.uuid), process_mark()),
            )

    def take(self, uuid: UUID, name: str, doing: Doing) -> Lease:
        """See leases.py, also for the next five."""
        return leases.take(self._db, uuid, name, doing)

    def refuse_busy(self, uuid: UUID, name: str, doing: Doing) -> None:
        leases.refuse_busy(self._db, uuid, name, doing)

    def turn(self, lease: Lease, doing: Doing) -> None:
        leases.turn(self._db, lease, doing)

    def hold_ports(self, lease: Lease, instance: Instance) -> None:
        leases.hold_ports(self._db, lease, instance)

    def record(self, lease: Lease, instance: Instance, *, end: bool) -> None:
        leases.record(self._db, lease, instance, end=end)

    def release(self, lease: Lease, phase: Phase) -> None:
        leases.release(self._db, lease, phase)

    def forget(self, instances: Iterable[Instance]) -> None:
        uuids = [instance.uuid for instance in instances]
        with self._db.writing():
            self._db.many("DELETE FROM instances WHERE uuid = ?", [(str(uuid),) for uuid in uuids])
        for uuid in uuids:
            known_hosts.drop(self._known_hosts, uuid)

    def names(self) -> list[str]:
        found = [name for (name,) in self._db.all("SELECT name FROM instances ORDER BY name")]
        if not all(isinstance(name, str) for name in found):
            raise damaged("a machine's name is none")
        return found

    def rows(self, names: Sequence[str] | None = None) -> list[Row]:
        """Those named, in that order; all, by name, when none are given."""
        query = f"SELECT name, {rows.COLUMNS} FROM {rows.TABLES}"
        if names is not None and len(names) <= 500:
            marks = ",".join("?" * len(names))
            found = self._db.all(f"{query} WHERE name IN ({marks})", list(names))
        else:
            found = self._db.all(f"{query} ORDER BY name")
        read = {name: rows.parsed(*values) for name, *values in found}
        if any(row.instance.name != name for name, row in read.items()):
            raise damaged("a record stands under another name")
        return list(read.values()) if names is None else [read[name] for name in names if name in read]

    def unfinished(self) -> list[Row]:
        """What a process that is gone left half created, changed or deleted."""
        found = self._db.all(
            f"SELECT {rows.COLUMNS} FROM {rows.TABLES}"
            " WHERE phase <> 'defined' OR owner IS NOT NULL ORDER BY name"
        )
        return [row for row in (rows.parsed(*values) for values in found) if row.is_unfinished]

    def check(self) -> None:
        """Read every page. Corrupt when one is damaged."""
        found = [line for (line,) in self._db.all("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            raise Corrupt(f"{self.path} is damaged: {found[0]}", hint=REPAIR)

    def raw_rows(self) -> list[RawRow]:
        """Every row, readable or not."""
        found = self._db.all(f"SELECT uuid, name, {rows.COLUMNS} FROM {rows.TABLES}")
        return [rows.raw(*values) for values in found]

    def put_right(
        self,
        machines: Sequence[tuple[Instance, tuple[str, ...]]],
        replaced: Iterable[Lease],
        gone: Iterable[Lease],
    ) -> None:
        """`machines` are there, as they are and with these host keys, in place of the rows `replaced`; of
        those `gone` there is nothing any more. Conflict, with nothing written, when a name, an identity or an
        ssh port is another machine's by now, or a row is not ours."""
        removed = [*replaced, *gone]
        with self._db.writing():
            for lease in removed:
                leases.require(self._db, lease)
            self._db.many("DELETE FROM instances WHERE uuid = ?", [(str(lease.uuid),) for lease in removed])
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
        return {port for (port,) in self._db.all(f"SELECT port FROM ({leases.PORTS})")}

    def pin_host_keys(self, uuid: UUID, keys: tuple[str, ...]) -> None:
        """Remember the first keys a machine reported; later ones change nothing. They are kept as a file as
        well, which ssh reads and which outlives this catalog."""
        with self._db.writing():
            new = self._db.execute(
                "INSERT OR IGNORE INTO host_keys SELECT uuid, ? FROM instances WHERE uuid = ?",
                (json.dumps(keys), str(uuid)),
            )
        if new:
            with contextlib.suppress(OSError):
                known_hosts.keep(self._known_hosts, uuid, keys)

    def unpin_host_keys(self, uuid: UUID) -> None:
        known_hosts.drop(self._known_hosts, uuid)
        with self._db.writing():
            self._db.execute("DELETE FROM host_keys WHERE uuid = ?", (str(uuid),))


def _values(i: Instance, phase: Phase, owner: str | None) -> tuple[str | int | None, ...]:
    return str(i.uuid), i.name, phase, owner, i.stack.master, i.ssh_port, to_text(i)
