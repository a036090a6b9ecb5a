"""A larger overlay, or data disk. The host is the truth: what a killed `grow` had done already is written
down by the next one.

Of a machine that is off a new image is made, with its filesystem. One that runs gets a larger disk where it
is, and its own guest makes the filesystem larger; only its report says that it has.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox.errors import Blocked, Corrupt, NotFound, Unsupported
from skinnybox.fleet import encrypted, power
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.create import whole_mib
from skinnybox.fleet.lease import Held, leased
from skinnybox.fleet.machine_queries import MachineQueries
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.model import DataDisk, DiskKind, GuestDisk, Instance, Overlay, ranges
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.grow import grow as grow_image
from skinnybox.sizes import MIB, format_size

_NAMED = {DiskKind.OVERLAY: "overlay", DiskKind.DATA: "data disk"}
FOLLOWING = 60.0
"""Seconds that a running guest is waited for: it looks at its disks every 15, and has little to do then."""
SILENT = 10.0
"""Seconds that a guest which tells nothing of its disks is waited for: it does so just after it is ready."""
_POLL = 0.5
_UNUSED = 16 * MIB
_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What became of a disk, in bytes; the same twice when there was nothing to do. `live`: of a machine
    that runs, and `followed` that its guest says its filesystem fills the disk; else `why` not, as far as
    known."""

    before: int
    after: int
    live: bool = False
    followed: bool = False
    why: str | None = None


Look = Callable[[Instance], MachineView]


def grow(
    host: Host,
    catalog: Catalog,
    instance: Instance,
    size: int,
    *,
    by: bool,
    operation: Operation,
    disk: DiskKind = DiskKind.OVERLAY,
    look: Look | None = None,
) -> Grown:
    """To `size` bytes, or by so many, rounded up to whole MiB. Idempotent without `by`. With `look`, which
    says how it is now, also while it runs. Blocked when it would shrink; NotFound when there is no such disk;
    NoSpace, with nothing touched, when both do not fit for a moment (it is off), or there is no room for what
    is promised (it runs)."""
    with leased(host, catalog, instance, Doing.GROW) as held:
        if look is None or not power.running(look(held.instance)):
            return _grown(host, held, size, by, operation, disk)
        return _grown_running(host, held, size, by, operation, disk)


def _grown(host: Host, held: Held, size: int, by: bool, operation: Operation, disk: DiskKind) -> Grown:
    instance = held.instance
    has = _disk_of(instance, disk)
    host.refuse_used(instance)
    before = host.overlay_size(instance, disk)
    wanted = _wanted(instance, disk, before, size, by)
    if wanted > before or _lags(host, instance, before, disk, operation):

        def build(old: Path, new: Path) -> None:
            if encrypted.is_opaque(instance, disk):
                encrypted.copied(old, new, operation)
            else:
                grow_image(old, new, operation, disk)

        host.rebuild_overlay(instance, wanted, build, operation, disk)
    if wanted != has.size:
        held.commit(instance.with_size(disk, wanted))
    return Grown(before=before, after=wanted)


def _grown_running(
    host: Host, held: Held, size: int, by: bool, operation: Operation, disk: DiskKind
) -> Grown:
    """Also where the disk has that size already: somebody may have been killed before its machine knew."""
    instance = held.instance
    has = _disk_of(instance, disk)
    before = host.overlay_size(instance, disk)
    wanted = _wanted(instance, disk, before, size, by)
    host.enlarge_running(instance, wanted, operation, disk)
    if wanted != has.size:
        held.commit(instance.with_size(disk, wanted))
    return Grown(before=before, after=wanted, live=True)


def _disk_of(instance: Instance, disk: DiskKind) -> Overlay | DataDisk:
    has = instance.disks.get(disk)
    if has is None:
        hint = f"skinnybox set {instance.name} --data SIZE gives it one"
        raise NotFound(f"{instance.name} has no data disk", hint=hint)
    return has


def _wanted(instance: Instance, disk: DiskKind, before: int, size: int, by: bool) -> int:
    asked = (ranges.DATA if disk is DiskKind.DATA else ranges.OVERLAY).check(before + size if by else size)
    wanted = whole_mib(replace(instance.disks[disk], size=asked)).size
    if wanted < before:
        raise Blocked(
            f"the {_NAMED[disk]} of {instance.name} has {format_size(before)}: it never shrinks",
            hint="a smaller one is a new machine's",
        )
    return wanted


def _lags(host: Host, instance: Instance, size: int, disk: DiskKind, operation: Operation) -> bool:
    """Whether the filesystem is smaller than its disk, which its guest left so when that grew. A few MiB are
    nothing: what is too small for a block group of its own stays unused."""
    if not host.grows_running or encrypted.is_opaque(instance, disk):
        return False  # what is encrypted its guest sees to, at each start
    with host.open_overlay(instance, operation, disk) as file:
        try:
            return inspect.read_shape(file).size + _UNUSED <= size
        except (Corrupt, Unsupported):  # its start says more
            return False


def each_followed(
    host: Host, queries: MachineQueries, done: Sequence[Outcome[Grown]], disk: DiskKind, operation: Operation
) -> list[Outcome[Grown]]:
    """Those that run are waited for together: each guest looks at its disks when it comes to it."""
    live = {each.name: each.value for each in done if each.value is not None and each.value.live}

    def follow(machine: MachineView, operation: Operation) -> Grown:
        return followed(host, lambda: queries.view(machine.instance), live[machine.name], disk, operation)

    told = list[Outcome[Grown]]()
    if live:
        with suppress(NotFound):  # one was deleted meanwhile: what is not known of the others is not told
            told = queries.each(tuple(live), follow, "wait for guests", operation, _AT_ONCE)
    # What cannot be seen any more has grown all the same.
    values = {each.name: each.value or replace(live[each.name], why=_gone(each)) for each in told}
    return [replace(each, value=values.get(each.name, each.value)) for each in done]


def _gone(outcome: Outcome[Grown]) -> str:
    return outcome.error.message if outcome.error else "nothing was seen of it"


def followed(
    host: Host, look: Callable[[], MachineView], grown: Grown, disk: DiskKind, operation: Operation
) -> Grown:
    """With what its guest says of it, for which it is waited for a while."""
    deadline, silent = time.monotonic() + FOLLOWING, time.monotonic() + SILENT
    while True:
        machine = look()
        if not power.running(machine):
            return replace(grown, why="it has ended meanwhile")
        said = _said(machine, disk)
        if said is not None and said.size >= encrypted.usable(machine.instance, disk, grown.after):
            return replace(grown, followed=said.why is None, why=said.why)
        if encrypted.is_opaque(machine.instance, disk):
            return replace(grown, why=encrypted.AT_ITS_NEXT_START)
        if machine.current_report is not None and said is None and time.monotonic() > silent:
            return replace(grown, why="its master was made by a version whose guests do not look for it")
        if time.monotonic() > deadline:
            return replace(grown, why=f"its guest has said nothing of it in {FOLLOWING:.0f} s")
        if operation.cancelled:
            return replace(grown, why="it was not waited for any longer")
        host.wait_change(_POLL)


def _said(machine: MachineView, disk: DiskKind) -> GuestDisk | None:
    report = machine.current_report
    return next((each for each in report.disks if each.kind is disk), None) if report else None
