"""Machines in which a master was edited by a command that was killed (fleet/editing.py)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from skinnybox.fleet import delete
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.owner import process_lives
from skinnybox.fleet.catalog.rows import Phase, RawRow
from skinnybox.fleet.editing import LABEL, PREFIX, SCRIPT
from skinnybox.hosts.base import Host
from skinnybox.issues import Deed, Finding
from skinnybox.model import Instance


def left(folder: Path, host: Host, catalog: Catalog) -> Iterator[Finding]:
    """What a script did is done again by the same command; what somebody typed there is nowhere else."""
    for row in catalog.raw_rows():
        instance = row.instance
        owner, _, how = _owner(instance).rpartition("/")
        if instance is None or not owner or _is_at_work(row) or process_lives(owner):
            continue
        path = folder / "instances" / row.uuid
        what = f"{row.name} was made by a `master edit` that was killed"
        if how == SCRIPT and not instance.protected:
            act = partial(delete.complete, host, catalog, instance, force=True)
            yield Finding(path=path, what=f"{what}: its script can run again", deed=Deed.REMOVE, act=act)
        else:
            ways = f"`skinnybox promote {row.name} MASTER` seals what was done there, or delete it"
            yield Finding(path=path, what=f"{what}: {ways}", deed=Deed.KEEP)


def _owner(instance: Instance | None) -> str:
    """Anybody may give a machine this label: only with such a name it is one of ours."""
    if instance is None or not instance.name.startswith(PREFIX):
        return ""
    return dict(instance.labels).get(LABEL, "")


def _is_at_work(row: RawRow) -> bool:
    return row.is_held or row.phase != Phase.DEFINED
