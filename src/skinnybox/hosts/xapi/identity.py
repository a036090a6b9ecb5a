"""Which pool a state folder's machines are in, by the UUID in its file `pool`; and which machines there are
the folder's: those that bear the UUID in its file `fleet`.

Both are written with the folder's first machine, or when a lost folder's machines are taken up, and never
change then.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from skinnybox import named_file, private
from skinnybox.durable import sync
from skinnybox.errors import Blocked, Corrupt, NotFound, UsageError, of_system
from skinnybox.hosts.local.store import translated, write_atomically
from skinnybox.hosts.xapi import fleets
from skinnybox.hosts.xapi.cache import PoolCache

FILE, POOL = "fleet", "pool"
_LONGEST = 64


class Identity:
    """Of one state folder, with a folder for locks. `wanted` is what the address says, and `things` are the
    pool's records."""

    def __init__(self, state: Path, locks: Path, wanted: UUID | None, things: PoolCache) -> None:
        self._path, self._lock = state / FILE, locks / f"{FILE}.lock"
        self._pool = state / POOL
        self._wanted, self._things = wanted, things
        self._known: UUID | None = None

    def known(self) -> UUID | None:
        """None before the first machine. As of the last look: what is taken up has to be in the pool.
        UsageError when the address contradicts what is kept; Blocked in another pool; NotFound; Corrupt."""
        if self._known is not None:
            return self._known
        kept = self._kept()
        if kept is not None and self._wanted not in (None, kept):
            hint = f"leave fleet= out, or use another state folder for {self._wanted}"
            raise UsageError(
                f"this state folder's machines bear the id {kept}, not fleet={self._wanted}", hint=hint
            )
        if kept is None:
            self._refuse_lost()
            return self._take_up(self._wanted) if self._wanted else None
        self._refuse_other_pool()
        self._known = kept
        return kept

    def own(self) -> UUID:
        """For what is made now: kept from now on."""
        return self.known() or self._keep(uuid.uuid4())

    def _kept(self) -> UUID | None:
        if not self._path.exists():
            return None
        found = _id_in(self._path)
        if found is None:
            hint = f"remove it, and say the id once in the address: fleet=UUID; {self._choice()}"
            raise Corrupt(f"{self._path} holds no id", hint=hint)
        return found

    def _choice(self) -> str:
        return f"the pool has {fleets.shown(fleets.machines(self._things)) or 'none'}"

    def _take_up(self, wanted: UUID) -> UUID:
        if wanted not in fleets.machines(self._things):
            raise NotFound(f"no machine in the pool bears the id fleet={wanted}", hint=self._choice())
        kept = self._keep(wanted)
        if kept != wanted:
            raise UsageError(f"another command gave this state folder the id {kept} just now")
        return kept

    def _refuse_lost(self) -> None:
        """Of a folder that had machines in this pool: without its id they would all seem to be gone."""
        last = _id_in(self._lock)
        if last not in (None, self._wanted) and last in fleets.machines(self._things):
            hint = f"say the id once in the address: fleet={last}"
            raise Corrupt(f"{self._path} is gone, and machines of this folder are in the pool", hint=hint)

    def _refuse_other_pool(self) -> None:
        """There all the folder's machines would seem to be gone, and be forgotten. A folder that does not
        know its pool yet learns it."""
        here = next((UUID(record["uuid"]) for _, record in self._things.all("pool")), None)
        there = _id_in(self._pool)
        if here is None:  # nobody has looked yet
            return
        if there is None:
            _write(self._pool, f"{here}\n")
        elif there != here:
            raise Blocked(
                f"the machines of this state folder are in the pool {there}, and this is {here}",
                hint=f"is the address right? If its machines did move there: remove {self._pool}",
            )

    def _keep(self, wanted: UUID) -> UUID:
        """What is kept: `wanted`, unless another command came first. On the disk before anybody bears it."""
        try:
            with self._exclusive() as lock:
                self._known = self._kept()
                if self._known is None:
                    _write(self._path, f"{wanted}\n")
                    os.pwrite(lock, f"{wanted}\n".encode(), 0)  # to notice when the file gets lost
                    self._known = wanted
        except OSError as error:
            raise of_system(error, str(self._path)) from error
        self._refuse_other_pool()
        return self._known

    @contextmanager
    def _exclusive(self) -> Iterator[int]:
        private.make_folder(self._lock.parent)
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)


def _id_in(path: Path) -> UUID | None:
    try:
        return UUID(named_file.head(path, _LONGEST).decode("ascii", "replace").strip())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise of_system(error, str(path)) from error


def _write(path: Path, text: str) -> None:
    """On the disk when this returns."""
    with translated():
        write_atomically(path, text.encode())
        sync(path)
        sync(path.parent)
