"""What a machine was before it was rebased: kept as a snapshot, put back, or given up.

It is put back without being copied, where it can be as it was: the kept overlay takes its place again, and
what the machine wrote meanwhile becomes a snapshot. Only one that was grown since, or whose seed has become
another, is copied: an image is never altered in place.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox import layout
from skinnybox.errors import NotFound, SkinnyboxError
from skinnybox.fleet import half_restored, knowing, snapshots
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.kept_labels import AFTER, BEFORE, number
from skinnybox.fleet.lease import Held, leased
from skinnybox.fleet.trial_left import is_expired
from skinnybox.hosts.base import Host
from skinnybox.masters.catalogue import find as find_master
from skinnybox.model import DiskKind, Instance, Snapshot, Trial, TrialPhase
from skinnybox.operation import Operation
from skinnybox.overlays import inspect

__all__ = [
    "AFTER",
    "BEFORE",
    "committed",
    "expire",
    "given_up",
    "is_expired",
    "label",
    "put_back",
    "rolled_back",
    "taken_back",
]


def label(host: Host, instance: Instance, prefix: str) -> str:
    """One that is free: `prefix` and a number, higher than any that there is."""
    found = [number(kept.label) for kept in host.snapshots(instance)]
    return f"{prefix}{1 + max((each for each in found if each is not None), default=0)}"


def rolled_back(
    host: Host, catalog: Catalog, instance: Instance, operation: Operation
) -> tuple[Instance, str]:
    """See put_back. Of a machine that is off."""
    with leased(host, catalog, instance, Doing.ROLLBACK) as held:
        restored, aside = put_back(host, catalog, held, operation)
        return held.commit(restored), aside


def put_back(host: Host, catalog: Catalog, held: Held, operation: Operation) -> tuple[Instance, str]:
    """Have a machine that is off boot from what it booted from before its rebase, with its overlay of then;
    what it has now becomes a snapshot, whose label is returned with the machine as it is recorded. All else
    that is said of it stays as it is now; a seed that was another then is to be applied again.

    NotFound for one that was not rebased, or whose master is gone; Blocked where its system and data are
    half restored; Unsupported for a data disk of later that this master's guest part does not know; Conflict
    while it runs. What fails changes nothing; killed, it is as it was or as it is to be, and the next command
    knows which (trial_left.py).
    """
    now, trial = held.instance, _trial(held.instance)
    half_restored.refuse(now, "its system alone cannot be")
    then = snapshots.find(host, now, trial.kept)
    master = find_master(catalog.path.parent / layout.MASTERS, trial.before.master.removeprefix("sha256:"))
    then_now = _of_then(replace(now, stack=trial.before), then.instance, trial)
    wanted = knowing.known(then_now, then.instance, master)
    knowing.check(wanted, master)
    returning = _Returning(
        host=host, catalog=catalog, held=held, kept=then, aside=label(host, now, AFTER), operation=operation
    )
    return returning.run(wanted, trial), returning.aside


def taken_back(host: Host, held: Held, before: Instance) -> None:
    """Of a rebase that failed after it was announced: where nothing has taken its place, the machine is
    recorded as it was before."""
    trial = held.instance.trial
    with suppress(SkinnyboxError):
        if trial is not None and trial.kept not in {kept.label for kept in host.snapshots(before)}:
            held.announce(before)


def _of_then(now: Instance, then: Instance, trial: Trial) -> Instance:
    """What a rebase told a machine is of the rebase, and goes with it. What it was told since stays."""
    return replace(now, check=then.check) if trial.check is not None and now.check == trial.check else now


def committed(host: Host, catalog: Catalog, instance: Instance) -> Instance:
    """Give the way back up, for good. NotFound for a machine that was not rebased."""
    with leased(host, catalog, instance, Doing.COMMIT) as held:
        if held.instance.trial is None and instance.trial is not None:
            return held.commit(held.instance)  # by a command that was killed
        return held.commit(given_up(host, held))


def given_up(host: Host, held: Held) -> Instance:
    """The machine as it is to be recorded then. Killed, the snapshot is gone, and the record says so next."""
    trial = _trial(held.instance)
    if trial.phase is not TrialPhase.PASSED:
        # Else one whose snapshot is gone would be taken for one that was never rebased.
        held.record(replace(held.instance, trial=replace(trial, phase=TrialPhase.PASSED)))
    host.delete_snapshot(held.instance, trial.kept)
    return replace(held.instance, trial=None)


def expire(host: Host, catalog: Catalog, instances: Iterable[Instance]) -> list[Instance]:
    """Give up what is not to be kept any longer; those of which it was. One that somebody is at waits for the
    next time."""
    done = []
    for instance in instances:
        if is_expired(instance):
            with suppress(SkinnyboxError):
                done.append(committed(host, catalog, instance))
    return done


def _trial(instance: Instance) -> Trial:
    if instance.trial is None:
        raise NotFound(f"{instance.name} was not rebased, or that was committed: nothing is kept of before")
    return instance.trial


@dataclass(slots=True, kw_only=True)
class _Returning:
    """`looked`: both overlays could be looked at before, so that what is pinned of its ssh host keys is
    known to be right, or was given up."""

    host: Host
    catalog: Catalog
    held: Held
    kept: Snapshot
    aside: str
    operation: Operation
    looked: bool = False

    def run(self, wanted: Instance, trial: Trial) -> Instance:
        """`wanted` is the machine as it is to be, but for the generation of its seed."""
        now, seed = self.held.instance, snapshots.seed_for(wanted, self.kept.instance)
        restored = replace(wanted, trial=None, seed=seed)
        # Killed from here on, the guest may have a newer seed than recorded, and that is well; an older one
        # would not be.
        lower = seed if seed.generation <= now.seed.generation else now.seed
        self.held.announce(replace(now, seed=lower, trial=replace(trial, aside=self.aside)))
        try:
            self._put_in_place(restored)
        except BaseException:
            self._undo(now)
            raise
        if not self.looked and trial.phase is not TrialPhase.BUILT:
            self.catalog.unpin_host_keys(now.uuid)
        self.held.record(restored)
        return restored

    def _put_in_place(self, restored: Instance) -> None:
        then = self.kept.instance
        if restored.seed == then.seed and restored.overlay.size == then.overlay.size:
            now = self.held.instance
            self.host.swap_overlay(now, self.kept.label, self.aside, self.operation, self._look)
            return
        self._copy(restored)
        self.host.delete_snapshot(restored, self.kept.label)

    def _copy(self, restored: Instance) -> None:
        def build(old: Path, new: Path) -> None:
            now = self.held.instance
            snapshots.copy_disk(self.host, now, self.kept, DiskKind.OVERLAY, new, self.operation)
            if restored.seed != self.kept.instance.seed:
                snapshots.put_seed(restored, self.kept.label, new)
            self._look(old, new)

        size = restored.overlay.size
        self.host.rebuild_overlay(self.held.instance, size, build, self.operation, keep=self.aside)

    def _look(self, old: Path, new: Path) -> None:
        """Before it is in place: the next report pins them again, and wrong ones would lock the user out."""
        uuid = self.held.instance.uuid
        self.looked = True
        if inspect.read_identity(old, uuid) != inspect.read_identity(new, uuid):
            self.catalog.unpin_host_keys(uuid)

    def _undo(self, now: Instance) -> None:
        """What stopped us is what the user must hear; not undone, it is as if we had been killed."""
        with suppress(SkinnyboxError):
            if self.aside not in {kept.label for kept in self.host.snapshots(now)}:
                self.held.announce(now)
