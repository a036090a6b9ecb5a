"""What commands that were killed left half done: gone on with by the next one, and told as it came out."""

from typing import TYPE_CHECKING

from skinnybox.errors import SkinnyboxError, of_system
from skinnybox.fleet.catalog.rows import Doing, Phase, Row

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.catalog.catalog import Catalog
    from skinnybox.hosts.base import Host


def finish(host: "Host", catalog: "Catalog") -> "list[Outcome[Row]]":
    """Take back what was being created, complete what was being deleted (with force, where that was said),
    and give back what was being changed, as it is now. What cannot be done stays for the next command, with
    the reason; others' work in progress is not touched."""
    return [_finished(host, catalog, row) for row in catalog.unfinished()]


def _finished(host: "Host", catalog: "Catalog", row: Row) -> "Outcome[Row]":
    from skinnybox.fleet import delete
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.lease import leased

    instance = row.instance
    try:
        if row.phase is Phase.DEFINED:
            with leased(host, catalog, instance, Doing.REPAIR) as held:
                held.commit(held.instance)
        else:
            delete.complete(host, catalog, instance, force=row.doing is Doing.DELETE_FORCED)
    except SkinnyboxError as error:
        return Outcome(name=instance.name, value=row, error=error)
    except OSError as error:
        return Outcome(name=instance.name, value=row, error=of_system(error))
    return Outcome(name=instance.name, value=row)
