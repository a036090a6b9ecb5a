"""The pool's objects: tables of records by reference, with a generation for every change (for events).

Nothing here locks: whoever calls holds the pool's lock.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL
from tests.emulators.xapi.model import Model

Record = dict[str, Any]

# (class, field that refers) -> field of the referred class that collects them.
COLLECTED = {
    ("VBD", "VM"): ("VM", "VBDs"),
    ("VBD", "VDI"): ("VDI", "VBDs"),
    ("VDI", "SR"): ("SR", "VDIs"),
    ("VDI", "snapshot_of"): ("VDI", "snapshots"),
    ("PBD", "SR"): ("SR", "PBDs"),
    ("PBD", "host"): ("host", "PBDs"),
    ("VIF", "VM"): ("VM", "VIFs"),
    ("VIF", "network"): ("network", "VIFs"),
    ("PIF", "host"): ("host", "PIFs"),
    ("PIF", "network"): ("network", "PIFs"),
    ("VM", "resident_on"): ("host", "resident_VMs"),
    ("VM", "snapshot_of"): ("VM", "snapshots"),
    ("VM", "parent"): ("VM", "children"),
    ("console", "VM"): ("VM", "consoles"),
    ("task", "subtask_of"): ("task", "subtasks"),
    ("host_cpu", "host"): ("host", "host_CPUs"),
}


@dataclass(slots=True)
class Stamp:
    """Generations of an object, and its class."""

    of: str
    created: int
    modified: int


@dataclass(slots=True)
class Database:
    model: Model
    generation: int = 1
    tables: dict[str, dict[str, Record]] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    deleted: list[tuple[str, str, Stamp]] = field(default_factory=list)
    """(class, reference, generations of creation and deletion), oldest first."""
    journal: deque[tuple[int, str, str]] = field(default_factory=lambda: deque([(0, "", "")], maxlen=4096))
    """(generation, class, reference) of the last changes, oldest first."""

    def __post_init__(self) -> None:
        self.tables = {name: {} for name in self.model.classes}

    def create(self, of: str, values: Record, *, ref: str | None = None) -> str:
        """A new object; what `values` leaves out gets the model's default. Returns its reference."""
        ref = ref or f"OpaqueRef:{uuid4()}"
        record = {name: each.initial() for name, each in self.model.classes[of].fields.items()}
        record["uuid"] = str(uuid4())
        unknown = values.keys() - record.keys()
        assert not unknown, f"{of} has no field {unknown}"
        record.update(values)
        self.tables[of][ref] = record
        self.generation += 1
        self.stamps[ref] = Stamp(of, self.generation, self.generation)
        self.journal.append((self.generation, of, ref))
        for (referring, name), collector in COLLECTED.items():
            if referring == of and record[name] != NULL:
                self._collect(collector, record[name], ref, present=True)
        return ref

    def destroy(self, of: str, ref: str) -> None:
        record = self.record(of, ref)
        for (referring, name), collector in COLLECTED.items():
            if referring == of and record[name] != NULL:
                self._collect(collector, record[name], ref, present=False)
        del self.tables[of][ref]
        self.generation += 1
        self.deleted.append((of, ref, Stamp(of, self.stamps.pop(ref).created, self.generation)))
        self.journal.append((self.generation, of, ref))

    def record(self, of: str, ref: str) -> Record:
        """To be read only. Failure HANDLE_INVALID."""
        try:
            return self.tables[of][ref]
        except KeyError:
            raise Failure("HANDLE_INVALID", of, ref) from None

    def get(self, of: str, ref: str, name: str) -> Any:
        return self.record(of, ref)[name]

    def set(self, of: str, ref: str, name: str, value: Any) -> None:
        """Nothing happens (and no event) when it has that value already."""
        record = self.record(of, ref)
        old = record[name]
        if old == value:
            return
        record[name] = value
        self.touch(ref)
        collector = COLLECTED.get((of, name))
        if collector:
            self._collect(collector, old, ref, present=False)
            self._collect(collector, value, ref, present=True)

    def update(self, of: str, ref: str, **values: Any) -> None:
        for name, value in values.items():
            self.set(of, ref, name, value)

    def put(self, of: str, ref: str, name: str, key: str, value: Any) -> None:
        """Put one key of a map; None removes it."""
        changed = {each: was for each, was in self.get(of, ref, name).items() if each != key}
        self.set(of, ref, name, changed if value is None else {**changed, key: value})

    def touch(self, ref: str) -> None:
        self.generation += 1
        stamp = self.stamps[ref]
        stamp.modified = self.generation
        self.journal.append((self.generation, stamp.of, ref))

    def valid(self, of: str, ref: str) -> bool:
        return ref in self.tables[of]

    def where(self, of: str, **values: Any) -> Iterator[tuple[str, Record]]:
        """Objects whose fields have these values; a snapshot, so that the block may change them."""
        for ref, record in list(self.tables[of].items()):
            if all(record[name] == value for name, value in values.items()):
                yield ref, record

    def by_uuid(self, of: str, uuid: str) -> str:
        for ref, _ in self.where(of, uuid=uuid):
            return ref
        raise Failure("UUID_INVALID", of, uuid)

    def _collect(self, collector: tuple[str, str], target: str, ref: str, *, present: bool) -> None:
        of, name = collector
        if target not in self.tables[of]:
            return
        kept = [each for each in self.tables[of][target][name] if each != ref]
        self.tables[of][target][name] = [*kept, ref] if present else kept
        self.touch(target)
