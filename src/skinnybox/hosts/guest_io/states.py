"""What the files of a run folder say of a machine, as its status."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from skinnybox.hosts.guest_io import stall
from skinnybox.model import Power, Status
from skinnybox.values import replace

T = TypeVar("T")

_UNWRITTEN = "how it ended cannot be written down: is the disk full?"


def running(values: dict[str, Any]) -> Status:
    return Status(
        power=Power.RUNNING,
        since=datetime.fromisoformat(values["started"]),
        pid=values["pid"],
        nonce=values["nonce"],
    )


def unwritten(values: dict[str, Any]) -> Status:
    return Status(power=Power.CRASHED, nonce=values["nonce"], reason=_UNWRITTEN)


def stalled(values: dict[str, Any]) -> Status:
    return replace(running(values), power=Power.STALLED, reason=stall.REASON)


def crashed(values: dict[str, Any]) -> Status:
    return Status(
        power=Power.CRASHED,
        since=datetime.fromisoformat(values["at"]),
        nonce=values["nonce"],
        reason=str(values["reason"]),
    )


def understood(make: Callable[[dict[str, Any]], T], values: dict[str, Any] | None) -> T | None:
    """A file of ours that was damaged counts as not there."""
    try:
        return None if values is None else make(values)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
