"""What the form of a batch says, as what the fleet is asked for, as a command line, and as a fleet file."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import yaml
from starlette.datastructures import FormData, QueryParams

from skinnybox.errors import UsageError
from skinnybox.fleet.seed_parts import public_keys
from skinnybox.fleet.spec import networks
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, Network, Overlay, StaticNetwork
from skinnybox.model.datadisk import data_disk
from skinnybox.model.labels import labels_of, parse_label
from skinnybox.printable import quoted
from skinnybox.sizes import parse_size

_NUMBER = re.compile("[0-9]{1,9}")
_MOST_DIGITS = 9
MOST = 5_000
"""Machines of one batch, as over the API."""
KEY_FILE = "keys.pub"
"""What the command line calls the file of the keys, which stand in the form themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The fields of the form, as texts, as they are shown again when one of them is wrong."""

    master: str = ""
    prefix: str = "web-"
    first: str = "1"
    last: str = "4"
    digits: str = "2"
    overlay: str = "1G"
    memory: str = "512M"
    cpus: str = "1"
    data: str = ""
    layers: str = ""
    network: str = ""
    bridge: str = ""
    address: str = ""
    gateway: str = ""
    dns: str = ""
    user: str = "root"
    keys: str = ""
    labels: str = ""
    sparse: bool = False
    start: bool = True
    autostart: bool = False
    protect: bool = False
    skip_existing: bool = False

    @property
    def pattern(self) -> str:
        """`web-{01..40}`; of one machine its name. UsageError for what is no number, and more than MOST."""
        first, last = number("first", self.first), number("last", self.last)
        digits = number("digits", self.digits)
        if digits > _MOST_DIGITS:
            raise UsageError(f"digits: {digits} are more than {_MOST_DIGITS}")
        if last - first >= MOST:
            raise UsageError(f"{last - first + 1} machines; a batch is of {MOST} at the most")
        if first == last:
            return f"{self.prefix}{first:0{digits}d}"
        return f"{self.prefix}{{{first:0{digits}d}..{last:0{digits}d}}}"

    @property
    def static_network(self) -> StaticNetwork | None:
        if not self.address:
            if self.gateway or self.dns:
                raise UsageError("a gateway and name servers go with an address")
            return None
        return networks.static(words(self.address), words(self.gateway), words(self.dns))

    @property
    def allocation(self) -> Allocation:
        return Allocation.SPARSE if self.sparse else Allocation.RESERVED

    @property
    def bridged(self) -> bool:
        return bool(self.bridge) and self.network in ("", Network.BRIDGE)


def sent(form: FormData | QueryParams) -> Batch:
    """What is not there has what a first look at the form shows; a box that is not ticked is not sent."""
    said: dict[str, Any] = {}
    for field in fields(Batch):
        value = form.get(field.name)
        if field.type is bool:
            said[field.name] = value is not None
        elif isinstance(value, str):
            said[field.name] = value.strip()
    return Batch(**said)


def following(names: Iterable[str], prefix: str) -> int:
    """The number behind the last one that a name of this prefix has."""
    numbers = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return max((int(each) for each in numbers if _NUMBER.fullmatch(each)), default=0) + 1


def specification(batch: Batch, fleet: str | None) -> Specification:
    """UsageError for what cannot be; `fleet`: they are of this one."""
    if batch.network not in ("", *Network):
        raise UsageError(f"there is no network {quoted(batch.network)}")
    if batch.network and batch.bridge and batch.network != Network.BRIDGE:
        raise UsageError("a bridge goes with the network bridge")
    return Specification(
        overlay=Overlay(size=parse_size(batch.overlay), allocation=batch.allocation),
        any_allocation=not batch.sparse,
        memory=parse_size(batch.memory),
        cpus=number("cpus", batch.cpus),
        data=data_disk(parse_size(batch.data), [], batch.allocation) if batch.data else None,
        layers=tuple(words(batch.layers)),
        network=Network.BRIDGE if batch.bridged else Network(batch.network) if batch.network else None,
        bridge=batch.bridge or None,
        static_network=batch.static_network,
        ssh_user=batch.user,
        authorized_keys=public_keys(batch.keys) if batch.keys else (),
        labels=labels_of(dict(map(parse_label, words(batch.labels)))),
        autostart=batch.autostart,
        protected=batch.protect,
        fleet=fleet,
    )


def command(batch: Batch) -> str:
    """The same for a terminal. What is meant when nothing is said, is not said."""
    usual = Batch()
    said = ["skinnybox", "create", batch.pattern, "--master", batch.master]
    said += ["--overlay", batch.overlay, "--memory", batch.memory, "--cpus", batch.cpus]
    said += ["--data", batch.data] if batch.data else []
    said += [word for layer in words(batch.layers) for word in ("--layer", layer)]
    if batch.bridge:
        said += ["--bridge", batch.bridge]
    elif batch.network:
        said += ["--network", batch.network]
    for option, value in (("address", batch.address), ("gateway", batch.gateway), ("dns", batch.dns)):
        said += [word for each in words(value) for word in (f"--{option}", each)]
    said += ["--user", batch.user] if batch.user != usual.user else []
    said += ["--ssh-key", KEY_FILE] if batch.keys else []
    said += [word for label in words(batch.labels) for word in ("--label", label)]
    flags = ("sparse", "start", "autostart", "protect", "skip_existing")
    said += [f"--{flag.replace('_', '-')}" for flag in flags if getattr(batch, flag)]
    return shlex.join(said)


def fleet_file(batch: Batch, fleet: str | None) -> str:
    """The same as a fleet file, which counts from then on: `state` says that they run."""
    address, gateway = words(batch.address), words(batch.gateway)
    said: dict[str, Any] = {
        "master": batch.master,
        "overlay": batch.overlay,
        "sparse": batch.sparse,
        "memory": batch.memory,
        "cpus": number("cpus", batch.cpus),
        "data": batch.data,
        "layers": words(batch.layers),
        "bridge": batch.bridge,
        "network": "" if batch.bridge else batch.network,
        "address": address[0] if len(address) == 1 else address,
        "gateway": gateway[0] if len(gateway) == 1 else gateway,
        "dns": words(batch.dns),
        "user": batch.user if batch.user != Batch().user else "",
        "ssh_keys": list(public_keys(batch.keys)) if batch.keys else [],
        "labels": dict(map(parse_label, words(batch.labels))),
        "state": "running" if batch.start else "",
        "autostart": batch.autostart,
        "protected": batch.protect,
    }
    group = {key: value for key, value in said.items() if value not in ("", False, [], {})}
    name = fleet or re.sub("[^a-z0-9]+", "-", batch.prefix.lower()).strip("-") or "fleet"
    whole = {"version": 1, "fleet": name, "machines": {batch.pattern: group}}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def number(what: str, said: str) -> int:
    if not _NUMBER.fullmatch(said):
        raise UsageError(f"{what}: {quoted(said)} is no number")
    return int(said)


def words(said: str) -> list[str]:
    """Those between blanks, commas and line ends."""
    return [word for word in re.split(r"[\s,]+", said) if word]
