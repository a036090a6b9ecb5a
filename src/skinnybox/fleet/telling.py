"""Telling a stopped machine something else than its seed says so far: what its guest has to know before it
mounts its root."""

from dataclasses import replace
from typing import TypedDict

from skinnybox.fleet import knowing
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.update_seed import reseed
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, Master, Swap, ThrowAway
from skinnybox.model.swap import check_swap
from skinnybox.model.throwaway import check_throw_away
from skinnybox.operation import Operation


class Telling(TypedDict, total=False):
    """What to change; what is not in it stays."""

    swap: Swap | None
    throw_away: ThrowAway | None


def tell(
    host: Host, catalog: Catalog, instance: Instance, master: Master, telling: Telling, operation: Operation
) -> Instance:
    """Returns it as it is then. Idempotent: of what it is told already there is no new seed. Raises what
    `create` would say of such a machine, and what `reseed` does."""

    def alter(now: Instance) -> Instance:
        new = replace(now, **telling)
        check_swap(new.swap, new.overlay)
        check_throw_away(new.throw_away, new.memory)
        knowing.check(new, master)
        return new

    if alter(instance) == instance:
        return instance
    return reseed(host, catalog, instance, alter, operation)
