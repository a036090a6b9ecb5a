"""event.from (what changed since a token, one event for each object), and the older register and next."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.xapi import wire
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.database import Record
from tests.emulators.xapi.failure import Failure


@dataclass(slots=True)
class Subscription:
    """`VM`, `VM/OpaqueRef:...` or `*`; classes in any case."""

    everything: bool = False
    classes: set[str] = field(default_factory=set)
    objects: set[tuple[str, str]] = field(default_factory=set)

    def add(self, text: str) -> None:
        parts = text.split("/", 1)
        if text == "*":
            self.everything = True
        elif len(parts) == 1:
            self.classes.add(text.lower())
        else:
            self.objects.add((parts[0].lower(), parts[1]))

    def may_match(self, of: str) -> bool:
        """Whether some object of that class is wanted."""
        of = of.lower()
        return self.everything or of in self.classes or any(each == of for each, _ in self.objects)

    def matches(self, of: str, ref: str) -> bool:
        of = of.lower()
        return self.everything or of in self.classes or (of, ref) in self.objects


def subscription(classes: list[str]) -> Subscription:
    made = Subscription()
    for each in classes:
        made.add(each)
    return made


def news(xapi: Xapi, wanted: Subscription, start: int) -> bool:
    """Whether `since` may find something; quick, as everybody who waits asks after every call."""
    journal = xapi.database.journal
    if start < journal[0][0]:
        return bool(since(xapi, wanted, start))
    recent = itertools.takewhile(lambda change: change[0] > start, reversed(journal))
    return any(wanted.matches(of, ref) for _, of, ref in recent)


def since(xapi: Xapi, wanted: Subscription, start: int) -> list[dict[str, Any]]:
    """One event for each object that was made, changed or deleted after generation `start`."""
    database = xapi.database
    found = []
    for of, table in database.tables.items():
        if not wanted.may_match(of):
            continue
        for ref, record in table.items():
            stamp = database.stamps[ref]
            if stamp.modified > start and wanted.matches(of, ref):
                operation = "add" if stamp.created > start else "mod"
                found.append(_event(of, ref, operation, stamp.modified, record))
    for of, ref, stamp in database.deleted:
        if stamp.created <= start < stamp.modified and wanted.matches(of, ref):
            found.append(_event(of, ref, "del", stamp.modified))
    return sorted(found, key=lambda event: int(event["id"]))


def _event(
    of: str, ref: str, operation: str, generation: int, record: Record | None = None
) -> dict[str, Any]:
    event = {
        "id": str(generation),
        "timestamp": "0.0",
        "class": of.lower(),
        "operation": operation,
        "ref": ref,
    }
    return event if record is None else {**event, "snapshot": (of, record)}


def plain(xapi: Xapi, event: dict[str, Any], *, xml: bool) -> dict[str, Any]:
    """An event as it goes on the wire, its snapshot a record."""
    if "snapshot" not in event:
        return event
    of, record = event["snapshot"]
    return {**event, "snapshot": wire.record(xapi.model, of, record, xml=xml)}


def token(generation: int) -> str:
    return f"{generation:020d},{0:020d}"


def _generation(text: str) -> int:
    try:
        return int(text.split(",")[0]) if text else 0
    except ValueError:
        raise Failure("EVENT_FROM_TOKEN_PARSE_FAILURE", text) from None


def _alive(call: Call) -> bool:
    return call.session in call.xapi.sessions


@implements("event.from")
def from_(call: Call, classes: list[str], text: str, timeout: float) -> dict[str, Any]:
    """Blocks until there is something or the time is over."""
    wanted, start, xapi = subscription(classes), _generation(text), call.xapi
    xapi.wait(lambda: not _alive(call) or news(xapi, wanted, start), timeout)
    if not _alive(call):
        raise Failure("SESSION_INVALID", call.session)
    counts = {of.lower(): wire.Int32(len(table)) for of, table in xapi.database.tables.items()}
    return {
        "events": since(xapi, wanted, start),
        "valid_ref_counts": counts,
        "token": token(xapi.database.generation),
    }


@implements("event.inject")
def inject(call: Call, of: str, ref: str) -> str:
    """Counts as a change of that object."""
    names = {name.lower(): name for name in call.xapi.model.classes}
    call.database.record(names.get(of.lower(), of), ref)
    call.database.touch(ref)
    return token(call.database.generation)


@implements("event.get_current_id")
def current_id(call: Call) -> int:
    return call.database.generation


@implements("event.register")
def register(call: Call, classes: list[str]) -> None:
    known, start = call.xapi.registered.get(call.session, (set(), call.database.generation))
    call.xapi.registered[call.session] = (known | set(classes), start)


@implements("event.unregister")
def unregister(call: Call, classes: list[str]) -> None:
    known, start = call.xapi.registered.get(call.session, (set(), 0))
    call.xapi.registered[call.session] = (known - set(classes), start)


@implements("event.next")
def next_(call: Call) -> list[dict[str, Any]]:
    """Blocks until there is something."""
    if not call.xapi.registered.get(call.session, (set(), 0))[0]:
        raise Failure("SESSION_NOT_REGISTERED", call.session)
    classes, start = call.xapi.registered[call.session]
    wanted = subscription(sorted(classes))
    call.xapi.wait(lambda: not _alive(call) or news(call.xapi, wanted, start), None)
    if not _alive(call):
        raise Failure("SESSION_INVALID", call.session)
    found = since(call.xapi, wanted, start)
    call.xapi.registered[call.session] = (classes, call.database.generation)
    return found
