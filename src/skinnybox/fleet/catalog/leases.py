"""Who may change a machine: one at a time, by name, and found out when that one has died.

A lease is two marks in the catalog: the owner in the machine's row, which every version understands, and
beside it what the owner is at and a number of its own, so that two threads of one process are not taken for
each other. It is taken in one short transaction and ended in another; in between the host is called for as
long as that takes, and nobody else's command waits for the database.

    creating   the row appears with it; given back, or died of, the next command clears the machine away
    changing   the row stays `defined`: it is a machine, and its record on the host is the truth
    deleting   the row says so; given back half way, or died of, the next command goes on with it

What a dead owner leaves is judged by fleet/repair/unfinished.py.
"""

import os
from uuid import UUID

from skinnybox.errors import Conflict, NotFound
from skinnybox.fleet.catalog import clashes, held_names, rows
from skinnybox.fleet.catalog.database import Database
from skinnybox.fleet.catalog.owner import process_lives, process_mark
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.hosts.record import to_text
from skinnybox.model import Instance
from skinnybox.values import dataclass

TABLE = """
    CREATE TABLE {} leases (
        uuid  TEXT PRIMARY KEY {},
        nonce TEXT NOT NULL,
        doing TEXT NOT NULL
    ) STRICT
"""
"""No part of the format: a version that does not know it passes it over, and its rows go with their
machines."""

PORTS = """
    SELECT uuid, name, ssh_port AS port FROM instances WHERE ssh_port IS NOT NULL
    UNION
    SELECT uuid, name, json_extract(record, '$.ssh_port') AS port FROM instances
    WHERE owner IS NOT NULL AND json_valid(record) AND port IS NOT NULL
"""
"""What leads to which machine. One that is being changed, or whose owner died over it, has two: the new one,
and that of its record, which it goes back to when the host was not told."""

_DELETING = frozenset({Doing.DELETE, Doing.DELETE_FORCED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Proof that a machine is ours to change. `instance` is how it was when it was taken, None when its row
    cannot be read; `phase` is what it was then; `interrupted`: somebody died over it."""

    uuid: UUID
    name: str
    nonce: str
    instance: Instance | None
    phase: Phase
    interrupted: bool


def take(db: Database, uuid: UUID, name: str, doing: Doing) -> Lease:
    """Conflict, naming who has it and at what; NotFound when it is gone. What was half created or deleted by
    somebody who died is only to be deleted."""
    with db.writing():
        row = refuse_busy(db, uuid, name, doing)
        phase = Phase(row.phase)
        lease = Lease(
            uuid=uuid, name=name, nonce=os.urandom(8).hex(), instance=row.instance, phase=phase,
            interrupted=row.owner is not None,
        )  # fmt: skip
        _mark(db, uuid, Phase.DELETING if doing in _DELETING else phase, process_mark())
        db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (str(uuid), lease.nonce, doing.value))
    return lease


def refuse_busy(db: Database, uuid: UUID, name: str, doing: Doing) -> rows.RawRow:
    """Its row. Raises what taking it now would; nothing is taken."""
    query = f"SELECT uuid, name, {rows.COLUMNS} FROM {rows.TABLES} WHERE uuid = ?"
    found = [rows.raw(*values) for values in db.all(query, (str(uuid),))]
    if not found:
        raise NotFound(f"{name} was deleted meanwhile")
    [row] = found
    if row.is_held:
        raise Conflict(
            f"{name} is being {row.doing} by process {(row.owner or '').split('/')[1]}",
            hint="wait until that command ends",
        )
    if Phase(row.phase) is not Phase.DEFINED and doing not in _DELETING:
        raise Conflict(
            f"{name} was only half {row.doing}: that was interrupted",
            hint=f"`skinnybox repair` goes on with it, or: skinnybox delete {name}",
        )
    return row


def hold_ports(db: Database, lease: Lease, instance: Instance) -> None:
    """Keep its name, ports and addresses for it, before the host is told or its disk is touched. Conflict
    when one is another machine's."""
    port, before = instance.ssh_port, lease.instance
    with db.writing():
        require(db, lease)
        if before is None or clashes.differ(before, instance):
            clashes.refuse(db, [instance], before)
            clashes.hold(db, instance)
        taken = db.all(f"SELECT name FROM ({PORTS}) WHERE port = ? AND uuid <> ?", (port, str(lease.uuid)))
        if taken:
            raise Conflict(
                f"port {port} leads to {taken[0][0]}", hint="`skinnybox list` shows which are taken"
            )
        if before is None or before.name != instance.name:
            held_names.hold(db, instance)
        db.execute("UPDATE instances SET ssh_port = ? WHERE uuid = ?", (port, str(lease.uuid)))


def turn(db: Database, lease: Lease, doing: Doing) -> None:
    """It is taken for something else from now on: to be deleted, once all that is to be kept is elsewhere.
    Conflict or NotFound when it is not ours any more."""
    with db.writing():
        require(db, lease)
        _mark(db, lease.uuid, Phase.DELETING if doing in _DELETING else lease.phase, process_mark())
        db.execute("UPDATE leases SET doing = ? WHERE uuid = ?", (doing.value, str(lease.uuid)))


def record(db: Database, lease: Lease, instance: Instance, *, end: bool) -> None:
    """Write down how it is now, and with `end` give the machine back. Conflict or NotFound, with nothing
    written, when it is not ours any more."""
    with db.writing():
        require(db, lease)
        db.execute(
            "UPDATE instances SET ssh_port = ?, name = ?, master = ?, record = ? WHERE uuid = ?",
            (
                instance.ssh_port,
                instance.name,
                instance.stack.master,
                to_text(instance),
                str(lease.uuid),
            ),
        )
        if end:
            _give_back(db, lease.uuid, Phase.DEFINED)


def release(db: Database, lease: Lease, phase: Phase) -> None:
    """Give it back as it was, in this phase; what was written of it before stays. Nothing happens when it is
    not ours any more."""
    with db.writing():
        if not _is_ours(db, lease):
            return
        if lease.instance is not None:
            db.execute(
                "UPDATE instances SET ssh_port = (SELECT json_extract(record, '$.ssh_port')) WHERE uuid = ?",
                (str(lease.uuid),),
            )
        _give_back(db, lease.uuid, phase)


def _mark(db: Database, uuid: UUID, phase: Phase, owner: str | None) -> None:
    db.execute("UPDATE instances SET phase = ?, owner = ? WHERE uuid = ?", (phase, owner, str(uuid)))


def _give_back(db: Database, uuid: UUID, phase: Phase) -> None:
    """Of what is to be deleted it stays written whether by force: who goes on with it needs to know."""
    _mark(db, uuid, phase, None)
    clashes.let_go(db, uuid)
    held_names.let_go(db, uuid)
    if phase is not Phase.DELETING:
        db.execute("DELETE FROM leases WHERE uuid = ?", (str(uuid),))


def _is_ours(db: Database, lease: Lease) -> bool:
    query = "SELECT owner FROM instances JOIN leases USING (uuid) WHERE uuid = ? AND nonce = ?"
    found = db.all(query, (str(lease.uuid), lease.nonce))
    return bool(found and found[0][0] and process_lives(found[0][0]))


def require(db: Database, lease: Lease) -> None:
    """Within a transaction: Conflict or NotFound when it is not ours any more."""
    if _is_ours(db, lease):
        return
    if not db.all("SELECT 1 FROM instances WHERE uuid = ?", (str(lease.uuid),)):
        raise NotFound(f"{lease.name} was deleted meanwhile")
    raise Conflict(
        f"{lease.name} was taken over by another command", hint="look what came of it, and try again"
    )
