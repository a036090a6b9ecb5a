"""Ports of this host that lead into machines: each into one.

It is looked at in the transaction that writes it down. A machine that exists is told to its host in between,
for as long as that takes, so what it is to have is held here meanwhile: two commands at the same time both
found a port free once, both machines got it, and only one of them could start. What a command that was killed
held stays held until the next one has settled what became of that machine.
"""

import json
from collections.abc import Sequence
from uuid import UUID

from skinnybox.errors import Conflict
from skinnybox.fleet.catalog import rows
from skinnybox.fleet.catalog.database import Database, damaged
from skinnybox.model import Forward, Instance, ranges

TABLE = """
    CREATE TABLE {} held_ports (
        uuid  TEXT PRIMARY KEY {},
        ports TEXT NOT NULL
    ) STRICT
"""
"""Like that of leases.py no part of the format."""


def ports_of(instance: Instance) -> tuple[Forward, ...]:
    """All that lead into it, that for ssh too."""
    ssh = (Forward(port=instance.ssh_port, to=22),) if instance.ssh_port else ()
    return (*instance.forwards, *ssh)


def refuse(db: Database, new: Sequence[Instance]) -> None:
    """Conflict, naming the machine, when a port of these is another's, or will be."""
    if not any(i.forwards or (i.ssh_port and not ranges.SSH_PORTS.has(i.ssh_port)) for i in new):
        return  # the catalog gives out those for ssh, and no other may be in their range
    uuids = {instance.uuid for instance in new}
    taken: dict[int, list[tuple[Forward, str]]] = {}
    query = f"SELECT ports, {rows.COLUMNS} FROM {rows.TABLES} LEFT JOIN held_ports USING (uuid)"
    for held, *values in db.all(query):
        other = rows.parsed(*values).instance
        if other.uuid not in uuids:
            for forward in (*ports_of(other), *_read(held)):
                taken.setdefault(forward.port, []).append((forward, other.name))
    for instance in new:
        for forward in ports_of(instance):
            _refuse_met(forward, taken.get(forward.port, ()))
            taken.setdefault(forward.port, []).append((forward, instance.name))


def _refuse_met(forward: Forward, taken: Sequence[tuple[Forward, str]]) -> None:
    for other, name in taken:
        if other.meets(forward):
            raise Conflict(
                f"port {forward.port} of {forward.address} leads to {name} already",
                hint=f"another port, or: skinnybox forward {name} --remove {forward.port}",
            )


def hold(db: Database, instance: Instance) -> None:
    """Within the transaction that refused them to nobody; let_go ends it."""
    ports = json.dumps([(forward.address, forward.port, forward.to) for forward in ports_of(instance)])
    db.execute("INSERT OR REPLACE INTO held_ports VALUES (?, ?)", (str(instance.uuid), ports))


def let_go(db: Database, uuid: UUID) -> None:
    db.execute("DELETE FROM held_ports WHERE uuid = ?", (str(uuid),))


def _read(held: str | None) -> list[Forward]:
    try:
        return [Forward(address=a, port=port, to=to) for a, port, to in json.loads(held or "[]")]
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(f"the ports held for a machine are none: {error}") from error
