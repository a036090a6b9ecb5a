"""A larger overlay for a stopped machine. The host is the truth: what a killed `grow` had done already is
written down by the next one."""

from dataclasses import dataclass, replace

from skinnybox.errors import Blocked
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.create import whole_mib
from skinnybox.fleet.lease import Held, leased
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, ranges
from skinnybox.operation import Operation
from skinnybox.overlays.grow import grow as grow_image
from skinnybox.sizes import format_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What became of an overlay, in bytes; the same twice when there was nothing to do."""

    before: int
    after: int


def grow(
    host: Host, catalog: Catalog, instance: Instance, size: int, *, by: bool, operation: Operation
) -> Grown:
    """To `size` bytes, or by so many, rounded up to whole MiB. Idempotent without `by`. Blocked when it would
    shrink; NoSpace, with nothing touched, when both do not fit for a moment."""
    with leased(host, catalog, instance, Doing.GROW) as held:
        return _grown(host, held, size, by, operation)


def _grown(host: Host, held: Held, size: int, by: bool, operation: Operation) -> Grown:
    instance = held.instance
    host.refuse_used(instance)
    before = host.overlay_size(instance)
    asked = ranges.OVERLAY.check(before + size if by else size)
    wanted = whole_mib(replace(instance.overlay, size=asked)).size
    if wanted < before:
        raise Blocked(
            f"the overlay of {instance.name} has {format_size(before)}: it never shrinks",
            hint="a smaller one is a new machine's",
        )
    if wanted > before:
        host.rebuild_overlay(instance, wanted, lambda old, new: grow_image(old, new, operation), operation)
    if wanted != instance.overlay.size:
        held.commit(replace(instance, overlay=replace(instance.overlay, size=wanted)))
    return Grown(before=before, after=wanted)
