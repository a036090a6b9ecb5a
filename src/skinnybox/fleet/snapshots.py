"""A machine's overlay as it was: put back."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from skinnybox.errors import Blocked, Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.fleet import data_disk, encrypted, half_restored
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import Held, leased
from skinnybox.fleet.names import near
from skinnybox.hosts.base import Host
from skinnybox.hosts.building import Building
from skinnybox.model import DiskKind, Instance, Seed, Snapshot
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.format import LABELS
from skinnybox.overlays.grow import grow
from skinnybox.overlays.journal import replay
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.seed import seed_message
from skinnybox.overlays.template import SEED_CAPACITY
from skinnybox.sizes import format_size


def find(host: Host, instance: Instance, label: str) -> Snapshot:
    """NotFound when it has none of this label."""
    kept = {snapshot.label: snapshot for snapshot in host.snapshots(instance)}
    if label in kept:
        return kept[label]
    hint = near(label, kept, f"skinnybox snapshot list {instance.name}")
    raise NotFound(f"{instance.name} has no snapshot {label!r}", hint=hint)


def restore(
    host: Host,
    catalog: Catalog,
    instance: Instance,
    snapshot: Snapshot,
    operation: Operation,
    *,
    data: bool = False,
) -> Instance:
    """Put the snapshot in place of the overlay; what that held is gone. The data disk stays as it is, unless
    its own is to be put back with `data`. Returns the instance as recorded.

    Size, allocation and seed stay those of now: a smaller snapshot is grown; a seed that was another then is
    to be applied again. Blocked when the machine boots from another stack than then.

    Nothing is replaced before all that is to be is built, and whole; killed between the two disks, the record
    says so (half_restored.py).
    """
    with leased(host, catalog, instance, Doing.RESTORE) as held:
        refuse(held.instance, snapshot, data=data)
        lost = data and data_disk.stand_in(host, held.instance, operation)
        restoring = _Restoring(
            host=host, catalog=catalog, held=held, snapshot=snapshot, operation=operation, data=data
        )
        try:
            return restoring.run()
        except BaseException as error:
            if lost and not restoring.begun:
                with suppress(SkinnyboxError):
                    host.discard_data(held.instance)
            if data and restoring.begun and isinstance(error, SkinnyboxError):
                half_restored.add_to(error, instance, snapshot.label)
            raise


def refuse(instance: Instance, snapshot: Snapshot, *, data: bool) -> None:
    """Blocked where the snapshot cannot take the place of the overlay, or, with `data`, of the data disk."""
    then = snapshot.instance
    if data:
        data_disk.refuse_snapshot(instance, snapshot)
    else:
        half_restored.refuse(instance, "its system alone cannot be")
    if then.stack.images != instance.stack.images:
        raise Blocked(
            f"{instance.name} boots from {instance.stack.reference}, and its snapshot {snapshot.label!r} "
            f"belongs to another image, of {then.stack.reference}",
            hint=_way(instance, snapshot),
        )
    if then.overlay.size > instance.overlay.size:
        raise Blocked(
            f"the snapshot {snapshot.label!r} has {format_size(then.overlay.size)}, the overlay less",
            hint=f"skinnybox grow {instance.name} {then.overlay.size}",
        )


def _way(instance: Instance, snapshot: Snapshot) -> str:
    name, trial, then = instance.name, instance.trial, snapshot.instance.stack
    if trial is not None and trial.kept == snapshot.label:
        return f"`skinnybox rollback {name}` puts it back, with that master"
    way = f"`skinnybox rebase {name} --onto {then.reference}`"
    if trial is not None and trial.before.images == then.images:
        way = f"`skinnybox rollback {name}`"
    elif trial is not None:  # one way back and no more
        way = f"`skinnybox rebase {name} --commit`, and then {way}"
    return (
        "on another image its files would be mixed with those of another system; a machine on that one can"
        f" put it back: {way}"
    )


def seed_for(now: Instance, then: Instance) -> Seed:
    """The same seed is applied already; another is newer than all that were. Who the keys let in and which
    folders lie on the data disk is said in it as well."""
    if seed_message(_of_no_generation(now)) == seed_message(_of_no_generation(then)):
        return then.seed
    return replace(now.seed, generation=max(now.seed.generation, then.seed.generation) + 1)


def _of_no_generation(instance: Instance) -> Instance:
    return replace(instance, seed=replace(instance.seed, generation=1))


@dataclass(slots=True, kw_only=True)
class _Restoring:
    """`begun` once the first of the disks may be in place."""

    host: Host
    catalog: Catalog
    held: Held
    snapshot: Snapshot
    operation: Operation
    data: bool
    begun: bool = False
    unpins: bool = False

    def run(self) -> Instance:
        now = self.held.instance
        restored = replace(now, seed=seed_for(now, then := self.snapshot.instance), half_restored=None)
        encrypted.refuse_longer(restored, max(SEED_CAPACITY, len(seed_message(then)) + encrypted.GROWTH))
        buildings: dict[DiskKind, Building] = {}
        if self.data and now.data is not None:
            buildings[DiskKind.DATA] = Building(size=now.data.size, build=self._build_data)
        system = partial(self._build_system, restored)
        buildings[DiskKind.OVERLAY] = Building(size=now.overlay.size, build=system)
        self.host.rebuild_disks(now, buildings, self.operation, partial(self._ready, restored))
        return self.held.commit(restored)

    def _ready(self, restored: Instance) -> None:
        """All is built. Killed from here on, the guest may have a newer seed than recorded, and that is well;
        an older one would not be."""
        now = self.held.instance
        lower = restored.seed.generation <= now.seed.generation
        between = restored if lower else now
        if self.data:
            between = replace(between, half_restored=self.snapshot.label)
        if self.unpins:
            # Before it is in place: the next report pins them again, and wrong ones would lock the user out.
            self.catalog.unpin_host_keys(now.uuid)
        if between != now:
            self.held.announce(between)
        self.begun = True

    def _build_data(self, old: Path, new: Path) -> None:
        copy_disk(self.host, self.held.instance, self.snapshot, DiskKind.DATA, new, self.operation)

    def _build_system(self, restored: Instance, old: Path, new: Path) -> None:
        copy_disk(self.host, self.held.instance, self.snapshot, DiskKind.OVERLAY, new, self.operation)
        if encrypted.is_opaque(restored):
            self.unpins = True  # nobody knows here whether its ssh host keys are others
            return
        if restored.seed.generation != self.snapshot.instance.seed.generation:
            put_seed(restored, self.snapshot.label, new)
        identities = [inspect.read_identity(disk, restored.uuid) for disk in (old, new)]
        self.unpins = identities[0] != identities[1]


def put_seed(restored: Instance, label: str, new: Path) -> None:
    """That of `restored`, into a copy of the snapshot. Blocked where that has no place for it."""
    replay(new)
    try:
        put_message(new, "seed", seed_message(restored))
    except Unsupported as error:
        what = f"the snapshot {label!r} of {restored.name}: {error.message}"
        raise Blocked(
            what, hint="today's seed is longer: only a fresh overlay, of a reset, has a place for it"
        ) from error


def copy_disk(
    host: Host, now: Instance, snapshot: Snapshot, kind: DiskKind, new: Path, operation: Operation
) -> None:
    """A copy of the snapshot's, of the size of now. Corrupt unless it is what the machine will take for its
    own."""
    label, then = snapshot.label, snapshot.instance.disks[kind]
    with host.open_snapshot(now, label, operation, kind) as image:
        has, size = image.stat().st_size, new.stat().st_size
        if not then.size <= has <= size:
            raise damaged_snapshot(
                label, kind, f"of {format_size(has)}, its record says {format_size(then.size)}"
            )
        if has < size and not encrypted.is_opaque(now, kind):
            grow(image, new, operation, kind)
        else:
            with image.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
                copy_data(source.fileno(), target.fileno(), operation)
    if not encrypted.is_opaque(now, kind):
        _check(new, label, kind)
    elif not encrypted.is_openable(new, now):
        raise damaged_snapshot(label, kind, f"neither blank nor encrypted for {now.name}")


def _check(disk: Path, label: str, kind: DiskKind) -> None:
    """Corrupt unless it is what the machine will take for its own. Of one of a machine that ran nothing more
    is looked at than what needs no journal: its kernel replays that."""
    try:
        if not inspect.is_clean(disk):
            return
        shape = inspect.read_shape(disk)
    except (Corrupt, NotFound, Unsupported) as error:
        raise damaged_snapshot(label, kind, error.message) from error
    if shape.label != LABELS[kind] or shape.has_upper is not (kind is DiskKind.OVERLAY):
        raise damaged_snapshot(label, kind, f"a volume called {shape.label!r}")


def damaged_snapshot(label: str, kind: DiskKind, why: str) -> Corrupt:
    what = "overlay" if kind is DiskKind.OVERLAY else "data disk"
    said = f"the {what} in the snapshot {label!r} is damaged: {why}"
    return Corrupt(said, hint="nothing was put back; take another snapshot, or a backup")
