"""A machine's overlay as it was: put back."""

from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox.errors import Blocked, NotFound
from skinnybox.fleet import data_disk
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.names import near
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, Seed, Snapshot
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.grow import grow
from skinnybox.overlays.journal import replay
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.seed import seed_message
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
    its own is to be put back with `data`: that goes first, so that a killed one is done again. Returns the
    instance as recorded.

    Size, allocation and seed stay those of now: a smaller snapshot is grown; a seed that was another then is
    to be applied again. Blocked when the machine boots from another stack than then.
    """
    with leased(host, catalog, instance, Doing.RESTORE) as held:
        now = held.instance
        refuse(now, snapshot)
        if data:
            data_disk.refuse_snapshot(now, snapshot)
            data_disk.restore(host, now, snapshot, operation)
        restored = replace(now, seed=_seed(now, snapshot.instance))
        fill = _Fill(host=host, catalog=catalog, restored=restored, snapshot=snapshot, operation=operation)
        if restored.seed.generation <= now.seed.generation:
            # Record first: killed in between, the guest has a newer seed than recorded, and that is well.
            held.record(restored)
        host.rebuild_overlay(now, now.overlay.size, fill, operation)
        return held.commit(restored)


def refuse(instance: Instance, snapshot: Snapshot) -> None:
    """Blocked where the snapshot cannot take the place of the overlay."""
    then = snapshot.instance
    if then.stack.images != instance.stack.images:
        raise Blocked(
            f"{instance.name} boots from {instance.stack.reference}, and its snapshot {snapshot.label!r} "
            f"belongs to another image, of {then.stack.reference}",
            hint="on another image its files would be mixed with those of another system",
        )
    if then.overlay.size > instance.overlay.size:
        raise Blocked(
            f"the snapshot {snapshot.label!r} has {format_size(then.overlay.size)}, the overlay less",
            hint=f"skinnybox grow {instance.name} {then.overlay.size}",
        )


def _seed(now: Instance, then: Instance) -> Seed:
    """The same seed is applied already; another is newer than all that were. Who the keys let in and which
    folders lie on the data disk is said in it as well."""
    if seed_message(_of_no_generation(now)) == seed_message(_of_no_generation(then)):
        return then.seed
    return replace(now.seed, generation=max(now.seed.generation, then.seed.generation) + 1)


def _of_no_generation(instance: Instance) -> Instance:
    return replace(instance, seed=replace(instance.seed, generation=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fill:
    """Makes the new overlay from the snapshot."""

    host: Host
    catalog: Catalog
    restored: Instance
    snapshot: Snapshot
    operation: Operation

    def __call__(self, old: Path, new: Path) -> None:
        with self.host.open_snapshot(self.restored, self.snapshot.label, self.operation) as image:
            self._copied(image, new)
        if self.restored.seed.generation != self.snapshot.instance.seed.generation:
            replay(new)
            put_message(new, "seed", seed_message(self.restored))
        if inspect.read_identity(old, self.restored.uuid) != inspect.read_identity(new, self.restored.uuid):
            # Before it is in place: the next report pins them again, and wrong ones would lock the user out.
            self.catalog.unpin_host_keys(self.restored.uuid)

    def _copied(self, image: Path, new: Path) -> None:
        if image.stat().st_size < new.stat().st_size:
            grow(image, new, self.operation)
            return
        with image.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
            copy_data(source.fileno(), target.fileno(), self.operation)
