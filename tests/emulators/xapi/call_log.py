"""Every call that reached the pool, for counting calls and tasks and for looking at their order."""

import fnmatch
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Entry:
    """`method` as sent (with `Async.`), `params` without the session; `failure` is set when it was refused,
    `ended` when the pool is done with it, whoever still waits for the answer (with transfers it stays unset).

    HTTP transfers are `import_raw_vdi` and `export_raw_vdi` with their query as the only parameter.
    """

    method: str
    params: list[Any]
    originator: str = ""
    host: str = ""
    failure: str | None = None
    ended: bool = False

    @property
    def name(self) -> str:
        """Without `Async.`."""
        return self.method.removeprefix("Async.")


@dataclass(slots=True)
class CallLog:
    entries: list[Entry] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, entry: Entry) -> Entry:
        with self.lock:
            self.entries.append(entry)
        return entry

    def of(self, pattern: str = "*", *, originator: str | None = None) -> list[Entry]:
        """Entries whose name (without `Async.`) matches, as fnmatch does, oldest first."""
        with self.lock:
            return [
                each
                for each in self.entries
                if fnmatch.fnmatchcase(each.name, pattern) and originator in {None, each.originator}
            ]

    def methods(self, pattern: str = "*") -> list[str]:
        return [each.method for each in self.of(pattern)]

    def count(self, pattern: str = "*") -> int:
        return len(self.of(pattern))

    def tasks(self) -> int:
        """Calls that made a task for the client to wait for."""
        return sum(each.method.startswith("Async.") for each in self.of()) + self.count("task.create")

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()
