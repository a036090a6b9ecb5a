"""A machine put on another master by the shortest way: its overlay as it is, but for its base message; and
back. As a program, to be killed over it: `rebased.py STATE HOST rebase|rollback|commit MASTER`."""

import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skinnybox.errors import NotFound, SkinnyboxError, of_system
from skinnybox.fleet import rebase_kept
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.hosts.building import Building
from skinnybox.model import DiskKind, Instance, Master, Trial, TrialPhase
from skinnybox.operation import UNATTENDED
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.seed import base_message

REBASED = b"of after the rebase"


def rebase(
    fleet: Fleet,
    name: str,
    master: Master,
    phase: TrialPhase = TrialPhase.PASSED,
    keep_until: datetime | None = None,
) -> Instance:
    """Its overlay ends in REBASED then."""
    host, catalog = fleet._host, fleet._catalog
    with leased(host, catalog, fleet.machine(name).instance, Doing.REBASE) as held:
        now = held.instance
        if now.stack.master == master.id:  # by one that was killed
            return held.commit(now)
        rebased = on(now, master, rebase_kept.label(host, now, rebase_kept.BEFORE), keep_until)

        def build(old: Path, new: Path) -> None:
            with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
                copy_data(source.fileno(), target.fileno(), UNATTENDED)
                target.seek(-len(REBASED), 2)
                target.write(REBASED)
            put_message(new, "base", base_message(rebased))

        assert rebased.trial
        building = Building(size=now.overlay.size, build=build, keep=rebased.trial.kept)
        try:
            host.rebuild_disks(now, {DiskKind.OVERLAY: building}, UNATTENDED, lambda: held.announce(rebased))
        except SkinnyboxError:
            rebase_kept.taken_back(host, held, now)
            raise
        return held.commit(replace(rebased, trial=replace(rebased.trial, phase=phase)))


def on(instance: Instance, master: Master, kept: str, keep_until: datetime | None = None) -> Instance:
    """The machine on trial on that master, with the layers that it has."""
    images = (master.images[0].digest, *instance.stack.images[1:])
    stack = replace(instance.stack, master=master.id, reference=master.reference, images=images)
    trial = Trial(
        before=instance.stack,
        kept=kept,
        since=datetime(2026, 11, 27, tzinfo=UTC),
        phase=TrialPhase.BUILT,
        patience=300,
        started=None,
        identifier="0a",
        keep_until=keep_until,
    )
    return replace(instance, stack=stack, trial=trial)


def rollback(fleet: Fleet, name: str) -> tuple[Instance, str]:
    instance = fleet.machine(name).instance
    return rebase_kept.rolled_back(fleet._host, fleet._catalog, instance, UNATTENDED)


def commit(fleet: Fleet, name: str) -> Instance:
    return rebase_kept.committed(fleet._host, fleet._catalog, fleet.machine(name).instance)


def main(state: str, host: str, what: str, master: str = "next:1") -> None:
    """Of the machine `one`. What was done already is well."""
    with open_fleet(Settings(state=Path(state), host=host)) as fleet, suppress(NotFound):
        match what:
            case "rebase":
                rebase(fleet, "one", fleet.masters.find(master))
            case "rollback":
                rollback(fleet, "one")
            case "commit":
                commit(fleet, "one")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SkinnyboxError as error:
        sys.exit(error.message)
    except OSError as error:
        sys.exit(of_system(error).message)
