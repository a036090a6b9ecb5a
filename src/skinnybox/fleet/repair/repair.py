"""`repair`: the catalog rebuilt from what lies on the host, and every leftover explained.

Nothing that may hold a user's data is ever removed: it stays, or is moved aside under a name with `.broken-`
and the time. What a living process works on stays as it is. Doing it twice does nothing the second time.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from skinnybox import private
from skinnybox.errors import Conflict, SkinnyboxError, of_system
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.database import make_folder
from skinnybox.fleet.catalog.database_file import OWN_FILES
from skinnybox.fleet.catalog.leases import Lease
from skinnybox.fleet.catalog.rows import Doing, Phase, RawRow, Row
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.repair.examine import DATABASE, Examination, examine, examined, opened
from skinnybox.fleet.repair.rebuilt import Rebuilt
from skinnybox.hosts.base import Host
from skinnybox.issues import Deed, Finding
from skinnybox.layout import LAYERS, MASTERS
from skinnybox.masters import catalogue, workspace


def repair(
    folder: Path, host: Host, *, delete_orphans: bool = False, forget: bool = False
) -> list[Outcome[Finding]]:
    """Do what `examine` says, and return what came of it. Conflict while another repair of this folder
    runs, Blocked when nobody can say where the machines are."""
    with _only_one(folder):
        if host_kind.lost(folder) is not None and (seen := examine(folder, host)).nowhere and seen.refused:
            raise seen.refused
        catalog, trouble = opened(folder)
        if catalog is None:
            seen = examined(folder, host, None, trouble, delete_orphans, forget)
            done = _but_for(_do(folder, seen), _defined(host, seen.rebuilt))
            _replace_catalog(folder, seen.rebuilt)
        else:
            with contextlib.closing(catalog):
                done = [_told(folder, outcome) for outcome in unfinished.finish(host, catalog)]
                seen = examined(folder, host, catalog, None, delete_orphans, forget)
                mended = _do(folder, seen)
                done += _but_for(mended, _put_right(host, catalog, seen))
        known = host_kind.lost(folder) is not None or host_kind.noted(folder) is not None
        if (seen.rebuilt.machines or seen.bears) and not known:  # of a folder, or a word, that was lost
            host_kind.note(folder, host.features.kind)
        host.statuses()  # records what ended while nobody listened
    return done


_FINISHED = {
    Phase.CREATING: "its creation was interrupted, and it is cleared away",
    Phase.DEFINED: "a change of it was interrupted, and it is taken as its record on the host says",
    Phase.DELETING: "its deletion was interrupted, and is completed",
}


def _told(folder: Path, outcome: Outcome[Row]) -> Outcome[Finding]:
    """What became of what a command that was killed left half done."""
    if outcome.value is None:
        raise ValueError("an outcome of nothing")
    row = outcome.value
    path = folder / "instances" / str(row.instance.uuid)
    what, deed = f"{outcome.name}: {_FINISHED[row.phase]}", Deed.FINISH
    if outcome.error is not None:
        what, deed = f"{outcome.name} is only half {row.doing}, and stays so", Deed.KEEP
    return Outcome(name=outcome.name, value=Finding(path=path, what=what, deed=deed), error=outcome.error)


def _put_right(host: Host, catalog: Catalog, seen: Examination) -> dict[str, SkinnyboxError]:
    """The records on the host and the rows of the catalog. Each machine that has a row is ours meanwhile; one
    that somebody else is at, or has changed since it was looked at, is left to the next repair: returned, by
    UUID, with the reason."""
    rebuilt, left = seen.rebuilt, dict[str, SkinnyboxError]()
    leases: dict[UUID, Lease] = {}
    with ExitStack() as held:
        for row in [seen.rows[uuid] for uuid in sorted(rebuilt.touched) if uuid in seen.rows]:
            try:
                lease = _taken(catalog, row, held)
                leases[lease.uuid] = lease
            except SkinnyboxError as error:
                left[row.uuid] = error
                rebuilt.leave(row.uuid)
        left |= _defined(host, rebuilt)
        gone = [leases[UUID(uuid)] for uuid in rebuilt.gone]
        replaced = [leases[machine.uuid] for machine, _ in rebuilt.machines if machine.uuid in leases]
        catalog.put_right(rebuilt.machines, replaced, gone)
    return left


def _defined(host: Host, rebuilt: Rebuilt) -> dict[str, SkinnyboxError]:
    """Records written anew; those that could not be are left as they are, and cost the others nothing."""
    left: dict[str, SkinnyboxError] = {}
    for instance in list(rebuilt.rewritten.values()):
        try:
            host.define(instance)
        except SkinnyboxError as error:
            left[str(instance.uuid)] = error
            rebuilt.leave(str(instance.uuid))
    return left


def _taken(catalog: Catalog, row: RawRow, held: ExitStack) -> Lease:
    """Conflict when it is not as it was seen any more."""
    lease = catalog.take(UUID(row.uuid), row.name, Doing.REPAIR)
    held.callback(catalog.release, lease, lease.phase)
    if lease.instance != row.instance:
        raise Conflict(f"{row.name} was changed by another command meanwhile", hint="repair again")
    return lease


def _but_for(done: Sequence[Outcome[Finding]], left: Mapping[str, SkinnyboxError]) -> list[Outcome[Finding]]:
    """The outcomes, those of the machines that were left with the reason."""

    def judged(outcome: Outcome[Finding]) -> Outcome[Finding]:
        finding = outcome.value
        if finding is None or finding.deed not in (Deed.ADOPT, Deed.REWRITE, Deed.FORGET):
            return outcome
        why = next((left[part] for part in finding.path.parts if part in left), None)
        return replace(outcome, error=outcome.error or why)

    return [judged(outcome) for outcome in done]


def _do(folder: Path, seen: Examination) -> list[Outcome[Finding]]:
    """What files can be put right. What cannot be done does not keep the rest from being done. What could not
    be finished has been told already."""
    to_do = [finding for finding in seen.findings if finding.deed is not Deed.FINISH]
    done = [_attempt(finding, partial(_moved, finding)) for finding in to_do]
    for store in (folder / MASTERS, folder / LAYERS):
        if any(finding.path.parent == store for finding in seen.to_do):
            workspace.sweep(store)
    return done


def _attempt(finding: Finding, act: partial[None]) -> Outcome[Finding]:
    try:
        act()
    except SkinnyboxError as error:
        return Outcome(name=str(finding.path), value=finding, error=error)
    except OSError as error:
        return Outcome(name=str(finding.path), value=finding, error=of_system(error, str(finding.path)))
    return Outcome(name=str(finding.path), value=finding)


def _moved(finding: Finding) -> None:
    path = finding.path
    if finding.act is not None:
        finding.act()
    elif finding.deed is Deed.ASIDE:
        path.rename(_aside(path))
    elif finding.deed is Deed.REMOVE and not path.name.startswith(workspace.HIDDEN):
        if path.is_dir() and not path.is_symlink():
            catalogue.delete(path)
        else:
            path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """A free name beside it, with the time."""
    name = f"{path.name}.broken-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    numbered = (path.with_name(f"{name}.{number}") for number in range(1, 1000))
    return next(free for free in (path.with_name(name), *numbered) if not free.exists())


def _replace_catalog(folder: Path, rebuilt: Rebuilt) -> None:
    """A new one beside the old, then in its place by one rename; the old one keeps its journal."""
    path, fresh = folder / DATABASE, folder / f".{DATABASE}.{secrets.token_hex(4)}.new"
    wal = fresh.with_name(f"{fresh.name}-wal")
    try:
        with contextlib.closing(Catalog(fresh, anew=True)) as catalog:
            catalog.put_right(rebuilt.machines, (), ())
        if wal.exists():  # SQLite does not say when closing fails to bring its pages into the file
            raise SkinnyboxError(f"{fresh} could not be written whole", hint="is the disk full, or failing?")
        _keep_aside(path)
        fresh.replace(path)
    finally:
        for left in (fresh, wal, fresh.with_name(f"{fresh.name}-shm")):
            left.unlink(missing_ok=True)


def _keep_aside(path: Path) -> None:
    broken = _aside(path)
    for suffix in OWN_FILES:  # else they would be taken for the new one's
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(broken.with_name(broken.name + suffix))
    if os.path.lexists(path) and not path.is_file():  # a folder, a FIFO, a link to nowhere
        path.rename(broken)
    elif path.exists() and path.stat().st_size:
        try:
            os.link(path, broken)
        except OSError:
            with path.open("rb") as source, private.create(broken) as target:
                shutil.copyfileobj(source, target)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(f"another repair or apply works on {folder}", hint="wait until it ends") from error
    finally:
        os.close(descriptor)
