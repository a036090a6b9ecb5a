"""Hosts of ours on emulated pools, with guests that say they are ready."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skinnybox.fleet import data_disk
from skinnybox.fleet.specification import Specification
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.master import MakeDisk
from skinnybox.hosts.xapi.xenstore_data import ORDER, PLACES, PREFIX
from skinnybox.model import Allocation, DiskKind, Image, Instance, Master, Overlay
from skinnybox.operation import Operation
from skinnybox.overlays.make import make
from skinnybox.overlays.seed import base_message, seed_capacity, seed_message
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB
from tests.emulators.xapi import PASSWORD, EmulatedPool, guests, srs, xenstore
from tests.emulators.xapi.context import Xapi

PATIENCE = 2.0
FULL = ("SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
"""What a pool says when storage has no room left."""
_BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(32)
HOST_KEY = f"ssh-ed25519 {base64.b64encode(_BLOB).decode()}"


SMALL = Specification(overlay=Overlay(size=32 * MIB), memory=256 * MIB, any_allocation=True)


def make_one(host: Host, instance: Instance, operation: Operation) -> None:
    """As `create` makes it, without a catalog."""
    contents = Contents(base=base_message(instance), seed=seed_message(instance))
    host.create_overlay(instance, contents, operation)
    if instance.data is not None:
        data_disk.make(host, instance, operation)
    host.define(instance)


def message_of(told: dict[str, str], name: str) -> bytes:
    """Put together from its parts as a guest does it."""
    parts = int(told.get(f"{PREFIX}{name}", "0"))
    text = "".join(told[f"{PREFIX}{name}-{number}"] for number in range(parts))
    return base64.b64decode(text)


def base_of(told: dict[str, str]) -> list[str]:
    """The lines of the base message."""
    return message_of(told, "base").decode().splitlines()


def ready(xapi: Xapi, vm: str) -> None:
    """What a guest that comes up at once writes: its report as xenstore has it, and that it obeys."""
    told = guests.told(xapi, vm)
    images = "".join(f"image {line.split()[-1]}\n" for line in base_of(told) if line.startswith("image "))
    report = (
        "skinnybox-report 1\nstate ready\n"
        f"nonce {told.get(f'{PREFIX}nonce', '-')}\ninstance {told[f'{PREFIX}instance']}\n{images}seed 1\n"
        "address eth0 10.0.0.5/24\nkernel 6.1.0\nend\n"
    )
    guests.write(xapi, vm, {**xenstore.keys_of(report), "control/feature-shutdown": "1"})


def at_work(xapi: Xapi, vm: str) -> None:
    """The same of one that formats its overlay first when it is told to, applies the seed it is told, and
    says more of itself."""
    told = guests.told(xapi, vm)
    _format(xapi, vm, told)
    images = "".join(f"image {line.split()[-1]}\n" for line in base_of(told) if line.startswith("image "))
    seed = next(line for line in message_of(told, "seed").decode().splitlines() if "generation" in line)
    report = (
        "skinnybox-report 1\nstate ready\n"
        f"nonce {told.get(f'{PREFIX}nonce', '-')}\ninstance {told[f'{PREFIX}instance']}\n{images}"
        f"seed {seed.split()[-1]}\ndax off\noverlay 60000000 45000000\naddress eth0 10.0.0.5/24\n"
        f"ssh-host-key {HOST_KEY}\nkernel 6.1.0\nend\n"
    )
    guests.write(xapi, vm, {**xenstore.keys_of(report), "control/feature-shutdown": "1"})


def _format(xapi: Xapi, vm: str, told: dict[str, str]) -> None:
    """As mke2fs in the guest would, when the overlay is blank."""
    drives = (xapi.database.record("VBD", each) for each in xapi.database.get("VM", vm, "VBDs"))
    vdi = next(drive["VDI"] for drive in drives if drive["userdevice"] == PLACES[DiskKind.OVERLAY])
    disk, seed = srs.path(xapi, vdi), message_of(told, "seed")
    with disk.open("rb") as file:
        blank = not file.read(4096).strip(b"\0")
    if f"{PREFIX}format" not in told or not blank:
        return
    size = xapi.database.get("VDI", vdi, "virtual_size")
    chosen = template(xapi.scratch / "templates", size, seed_capacity(seed))
    fresh = disk.with_suffix(".fresh")
    make(chosen, fresh, base=message_of(told, "base"), seed=seed, identity=b"", allocation=Allocation.SPARSE)
    fresh.replace(disk)


def furnished(
    *, guest: Callable[[Xapi, str], None] = ready, ssh: bool = True, **options: Any
) -> EmulatedPool:
    """A pool of one host with shared thin storage and a network. `ssh`: that of its guests answers."""
    pool = EmulatedPool(guest=guest, **options)
    if ssh:
        pool.ssh.open()
    pool.add_sr("shared", "nfs")
    pool.add_network("lan")
    return pool


def host_on(
    pool: EmulatedPool,
    state: Path,
    *,
    patience: float = PATIENCE,
    make_disk: MakeDisk | None = None,
    **chosen: Any,
) -> XapiHost:
    """As root over plain HTTP, unless `chosen` has other fields of Address."""
    address = Address(**{"user": "root", "url": pool.url, "timeout": 20.0, **chosen})
    return XapiHost(
        address,
        state,
        secret=lambda: PASSWORD,
        patience=patience,
        make_disk=make_disk,
        dial=pool.ssh.dial,
    )


def plain_disk(target: Path, master: Master, image: Image, folder: Path) -> None:
    """A master's disk that nobody boots."""
    target.write_bytes((folder / image.file).read_bytes())


def all_of(pool: EmulatedPool, of: str) -> list[dict[str, Any]]:
    """Every record of a class."""
    with pool.database() as database:
        return [dict(record) for record in database.tables[of].values()]


def machine(pool: EmulatedPool, instance: Instance) -> dict[str, Any]:
    """The record of its only VM."""
    with pool.database() as database:
        found = [
            dict(record)
            for _, record in database.where("VM", name_label=instance.name)
            if not record["is_a_template"]
        ]
    assert len(found) == 1
    return found[0]


def vm_of(pool: EmulatedPool, instance: Instance) -> str:
    """Its only VM, never a snapshot of that."""
    with pool.database() as database:
        return next(
            ref
            for ref, each in database.where("VM", is_a_snapshot=False, is_a_template=False)
            if tags.instance_of(each) == instance.uuid
        )


def may_format(told: Mapping[str, str], instance: Instance) -> bool:
    """Whether a guest that reads this may format its blank overlay."""
    return told.get(ORDER) == str(instance.uuid)
