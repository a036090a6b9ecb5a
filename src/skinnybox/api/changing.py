"""Changing machines in place: what may be said of that, and doing it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from skinnybox.api.forms import Given
from skinnybox.errors import UsageError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.change import Changes
from skinnybox.fleet.labelled import labelling
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.spec import parts, values
from skinnybox.fleet.spec.shape import Bridge, MemorySize, PortForward
from skinnybox.fleet.telling import Telling
from skinnybox.model import Instance, Network, ranges
from skinnybox.model.forwards import parse_forward
from skinnybox.model.labels import check_key
from skinnybox.model.own_check import check_command
from skinnybox.operation import UNATTENDED, Operation

_PLAIN = ("memory", "cpus", "ssh_port", "autostart", "protected")


class Change(Given):
    """What is not in it stays. Machines that run go on as they were started; `autostart`, `protected` and
    `labels` count at once. `swap`, `throw_away`, `check` and `data` are of stopped ones."""

    memory: MemorySize | None = None
    cpus: Annotated[int, Field(ge=ranges.CPUS.least, le=ranges.CPUS.most)] | None = None
    network: Literal["default"] | Network | None = None
    bridge: Bridge | None = None
    """Says `network: bridge` as well."""
    ssh_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Of the host's loopback; of one machine only."""
    autostart: bool | None = None
    protected: bool | None = None
    labels: Annotated[dict[str, str | None], Field(max_length=64)] | None = None
    """Those to give; null takes one away."""
    forwards: Annotated[list[PortForward], Field(max_length=100)] | None = None
    """All of them, in place of those that are there."""
    swap: values.Swap | None = None
    """null: none."""
    throw_away: values.ThrowAway | None = None
    """null: nothing any more."""
    check: Annotated[str, parts.said(check_command)] | None = None
    """null: none."""
    data: values.DataOf | None = None
    """Goes by itself: a data disk for those that have none, and more folders for those that have one."""


def changed(
    fleet: Fleet, names: Sequence[str], change: Change, *, expect: str | None = None,
    operation: Operation = UNATTENDED,
) -> Sequence[Outcome[Any]]:  # fmt: skip
    """UsageError when nothing is said, or things that do not go together."""
    said = change.model_fields_set
    if not said:
        raise UsageError("nothing is said, so nothing changes", hint='{"memory": "1G"}, for example')
    if change.data is not None:
        if len(said) > 1:
            raise UsageError("data goes by itself", hint="change the rest before or after")
        size, folders = _data(change.data)
        return fleet.overlays.give_data(names, size, folders, operation, expect=expect)
    changing = _changing(change)
    if telling := _telling(change):
        return fleet.overlays.tell(names, telling, operation, changes=changing, expect=expect)
    return fleet.set(names, changing, operation, expect=expect)


def _data(said: int | values.OnData) -> tuple[int | None, Sequence[str]]:
    return (said, ()) if isinstance(said, int) else (said.size, said.folders)


def _telling(change: Change) -> Telling:
    telling: Telling = {}
    if "swap" in change.model_fields_set:
        telling["swap"] = change.swap
    if "throw_away" in change.model_fields_set:
        telling["throw_away"] = change.throw_away
    if "check" in change.model_fields_set:
        telling["check"] = change.check
    return telling


def _changing(change: Change) -> Any:
    """A plain one where that is enough: of an ssh port the fleet has to see it."""
    changes: Changes = {key: value for key in _PLAIN if (value := getattr(change, key)) is not None}  # type: ignore[assignment]
    if change.network is not None or change.bridge is not None:
        changes["network"], changes["bridge"] = _network(change), change.bridge
    if change.forwards is not None:
        changes["forwards"] = tuple(map(parse_forward, change.forwards))
    if change.labels is None:
        return changes
    given = {key: value for key, value in change.labels.items() if value is not None}
    gone = [key for key, value in change.labels.items() if value is None]
    for key in gone:
        check_key(key)
    relabel = labelling(given, gone)

    def both(instance: Instance) -> Changes:
        return {**changes, **relabel(instance)}

    return both


def _network(change: Change) -> Network | None:
    if change.network is None:
        return Network.BRIDGE
    return None if change.network == "default" else change.network
