"""Telling a stopped machine something else than its seed says so far: what its guest has to know before it
mounts its root, and what it is to check of itself."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypedDict

from skinnybox.fleet import knowing
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.change import Changing, altered, change, changed
from skinnybox.fleet.update_seed import reseed
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, Master, Swap, ThrowAway
from skinnybox.operation import Operation


class Telling(TypedDict, total=False):
    """What to change; what is not in it stays."""

    swap: Swap | None
    throw_away: ThrowAway | None
    check: str | None


def tell(
    host: Host,
    catalog: Catalog,
    instance: Instance,
    master: Master,
    telling: Telling,
    changing: Changing,
    ports: Iterator[int],
    operation: Operation,
) -> Instance:
    """Returns it as it is then, with what else is to be changed: all of it or nothing, since each may need
    the other, as what is thrown away in memory needs that. Idempotent: of what it is told already there is no
    new seed. Raises what `create` would say of such a machine, and what `reseed` does."""

    def alter(now: Instance) -> Instance:
        new = altered(host, replace(changed(now, changing), **telling), ports)
        knowing.check(new, master)
        return new

    if replace(instance, **telling) == instance:
        return change(host, catalog, instance, changing, ports) if changing else instance
    alter(instance)  # refused before anybody is kept from it
    return reseed(host, catalog, instance, alter, operation)
