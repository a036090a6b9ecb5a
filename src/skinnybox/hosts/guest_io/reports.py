"""The guest's report: checked word by word, since a guest may say anything, and kept as JSON."""

import binascii
import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from skinnybox.errors import Corrupt
from skinnybox.hosts import host_keys
from skinnybox.model import DiskKind, GuestDisk, RebaseTasks, Report
from skinnybox.printable import printable
from skinnybox.wire import Message, decode

LIMIT = 65536
VERSION = 1
END = b"\nend\n"
_ONCE = ("state", "nonce", "instance", "reason", "seed", "dax", "overlay", "data", "swap", "kernel", "uptime",
         "rebase")  # fmt: skip
_MOST = 64
_LARGEST = 1 << 50
_MOST_SAID = 200
_NUMBER = re.compile(r"[0-9]{1,16}")
_UPTIME = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_INTERFACE = re.compile(r"[A-Za-z0-9._-]{1,15}")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}")
_STATES = ("ready", "failed", "checking")
_REBASE = re.compile(r"([0-9a-f]{1,64}) (done|failed)(?: (.+))?")
_RELEASE = re.compile(r"[A-Za-z0-9.+~_-]{1,128}")


def parse(raw: bytes, uuid: UUID, nonce: str, received: datetime) -> Report:
    """Raises Corrupt when it is malformed, or speaks of another machine or start."""
    message = decode(raw, "report", limit=LIMIT)
    if message.version != VERSION:
        raise Corrupt(f"report: version {message.version} is not known")
    for key in _ONCE:
        _require(len(message.all(key)) <= 1, f"several lines `{key}`")
    for key in ("image", "address", "ssh-host-key", "failed-unit", "inactive-unit", "disk"):
        _require(len(message.all(key)) <= _MOST, f"too many lines `{key}`")
    _require(message.get("instance") == str(uuid), "it names another instance")
    _require(message.get("nonce") == nonce, "it belongs to another start")
    try:
        return _report(message, uuid, nonce, received)
    except (ValueError, IndexError, binascii.Error) as error:
        raise Corrupt(f"report: {error}") from error


def _report(message: Message, uuid: UUID, nonce: str, received: datetime) -> Report:
    state = message.get("state")
    _require(state in _STATES, "its `state` is none of ready, failed and checking")
    size, free = _space("overlay", message)
    data_size, data_free = _space("data", message)
    seed, uptime = message.get("seed"), message.get("uptime")
    return Report(
        ready=state == "ready",
        checking=state == "checking",
        nonce=nonce,
        instance=uuid,
        reason=_reason(message),
        images=tuple(UUID(line.value) for line in message.all("image")),
        seed_generation=None if seed is None else _number(seed),
        dax=_switch(message.get("dax")),
        overlay_size=size,
        overlay_free=free,
        data_size=data_size,
        data_free=data_free,
        addresses=tuple(_addresses(message)),
        ssh_host_keys=tuple(host_keys.checked(line.value) for line in message.all("ssh-host-key")),
        failed_units=tuple(_unit(line.value) for line in message.all("failed-unit")),
        inactive_units=tuple(_unit(line.value) for line in message.all("inactive-unit")),
        rebase=_rebase(message.get("rebase")),
        swap=None if (swap := message.get("swap")) is None else _number(swap),
        disks=_disks(message),
        kernel=_matching(_RELEASE, message.get("kernel")),
        uptime=None if uptime is None else float(_matching(_UPTIME, uptime) or 0),
        received=received,
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Corrupt(f"report: {otherwise}")


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    _require(value is None or pattern.fullmatch(value) is not None, f"not understood: {(value or '')[:60]!r}")
    return value


def _number(text: str) -> int:
    _require(_NUMBER.fullmatch(text) is not None and int(text) <= _LARGEST, f"no number: {text[:60]!r}")
    return int(text)


def _reason(message: Message) -> str | None:
    text = message.get("reason")
    return None if text is None else text[:500]


def _unit(name: str) -> str:
    _matching(_UNIT, name)
    return name


def _rebase(value: str | None) -> RebaseTasks | None:
    if value is None:
        return None
    found = _REBASE.fullmatch(value)
    if found is None:
        raise Corrupt(f"report: not understood: {value[:60]!r}")
    why = printable(found[3])[:_MOST_SAID] if found[3] else None
    return RebaseTasks(identifier=found[1], done=found[2] == "done", why=why)


def _space(key: str, message: Message) -> tuple[int | None, int | None]:
    value = message.get(key)
    if value is None:
        return None, None
    size, free = (_number(word) for word in value.split(" "))
    _require(free <= size, f"more of its {key} is free than there is")
    return size, free


def _disks(message: Message) -> tuple[GuestDisk, ...]:
    """Each kind once; one of a kind of tomorrow is passed over."""
    known, found = {str(kind): kind for kind in DiskKind}, list[GuestDisk]()
    for line in message.all("disk"):
        name, _, rest = line.value.partition(" ")
        if name not in known:
            continue
        size, filesystem, *why = rest.split(" ", 2)
        reason = printable(why[0])[:_MOST_SAID] if why else None
        found.append(
            GuestDisk(kind=known[name], size=_number(size), filesystem=_number(filesystem), why=reason)
        )
    _require(len({disk.kind for disk in found}) == len(found), "a disk is told of twice")
    return tuple(found)


def _switch(value: str | None) -> bool | None:
    _require(value in (None, "on", "off"), "dax is neither on nor off")
    return None if value is None else value == "on"


def _addresses(message: Message) -> list[str]:
    found = []
    for line in message.all("address"):
        interface, *addresses = line.value.split(" ")
        _matching(_INTERFACE, interface)
        _require("%" not in line.value, "an address with a zone")  # in which anything may stand
        found += [f"{interface} {ipaddress.ip_interface(address)}" for address in addresses]
    _require(len(found) <= _MOST, "too many addresses")
    return found


def to_record(report: Report) -> dict[str, Any]:
    """Plain values for json.dumps."""
    return {
        "ready": report.ready,
        "nonce": report.nonce,
        "instance": str(report.instance),
        "reason": report.reason,
        "images": [str(image) for image in report.images],
        "seed_generation": report.seed_generation,
        "dax": report.dax,
        "overlay_size": report.overlay_size,
        "overlay_free": report.overlay_free,
        "data_size": report.data_size,
        "data_free": report.data_free,
        "addresses": list(report.addresses),
        "ssh_host_keys": list(report.ssh_host_keys),
        "failed_units": list(report.failed_units),
        "inactive_units": list(report.inactive_units),
        "checking": report.checking,
        "rebase": report.rebase and [report.rebase.identifier, report.rebase.done, report.rebase.why],
        "swap": report.swap,
        "disks": [[str(disk.kind), disk.size, disk.filesystem, disk.why] for disk in report.disks],
        "kernel": report.kernel,
        "uptime": report.uptime,
        "received": report.received and report.received.isoformat(),
        "reachable": report.reachable,
        "ready_since": report.ready_since and report.ready_since.isoformat(),
    }


def _kept_number(value: Any) -> int | None:
    return None if value is None else int(value)


def _kept_rebase(value: Any) -> RebaseTasks | None:
    if value is None:
        return None
    identifier, done, why = value
    return RebaseTasks(identifier=str(identifier), done=done is True, why=None if why is None else str(why))


def from_record(values: Mapping[str, Any]) -> Report:
    """What to_record made, read back; an older Skinnybox did not look whether a machine can be reached, nor
    kept since when it is ready, what failed in it, how full its data disk is or what came of a rebase."""
    received, reachable, since = values["received"], values.get("reachable"), values.get("ready_since")
    if reachable not in (None, True, False):
        raise ValueError("reachable is neither true nor false")
    return Report(
        ready=values["ready"],
        nonce=values["nonce"],
        instance=UUID(values["instance"]),
        reason=values["reason"],
        images=tuple(UUID(image) for image in values["images"]),
        seed_generation=values["seed_generation"],
        dax=values["dax"],
        overlay_size=values["overlay_size"],
        overlay_free=values["overlay_free"],
        data_size=_kept_number(values.get("data_size")),
        data_free=_kept_number(values.get("data_free")),
        addresses=tuple(values["addresses"]),
        ssh_host_keys=tuple(values["ssh_host_keys"]),
        failed_units=tuple(values.get("failed_units", ())),
        inactive_units=tuple(values.get("inactive_units", ())),
        checking=values.get("checking") is True,
        rebase=_kept_rebase(values.get("rebase")),
        swap=_kept_number(values.get("swap")),
        disks=tuple(
            GuestDisk(kind=DiskKind(kind), size=int(size), filesystem=int(filesystem), why=why)
            for kind, size, filesystem, why in values.get("disks", ())
        ),
        kernel=values["kernel"],
        uptime=values["uptime"],
        received=None if received is None else datetime.fromisoformat(received),
        reachable=reachable,
        ready_since=None if since is None else datetime.fromisoformat(since),
    )
