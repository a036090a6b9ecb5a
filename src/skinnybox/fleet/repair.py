"""`repair`: the memory rebuilt from what lies on the host, and every leftover explained.

Nothing that may hold a user's data is ever removed: it stays, or is moved aside under a name with `.broken-`
and the time. What a living process works on stays as it is. Doing it twice does nothing the second time.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from skinnybox.errors import Conflict, Corrupt, SkinnyboxError, Unsupported
from skinnybox.findings import Deed, Finding
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog import host_kind, known_hosts
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.delete import finish_unfinished
from skinnybox.fleet.rebuild import Known, Rebuilt, rebuild
from skinnybox.hosts.base import Host
from skinnybox.hosts.leftovers import MOVED_ASIDE, as_uuid, half_made, in_use, moved_aside, stranger
from skinnybox.masters import catalogue, workspace
from skinnybox.masters.leftovers import leftovers as of_masters

_DATABASE = "state.db"
_PLACES = {"masters", "instances", "run", "templates", "ssh", "verified"}
_FILES = re.compile(r"host|fleet|pool|state\.db(?:-wal|-shm)?|pretended\.(?:json|lock)")
_KEYS = re.compile(r"id_ed25519(?:\.pub)?|\.lock")
_HALF = re.compile(r"\..+\.new|\.new(?:\.pub)?|\.[0-9a-f-]{36}\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Look:
    """What was found; `trouble` is why the memory there cannot be used, and has to be written anew."""

    trouble: str | None
    rebuilt: Rebuilt
    findings: list[Finding]

    @property
    def to_do(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.deed is not Deed.KEEP]


def look(folder: Path, host: Host, *, delete_orphans: bool = False) -> Look:
    """What is there and what `mend` would do about it; nothing is changed."""
    memory, trouble = _opened(folder)
    with contextlib.closing(memory) if memory else contextlib.nullcontext():
        return _look(folder, host, memory, trouble, delete_orphans)


def mend(folder: Path, host: Host, *, delete_orphans: bool = False) -> list[Outcome[Finding]]:
    """Do it. Conflict while another repair of this folder runs."""
    with _only_one(folder):
        memory, trouble = _opened(folder)
        if memory is None:
            seen = _look(folder, host, None, trouble, delete_orphans)
            done = _do(folder, host, seen)
            _replace_memory(folder, seen.rebuilt)
        else:
            with contextlib.closing(memory):
                finished = _look(folder, host, memory, None, delete_orphans).findings
                finish_unfinished(host, memory)
                with memory.alone():
                    seen = _look(folder, host, memory, None, delete_orphans)
                    done = _do(folder, host, seen)
                    memory.put_right(seen.rebuilt.machines, seen.rebuilt.gone)
            done = [Outcome(name=str(f.path), value=f) for f in finished if f.deed is Deed.FINISH] + done
        if (
            seen.rebuilt.machines and host_kind.noted(folder) is None
        ):  # a lost folder's, of a host that keeps them
            host_kind.note(folder, host.features.kind)
        host.statuses()  # records what ended while nobody listened
    return done


def _opened(folder: Path) -> tuple[Catalog | None, str | None]:
    """The memory, when it can be read; else what is wrong with it."""
    try:
        memory = Catalog(folder / _DATABASE)
    except (Corrupt, Unsupported) as error:
        return None, error.message
    try:
        memory.check()
        memory.remains()
    except Corrupt as error:
        memory.close()
        return None, error.message
    return memory, None


def _look(folder: Path, host: Host, memory: Catalog | None, trouble: str | None, orphans: bool) -> Look:
    masters = list(of_masters(folder / "masters"))
    remains = memory.remains() if memory else []
    holdings = list(host.holdings())
    known = Known(
        folder=folder,
        masters={f"sha256:{place.name}" for place in (folder / "masters").glob("[0-9a-f]*")}
        - {f"sha256:{finding.path.name}" for finding in masters if finding.deed is Deed.ASIDE},
        pins=partial(known_hosts.kept, known_hosts.folder(folder)),
        running=lambda: {uuid for uuid, status in host.statuses().items() if status.pid},
        in_use=in_use,
        delete_orphans=orphans,
    )
    rebuilt = rebuild(holdings, remains, known)
    there = {uuid for uuid in map(as_uuid, (row.uuid for row in remains)) if uuid}
    there |= {h.uuid for h in holdings if h.instance or h.trouble or h.overlay is not None}
    checks = {f"{identity.removeprefix('sha256:')}.json" for identity in known.masters}
    findings = [
        *_of_memory(folder, trouble),
        *rebuilt.findings,
        *masters,
        *host.leftovers(there),
        *_of_names(known_hosts.folder(folder), set(map(str, there)), "ssh host keys of a machine"),
        *_of_names(folder / "verified", checks, "the last check of a master"),
        *_elsewhere(folder),
    ]
    return Look(trouble, rebuilt, findings)


def _of_memory(folder: Path, trouble: str | None) -> Iterator[Finding]:
    path = folder / _DATABASE
    if trouble is not None:
        kept = "what there is of it is moved aside, and it" if path.exists() and path.stat().st_size else "it"
        what = f"{trouble}; {kept} is written anew from the records"
        yield Finding(path=path, what=what, deed=Deed.REWRITE)


def _of_names(folder: Path, known: set[str], what: str) -> Iterator[Finding]:
    """Of a folder that holds one file for each machine or master."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name in known:
            continue
        if _HALF.fullmatch(path.name):
            yield half_made(path, "half written by a command that was killed")
        else:
            yield half_made(path, f"{what} that is no more")


def _elsewhere(folder: Path) -> Iterator[Finding]:
    """The state folder itself, and ssh/."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name in _PLACES or _FILES.fullmatch(path.name):
            continue
        yield _other(path)
    for path in sorted((folder / "ssh").iterdir()) if (folder / "ssh").is_dir() else []:
        if path.name != "known_hosts" and not _KEYS.fullmatch(path.name):
            yield _other(path)


def _other(path: Path) -> Finding:
    if MOVED_ASIDE.fullmatch(path.name):
        return moved_aside(path)
    if _HALF.fullmatch(path.name):
        return half_made(path, "half written by a command that was killed")
    return stranger(path)


def _do(folder: Path, host: Host, seen: Look) -> list[Outcome[Finding]]:
    """Everything but the memory itself. What cannot be done does not keep the rest from being done."""
    done = [_attempt(finding, partial(_moved, finding)) for finding in seen.findings]
    for instance in seen.rebuilt.rewritten.values():
        host.define(instance)
    if any(finding.path.parent == folder / "masters" for finding in seen.to_do):
        workspace.sweep(folder / "masters")
    return done


def _attempt(finding: Finding, act: partial[None]) -> Outcome[Finding]:
    try:
        act()
    except SkinnyboxError as error:
        return Outcome(name=str(finding.path), value=finding, error=error)
    except OSError as error:
        failed = SkinnyboxError(f"{finding.path}: {error.strerror}")
        return Outcome(name=str(finding.path), value=finding, error=failed)
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


def _replace_memory(folder: Path, rebuilt: Rebuilt) -> None:
    """A new one beside the old, then in its place by one rename; the old one keeps its journal."""
    path, fresh = folder / _DATABASE, folder / f".{_DATABASE}.{secrets.token_hex(4)}.new"
    wal = fresh.with_name(f"{fresh.name}-wal")
    try:
        with contextlib.closing(Catalog(fresh, anew=True)) as memory, memory.alone():
            memory.put_right(rebuilt.machines, ())
        if wal.exists():  # SQLite does not say when closing fails to bring its pages into the file
            raise SkinnyboxError(f"{fresh} could not be written whole", hint="is the disk full, or failing?")
        _keep_aside(path)
        fresh.replace(path)
    finally:
        for left in (fresh, wal, fresh.with_name(f"{fresh.name}-shm")):
            left.unlink(missing_ok=True)


def _keep_aside(path: Path) -> None:
    broken = _aside(path)
    for suffix in ("-wal", "-shm"):  # else they would be taken for the new one's
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(broken.with_name(broken.name + suffix))
    if path.exists() and path.stat().st_size:
        try:
            os.link(path, broken)
        except OSError:
            shutil.copyfile(path, broken)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(f"another repair or apply works on {folder}", hint="wait until it ends") from error
    finally:
        os.close(descriptor)
