"""Whether the guest part of a master knows what a machine on it is to be told."""

import contextlib
from pathlib import Path
from typing import Any

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.fleet.specification import Specification
from skinnybox.model import Instance, Master, Seed
from skinnybox.model.fields import Field, machine_fields, part
from skinnybox.values import replace

_SEVERAL_ADDRESSES = 3
_CLOUD_INIT = b"usr/bin/cloud-init"


def check(said: Instance | Specification, master: Master) -> None:
    """Unsupported, naming what, before anything is touched: a master lives for years, and its guest part
    refuses to start with a word that it does not know."""
    _check_addresses(said, master)
    for field in machine_fields():
        if field.protocol > master.guest_protocol and _value(said, field) not in (None, False, ()):
            word = field.key or field.word or field.name
            raise Unsupported(
                f"the guest part of {master.reference} does not know {word}: it speaks protocol"
                f" {master.guest_protocol}, and that is known from {field.protocol} on",
                hint=f"build or import the master again, or leave {word} out",
            )


def known(now: Instance, then: Instance, master: Master) -> Instance:
    """The machine, with what the guest part of this master does not know as it was `then`, on this master."""
    for field in machine_fields():
        if field.word and field.protocol > master.guest_protocol and part(now, field) != part(then, field):
            if field.of is Instance:
                now = replace(now, **{field.name: part(then, field)})
            elif field.of is Seed:
                now = replace(now, seed=replace(now.seed, **{field.name: part(then, field)}))
    if _several_addresses(now) and master.guest_protocol < _SEVERAL_ADDRESSES:
        now = replace(now, seed=replace(now.seed, network=then.seed.network))
    return now


def _several_addresses(said: Instance | Specification) -> bool:
    """Words of a line that all know."""
    network = said.seed.network if isinstance(said, Instance) else said.static_network
    return network is not None and bool(network.also or network.other_gateway)


def _check_addresses(said: Instance | Specification, master: Master) -> None:
    if _several_addresses(said) and master.guest_protocol < _SEVERAL_ADDRESSES:
        raise Unsupported(
            f"the guest part of {master.reference} does not know several addresses of one card: it speaks"
            f" protocol {master.guest_protocol}, and that is known from {_SEVERAL_ADDRESSES} on",
            hint="build or import the master again, or say one address",
        )


def check_cloud_init(said: Instance | Specification, master: Master, folder: Path) -> None:
    """Unsupported where there is user-data and no cloud-init in the master, whose files are in `folder`. Of
    one whose index cannot be read its guest part will say it."""
    told = said.seed.user_data if isinstance(said, Instance) else said.user_data
    if told is None:
        return
    from skinnybox.masters.catalogue import INDEX
    from skinnybox.masters.index import read_index

    with contextlib.suppress(Corrupt, OSError):
        if not any(entry.path == _CLOUD_INIT for entry in read_index(folder / INDEX)):
            raise Unsupported(
                f"there is user-data, and {master.reference} has no cloud-init to read it",
                hint="build it again with `--package cloud-init`, or use --run-once",
            )


def _value(said: Instance | Specification, field: Field) -> Any:
    """Nothing for what nobody gives; what is not asked for is nothing as well, and no line of a seed."""
    if isinstance(said, Instance):
        return part(said, field)
    return getattr(said, field.given) if field.given else None
