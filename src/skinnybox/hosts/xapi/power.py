"""Machines switched on and off. Where they run is the pool's own choice."""

import contextlib
from datetime import UTC, datetime
from typing import Any

from skinnybox.errors import Conflict, NotFound
from skinnybox.hosts.xapi import create, observe, tasks, telling, xenstore_data
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.errors import Denied
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.model import Instance

_GOES_ON: dict[str, tuple[Any, ...]] = {"Suspended": ("VM.resume", False, False), "Paused": ("VM.unpause",)}
"""How a machine goes on that somebody halted in the middle of its work: still the same start."""


def start(pool: Pool, instance: Instance) -> None:
    """Its master is in the pool already. Conflict when it runs, or a command works on its overlay: that would
    put another in place of what the guest writes to."""
    with pool.exclusive_disks(instance):
        _start(pool, instance)


def _start(pool: Pool, instance: Instance) -> None:
    found = pool.machine(instance.uuid)
    if found and found[1]["power_state"] in _GOES_ON:
        method, *more = _GOES_ON[found[1]["power_state"]]
        tasks.run(pool.sessions, method, found[0], *more)
        return
    if found and found[1]["power_state"] != "Halted":
        raise Conflict(f"{instance.name} runs already")
    _, overlay = pool.overlay(instance)
    for kind in instance.disks:
        pool.overlay(instance, kind)
    if found is None:
        create.define(pool, instance)
        found = pool.machine(instance.uuid)
        if found is None:
            raise NotFound(f"somebody deleted {instance.name} just now")
    create.attach(pool, instance)
    create.fit(pool, instance, found)
    # Anew, as whoever put this overlay in place may have been killed before it was told.
    told = xenstore_data.told(instance, blank=create.blank(pool, instance))
    _tell(pool, found, told, _nonce(pool, found, overlay))
    tasks.run(pool.sessions, "VM.start", found[0], False, False)


def _nonce(pool: Pool, found: Found, overlay: Record) -> str:
    """A fresh one, but at its very first start: that the machine has already, and each call counts where
    hundreds are made. Never the one that the overlay's mark says is of another (create.BLANK)."""
    nonce = telling.unheard(found)
    used = observe.since(pool, found[1]) is not None or overlay["other_config"].get(create.BLANK) == nonce
    return xenstore_data.fresh_nonce() if nonce is None or used else nonce


def _tell(pool: Pool, found: Found, told: dict[str, str], nonce: str) -> None:
    """Of this very start. An operator of the pool may start machines, and tell them nothing: it is as when
    somebody else starts it then, if there is nothing new that it has to be told."""
    now = datetime.now(UTC).isoformat()
    try:
        telling.note_start(pool, found, nonce, now)
        telling.tell(pool, found, told, nonce)
    except Denied:
        if telling.is_news(found, told):
            raise


def shutdown(pool: Pool, instance: Instance) -> None:
    """Ask the guest; does not wait. What the pool says of it in the end, pool.begun tells."""
    found = _running(pool, instance)
    if found:
        pool.begun.begin("VM.clean_shutdown", found[0])


def power_off(pool: Pool, instance: Instance) -> None:
    found = _running(pool, instance)
    if not found:
        return
    try:
        tasks.run(pool.sessions, "VM.hard_shutdown", found[0])
    except (Conflict, NotFound):
        if _running(pool, instance):
            raise


def reboot(pool: Pool, instance: Instance) -> None:
    """Ask the guest to start again; does not wait. Conflict when it does not run."""
    found = _running(pool, instance)
    if not found:
        raise Conflict(f"{instance.name} does not run")
    pool.begun.begin("VM.clean_reboot", found[0])


def _running(pool: Pool, instance: Instance) -> Found | None:
    with contextlib.suppress(NotFound):
        found = pool.machine(instance.uuid)
        return found if found and found[1]["power_state"] != "Halted" else None
    return None
