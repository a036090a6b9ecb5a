"""Names that machines are about to have, while their hosts are told: until then their rows have others."""

from collections.abc import Iterable
from uuid import UUID

from skinnybox.errors import Conflict
from skinnybox.fleet.catalog.database import Database
from skinnybox.model import Instance

TABLE = """
    CREATE TABLE {} held_names (
        uuid TEXT PRIMARY KEY {},
        name TEXT NOT NULL UNIQUE
    ) STRICT
"""
"""Like that of leases.py no part of the format. What a command that was killed held stays held until the next
one has settled what became of that machine."""


def held(db: Database, names: Iterable[str]) -> list[str]:
    """Those of them that a machine is about to have."""
    taken = {name for (name,) in db.all("SELECT name FROM held_names")}
    return [name for name in names if name in taken]


def hold(db: Database, instance: Instance) -> None:
    """Within a transaction; let_go ends it. Conflict when it is another machine's name, or will be."""
    query = "SELECT uuid FROM instances WHERE name = ? UNION SELECT uuid FROM held_names WHERE name = ?"
    others = {uuid for (uuid,) in db.all(query, (instance.name, instance.name))} - {str(instance.uuid)}
    if others:
        raise Conflict(f"there is a machine {instance.name} already", hint="choose another name")
    db.execute("INSERT OR REPLACE INTO held_names VALUES (?, ?)", (str(instance.uuid), instance.name))


def let_go(db: Database, uuid: UUID) -> None:
    db.execute("DELETE FROM held_names WHERE uuid = ?", (str(uuid),))
