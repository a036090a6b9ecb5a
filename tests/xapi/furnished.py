"""Hosts of ours on emulated pools, with guests that say they are ready."""

import base64
from pathlib import Path
from typing import Any

from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.master import MakeDisk
from skinnybox.hosts.xapi.tell import PREFIX
from tests.emulators.xapi import PASSWORD, EmulatedPool, guests, xenstore
from tests.emulators.xapi.context import Xapi

PATIENCE = 2.0


def base_of(told: dict[str, str]) -> list[str]:
    """The lines of the base message, put together from its parts as a guest does it."""
    parts = int(told.get(f"{PREFIX}base", "0"))
    text = "".join(told[f"{PREFIX}base-{number}"] for number in range(parts))
    return base64.b64decode(text).decode().splitlines()


def ready(xapi: Xapi, vm: str) -> None:
    """What a guest that comes up at once writes: its report as xenstore has it, and that it obeys."""
    told = xapi.database.get("VM", vm, "xenstore_data")
    images = "".join(f"image {line.split()[-1]}\n" for line in base_of(told) if line.startswith("image "))
    report = (
        "skinnybox-report 1\nstate ready\n"
        f"nonce {told[f'{PREFIX}nonce']}\ninstance {told[f'{PREFIX}instance']}\n{images}seed 1\n"
        "address eth0 10.0.0.5/24\nkernel 6.1.0\nend\n"
    )
    guests.write(xapi, vm, {**xenstore.keys_of(report), "control/feature-shutdown": "1"})


def furnished(**options: Any) -> EmulatedPool:
    """A pool of one host with shared thin storage and a network."""
    pool = EmulatedPool(guest=ready, **options)
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
    return XapiHost(address, state, secret=lambda: PASSWORD, patience=patience, make_disk=make_disk)
