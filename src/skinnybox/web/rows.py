"""Machines as rows of a table and squares of a map."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from skinnybox.fleet.view import Condition, MachineView
from skinnybox.web import words
from skinnybox.web.listing import overlay_used

TONES = {
    Condition.READY: "good",
    Condition.STARTING: "busy",
    Condition.CREATING: "busy",
    Condition.DELETING: "busy",
    Condition.STOPPED: "off",
    Condition.SUSPENDED: "off",
    Condition.PAUSED: "off",
    Condition.STALLED: "bad",
    Condition.FAILED: "bad",
    Condition.CRASHED: "bad",
    Condition.MISMATCH: "bad",
    Condition.DAMAGED: "bad",
    Condition.UNREADABLE: "bad",
}
"""What a condition looks like: each page says it in words as well."""
_NEARLY_FULL = 90


class Row(NamedTuple):
    """One machine as a table shows it, all of it text or a number that fits there."""

    uuid: str
    name: str
    tone: str
    told: str
    reason: str | None
    master: str
    successor: str | None
    fleet: str | None
    percent: int
    used: str
    size: str
    tight: bool
    address: str | None
    up: str | None
    booted: str | None
    protected: bool
    labels: tuple[tuple[str, str], ...]


def row_of(machine: MachineView, successors: Mapping[str, str]) -> Row:
    instance, used = machine.instance, overlay_used(machine)
    full = words.percent(used, instance.overlay.size)
    since = machine.status.since if machine.status and machine.status.pid else None
    return Row(
        uuid=str(instance.uuid), name=machine.name, tone=tone(machine), told=machine.told,
        reason=machine.reason, master=instance.stack.reference,
        successor=successors.get(instance.stack.master), fleet=instance.fleet, percent=full,
        used=words.size(used), size=words.size(instance.overlay.size),
        tight=machine.full or full >= _NEARLY_FULL, address=machine.address,
        up=words.since(since) if since else None, booted=words.stamp(since) if since else None,
        protected=instance.protected, labels=instance.labels,
    )  # fmt: skip


def rows_of(machines: Iterable[MachineView], successors: Mapping[str, str]) -> list[Row]:
    return [row_of(machine, successors) for machine in machines]


def tone(machine: MachineView) -> str:
    """`warn` is one that is ready, and about which something is to be said."""
    found = TONES[machine.condition]
    return "warn" if found == "good" and machine.reason else found


def digest(rows: Sequence[Row]) -> str:
    """By which two looks at them are told from each other."""
    return sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()[:16]
