"""A larger overlay, or data disk, for a stopped machine. The host is the truth: what a killed `grow` had done
already is written down by the next one."""

from dataclasses import dataclass, replace

from skinnybox.errors import Blocked, NotFound
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.create import whole_mib
from skinnybox.fleet.lease import Held, leased
from skinnybox.hosts.base import Host
from skinnybox.model import DiskKind, Instance, ranges
from skinnybox.operation import Operation
from skinnybox.overlays.grow import grow as grow_image
from skinnybox.sizes import format_size

_NAMED = {DiskKind.OVERLAY: "overlay", DiskKind.DATA: "data disk"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What became of a disk, in bytes; the same twice when there was nothing to do."""

    before: int
    after: int


def grow(
    host: Host,
    catalog: Catalog,
    instance: Instance,
    size: int,
    *,
    by: bool,
    operation: Operation,
    disk: DiskKind = DiskKind.OVERLAY,
) -> Grown:
    """To `size` bytes, or by so many, rounded up to whole MiB. Idempotent without `by`. Blocked when it would
    shrink; NotFound when there is no such disk; NoSpace, with nothing touched, when both do not fit for a
    moment."""
    with leased(host, catalog, instance, Doing.GROW) as held:
        return _grown(host, held, size, by, operation, disk)


def _grown(host: Host, held: Held, size: int, by: bool, operation: Operation, disk: DiskKind) -> Grown:
    instance = held.instance
    has = instance.disks.get(disk)
    if has is None:
        hint = f"skinnybox set {instance.name} --data SIZE gives it one"
        raise NotFound(f"{instance.name} has no data disk", hint=hint)
    host.refuse_used(instance)
    before = host.overlay_size(instance, disk)
    asked = (ranges.DATA if disk is DiskKind.DATA else ranges.OVERLAY).check(before + size if by else size)
    wanted = whole_mib(replace(has, size=asked)).size
    if wanted < before:
        raise Blocked(
            f"the {_NAMED[disk]} of {instance.name} has {format_size(before)}: it never shrinks",
            hint="a smaller one is a new machine's",
        )
    if wanted > before:
        host.rebuild_overlay(
            instance, wanted, lambda old, new: grow_image(old, new, operation, disk), operation, disk
        )
    if wanted != has.size:
        held.commit(instance.with_size(disk, wanted))
    return Grown(before=before, after=wanted)
