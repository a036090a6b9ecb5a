"""Ports of this host that lead into machines, each into one, and addresses on its bridges, each of one.

It is looked at in the transaction that writes it down. A machine that exists is told to its host in between,
for as long as that takes, so what it is to have is held here meanwhile: two commands at the same time both
found a port free once, both machines got it, and only one of them could start. What a command that was killed
held stays held until the next one has settled what became of that machine.
"""

import json
from collections.abc import Collection, Sequence
from uuid import UUID

from skinnybox.errors import Conflict
from skinnybox.fleet.catalog import rows
from skinnybox.fleet.catalog.database import Database, damaged
from skinnybox.model import Forward, Instance, ranges
from skinnybox.model.places import Place, places, taken

TABLE = """
    CREATE TABLE {} held_ports (
        uuid  TEXT PRIMARY KEY {},
        ports TEXT NOT NULL
    ) STRICT
"""
"""Like that of leases.py no part of the format."""
PLACES = """
    CREATE TABLE {} held_places (
        uuid   TEXT PRIMARY KEY {},
        places TEXT NOT NULL
    ) STRICT
"""
"""So is this: beside the other, which an earlier version at work at the same time has to be able to read."""


def differ(one: Instance, other: Instance) -> bool:
    return ports_of(one) != ports_of(other) or places(one) != places(other)


def ports_of(instance: Instance) -> tuple[Forward, ...]:
    """All that lead into it, that for ssh too."""
    ssh = (Forward(port=instance.ssh_port, to=22),) if instance.ssh_port else ()
    return (*instance.forwards, *ssh)


def refuse(db: Database, new: Sequence[Instance], before: Instance | None = None) -> None:
    """Conflict, naming the machine, when a port or an address of these is another's, or will be. An address
    that a machine had `before`, by whatever way it came to it, it keeps."""
    kept = () if before is None else places(before)
    asked = {instance.uuid: [place for place in places(instance) if place not in kept] for instance in new}
    # The catalog gives out those for ssh, and no other may be in their range.
    forwarded = any(i.forwards or (i.ssh_port and not ranges.SSH_PORTS.has(i.ssh_port)) for i in new)
    if not forwarded and not any(asked.values()):
        return
    ports, at = _of_others(db, {instance.uuid for instance in new})
    for instance in new:
        for forward in ports_of(instance):
            _refuse_met(forward, ports.get(forward.port, ()))
            ports.setdefault(forward.port, []).append((forward, instance.name))
        for place in asked[instance.uuid]:
            if place in at:
                raise Conflict(
                    taken(place, at[place]), hint="another address, or that one gets another first"
                )
            at[place] = instance.name


def _of_others(
    db: Database, uuids: Collection[UUID]
) -> tuple[dict[int, list[tuple[Forward, str]]], dict[Place, str]]:
    """Ports and addresses of all machines but these, with the name of whose each is."""
    ports: dict[int, list[tuple[Forward, str]]] = {}
    at: dict[Place, str] = {}
    held = "LEFT JOIN held_ports USING (uuid) LEFT JOIN held_places USING (uuid)"
    for forwards, addresses, *values in db.all(
        f"SELECT ports, places, {rows.COLUMNS} FROM {rows.TABLES} {held}"
    ):
        other = rows.parsed(*values).instance
        if other.uuid not in uuids:
            for forward in (*ports_of(other), *_read(forwards)):
                ports.setdefault(forward.port, []).append((forward, other.name))
            for place in (*places(other), *_read_places(addresses)):
                at.setdefault(place, other.name)
    return ports, at


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
    at = json.dumps(places(instance))
    db.execute("INSERT OR REPLACE INTO held_places VALUES (?, ?)", (str(instance.uuid), at))


def let_go(db: Database, uuid: UUID) -> None:
    db.execute("DELETE FROM held_ports WHERE uuid = ?", (str(uuid),))
    db.execute("DELETE FROM held_places WHERE uuid = ?", (str(uuid),))


def _read(held: str | None) -> list[Forward]:
    try:
        return [Forward(address=a, port=port, to=to) for a, port, to in json.loads(held or "[]")]
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(f"the ports held for a machine are none: {error}") from error


def _read_places(held: str | None) -> list[Place]:
    try:
        return [(str(bridge), str(address)) for bridge, address in json.loads(held or "[]")]
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(f"the addresses held for a machine are none: {error}") from error
