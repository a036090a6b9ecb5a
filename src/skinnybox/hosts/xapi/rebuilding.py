"""Disks in a pool that are made here of what they hold, and take the place of what was there."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.building import Building, Buildings
from skinnybox.hosts.xapi import disks, keeping, maps, others, tags
from skinnybox.hosts.xapi.fetching import fetched
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import Operation


def rebuild(
    pool: Pool,
    instance: Instance,
    buildings: Buildings,
    templates: Path,
    operation: Operation,
    ready: Callable[[], None],
) -> None:
    """See rebuild_disks in base.py. Not killed, but stopped, none of them counts: those that did already are
    deleted again."""
    with disks.exclusive(pool, instance):
        still_off = others.off(pool, instance)
        found = {kind: pool.overlay(instance, kind) for kind in buildings}
        with ExitStack() as undo:
            made: dict[DiskKind, Found] = {}
            for kind, building in buildings.items():
                generation = tags.generation_of(found[kind][1]) + 1
                undo.enter_context(disks.undone(pool, instance, generation, kind))
                with _built(pool, instance, found[kind], building, templates, operation) as new:
                    sr = found[kind][1]["SR"]
                    made[kind] = disks.uploaded(pool, instance, new, generation, sr, operation, kind)
            with _marked(pool, instance, found, buildings):
                still_off()
                ready()
                for kind, disk in made.items():
                    maps.put(pool, "VDI", *disk, tags.ROLE, disks.ROLES[kind].value)
        for old in found.values():
            disks.attach_current(pool, instance, old)


@contextmanager
def _marked(
    pool: Pool, instance: Instance, found: Mapping[DiskKind, Found], buildings: Buildings
) -> Iterator[None]:
    """What is to be kept is marked in the block, and nothing else is."""
    with ExitStack() as marks:
        for kind, building in buildings.items():
            if building.keep is not None:
                marks.enter_context(keeping.marked(pool, instance, found[kind], building.keep))
            else:
                keeping.unmark(pool, found[kind])
        yield


@contextmanager
def _built(
    pool: Pool, instance: Instance, found: Found, building: Building, templates: Path, operation: Operation
) -> Iterator[Path]:
    with pool.workspace() as work:
        kind = tags.kind_of(found[1])
        old = fetched(pool, instance, *found, work / f"{kind}.img", templates, operation)
        new = work / "new.img"
        new.touch(mode=0o600)
        os.truncate(new, building.size)
        building.build(old, new)
        if new.stat().st_size != building.size:
            raise SkinnyboxError(f"{new} did not keep its size while it was made")
        yield new
