"""What every part of the emulator works on: the pool's state, one call, the table of what is implemented."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.emulators.xapi.call_log import CallLog
from tests.emulators.xapi.database import Database
from tests.emulators.xapi.failure import Dropped, Failure
from tests.emulators.xapi.faults import Faults, Meeting
from tests.emulators.xapi.kinds import NULL
from tests.emulators.xapi.model import Model, load

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


def implements(*names: str) -> Callable[[Handler], Handler]:
    """The function answers these calls: first a Call, then the parameters without the session."""

    def register(function: Handler) -> Handler:
        for name in names:
            assert load().message(name), f"{name} is not in the data model"
            assert name not in HANDLERS, name
            HANDLERS[name] = function
        return function

    return register


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    password: str
    roles: frozenset[str]
    superuser: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    name: str
    user: User
    originator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How this pool behaves. Times in seconds."""

    boots: bool
    shutdown_timeout: float
    dynamic_memory: bool
    plugins: Path | None
    python: str | None


@dataclass(slots=True, kw_only=True)
class Xapi:
    """One pool. `changed` is its one lock; it is notified after every call."""

    options: Options
    scratch: Path
    model: Model = field(default_factory=load)
    database: Database = field(default_factory=lambda: Database(load()))
    faults: Faults = field(default_factory=Faults)
    log: CallLog = field(default_factory=CallLog)
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.Lock()))
    users: dict[str, User] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Task -> the session that made it."""
    registered: dict[str, tuple[set[str], int]] = field(default_factory=dict)
    machines: dict[str, Any] = field(default_factory=dict)
    """VM reference -> what runs it (machine.py); while it runs."""
    started: list[Any] = field(default_factory=list)
    """Every machine.py Machine there ever was, to be joined at the end."""
    xenstore: dict[str, dict[str, str]] = field(default_factory=dict)
    """VM reference -> what its guest wrote, while it runs."""
    bases: dict[str, int] = field(default_factory=dict)
    """VDI reference of a clone -> bytes its hidden parent takes on a thick SR."""
    inherited: dict[str, int] = field(default_factory=dict)
    """VDI reference of a clone -> bytes it shares with its parent on a thin SR."""
    guest: Callable[[str], None] | None = None
    """Stands for the guest where nothing boots: called with a VM's reference when it starts."""
    others: Callable[["Call"], None] | None = None
    """Other clients: called before each call, under the lock, to do what they do at that moment."""
    bugs: list[str] = field(default_factory=list)
    """Tracebacks of what went wrong in the emulator itself."""
    local_url: str = ""
    """Where a plugin in dom0 finds the pool."""
    closing: bool = False

    @property
    def pool(self) -> str:
        return next(iter(self.database.tables["pool"]))

    @property
    def master(self) -> str:
        return str(self.database.get("pool", self.pool, "master"))

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """Long work, during which others may call."""
        self.changed.notify_all()
        self.changed.release()
        try:
            yield
        finally:
            self.changed.acquire()

    def wait(self, holds: Callable[[], bool], seconds: float | None) -> bool:
        """Let others work until it holds; whether it does. Dropped when the pool closes."""
        self.changed.notify_all()
        self.changed.wait_for(lambda: self.closing or holds(), seconds)
        if self.closing:
            raise Dropped
        return holds()


@dataclass(slots=True, kw_only=True)
class Call:
    """One call being answered, under the pool's lock. `task` is NULL unless it runs as one."""

    xapi: Xapi
    name: str
    session: str
    meeting: Meeting
    task: str = NULL
    operation_id: str = field(default_factory=lambda: f"OpaqueRef:{uuid4()}")

    @property
    def database(self) -> Database:
        return self.xapi.database

    def cancelled(self) -> bool:
        if self.task == NULL or not self.database.valid("task", self.task):
            return False
        return "cancel" in self.database.get("task", self.task, "current_operations").values()

    def work(self) -> None:
        """Take the time that a slow fault orders. Failure TASK_CANCELLED."""
        for step in range(10 if self.meeting.seconds else 0):
            self.progress(step / 10)
            if self.xapi.wait(self.cancelled, self.meeting.seconds / 10):
                raise Failure("TASK_CANCELLED", self.task)

    def progress(self, share: float) -> None:
        if self.database.valid("task", self.task):
            self.database.set("task", self.task, "progress", share)

    @contextlib.contextmanager
    def operation(self, of: str, ref: str, name: str) -> Iterator[None]:
        """`name` is in progress on the object for the block, and for as long as a slow fault orders."""
        self.database.put(of, ref, "current_operations", self.operation_id, name)
        try:
            self.work()
            yield
        finally:
            if self.database.valid(of, ref):
                self.database.put(of, ref, "current_operations", self.operation_id, None)
