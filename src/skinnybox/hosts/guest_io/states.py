"""What the files of a run folder say of a machine, as its status."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from skinnybox.hosts.guest_io import stall
from skinnybox.model import Power, Status

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
