"""Machines made and changed. Their disks are in disks.py; an attachment that is missing is made here."""

import contextlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from skinnybox.errors import Blocked, NotFound
from skinnybox.hosts.xapi import build, cards, keeping, layers, maps, shared, tags, telling, xenstore_data
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.errors import Denied
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.xenstore_data import PLACES
from skinnybox.model import DiskKind, Instance

_WHOLE = (Role.OVERLAY, Role.DATA)

BLANK = "skinnybox:blank"
"""Of an overlay: the guest has not formatted it yet. `yes`, or the nonce of the report that the pool showed
when it was made: that was said of the overlay before. It is there from the very call that makes it on:
whoever is killed before the machine was told of it leaves that with the old nonce, and a report that fits."""


def define(pool: Pool, instance: Instance) -> str:
    """The machine with its record, disks attached as far as they are there. Idempotent. Its reference."""
    text = tags.record_text(instance)
    found = pool.machine(instance.uuid)
    if found:
        _update(pool, instance, found, text)
        return found[0]
    return _create(pool, instance, text)


def _create(pool: Pool, instance: Instance, text: str) -> str:
    """Nothing of it stays when it fails, also of calls whose answers were lost."""
    pool.things.refresh()
    cards.check(pool, instance)
    pool.refuse_names([instance.name])
    try:
        record = build.machine(
            instance, pool.identity.own(), text, _template(pool), blank=blank(pool, instance)
        )
        if instance.uuid in pool.fresh:
            record["other_config"][tags.FIRST] = "yes"
        vm = str(pool.call("VM.create", record))
        for drive in _missing(pool, instance, vm, ()):
            pool.call("VBD.create", drive)
        layers.note_master(pool, instance)
        cards.make(pool, instance, vm)
        maps.first(pool, "VM", vm, "blocked_operations", build.blocked())
        return vm
    except BaseException:
        with contextlib.suppress(Exception):
            forget(pool, instance)
        raise


def _template(pool: Pool) -> dict[str, Any] | None:
    name = pool.address.template
    if name is None:
        return None
    return pool.template(name)[1]


def blank(pool: Pool, instance: Instance) -> bool:
    """Whether its guest has yet to format the overlay: as of the last look."""
    overlay = pool.overlays().get(instance.uuid)
    return overlay is not None and BLANK in overlay[1]["other_config"]


def _missing(pool: Pool, instance: Instance, vm: str, attached: tuple[str, ...]) -> list[dict[str, Any]]:
    """The drives it has not got yet of the disks that are there, as of the last look at these."""
    drives = _missing_shared(pool, instance, vm, attached)
    for kind, place in PLACES.items():
        disk = pool.own_disks(kind).get(instance.uuid)
        if kind in instance.disks and disk and not set(disk[1]["VBDs"]) & set(attached):
            drives.append(build.drive(vm, disk[0], place, kind))
    return drives


def _missing_shared(
    pool: Pool, instance: Instance, vm: str, attached: tuple[str, ...]
) -> list[dict[str, Any]]:
    return [
        build.shared_drive(vm, reference, place, Role(tags.role_of(record)))
        for place, (reference, record) in shared.lacking(pool, instance, attached)
    ]


def attach(pool: Pool, instance: Instance) -> Found | None:
    """Give the halted machine the drives it lacks; takes an older disk's from it, which is superseded from
    then on. What of its disks it has not attached somebody else may have made."""
    found = pool.machine(instance.uuid)
    if found is None:
        return None
    pool.things.refresh()
    for kind in instance.disks:
        _detach_older(pool, instance, found, kind)
    if instance.uuid in pool.overlays():
        keeping.unmark(pool, pool.overlays()[instance.uuid])
    found = _without_others(pool, instance, found)
    for drive in _missing(pool, instance, found[0], tuple(found[1]["VBDs"])):
        pool.call("VBD.create", drive)
    layers.note_master(pool, instance)
    return found


def _fit_shared(pool: Pool, instance: Instance, found: Found) -> None:
    """The halted machine has the master and the layers that it is to boot from in place of others, as far as
    they are there."""
    rest = _without_others(pool, instance, found)
    if rest is not found:
        for drive in _missing_shared(pool, instance, found[0], tuple(rest[1]["VBDs"])):
            pool.call("VBD.create", drive)


def _without_others(pool: Pool, instance: Instance, found: Found) -> Found:
    """The machine as it is then, whose drive of another master goes where its own can take that place, and so
    those of other layers. As of the last look at the disks."""
    others = shared.attached_others(pool, instance, found[1]["VBDs"])
    if not others:
        return found
    rest = [vbd for vbd in found[1]["VBDs"] if vbd not in others]
    coming = {shared.key_of(record) for _, (_, record) in shared.lacking(pool, instance, rest)}
    going = {vbd for vbd, key in others.items() if key in coming}
    if not going:
        return found
    for vbd in going:
        pool.destroy("VBD", vbd)
    return found[0], {**found[1], "VBDs": [vbd for vbd in found[1]["VBDs"] if vbd not in going]}


def _detach_older(pool: Pool, instance: Instance, found: Found, kind: DiskKind) -> None:
    current = pool.own_disks(kind).get(instance.uuid)
    if current is None or not set(current[1]["VBDs"]).isdisjoint(found[1]["VBDs"]):
        return
    for reference, record in pool.disks(instance.uuid):
        drives = set(record["VBDs"]) & set(found[1]["VBDs"])
        if drives and tags.kind_of(record) is kind and _was_one(record):
            supersede(pool, reference, record)
            for vbd in drives:
                pool.destroy("VBD", vbd)


def _was_one(record: Record) -> bool:
    """Also what is kept by now: it has the generation of an overlay, which no copy of one has."""
    kept = tags.role_of(record) == Role.SNAPSHOT and tags.GENERATION in record["other_config"]
    return kept or tags.role_of(record) in (*_WHOLE, Role.SUPERSEDED)


def supersede(pool: Pool, reference: str, record: Record) -> None:
    """Marked before it is detached: whoever is killed then, it is known to be no copy. What is to be kept
    is a snapshot from then on."""
    if tags.role_of(record) in _WHOLE:
        label = record["other_config"].get(tags.LABEL)
        role = Role.SUPERSEDED if label is None else Role.SNAPSHOT
        maps.put(pool, "VDI", reference, record, tags.ROLE, role.value)
        if label is not None:
            name = str(record["name_label"]).removesuffix(f" {DiskKind.OVERLAY}")
            pool.call("VDI.set_name_label", reference, f"{name} snapshot {label}")


def _refuse_memory(pool: Pool, instance: Instance, record: Record) -> None:
    """Denied where it is to change, and whoever is logged in may not do that: before anything of the machine
    is changed, and not at its next start, which changes that of one that runs."""
    before = tags.readable_instance(record)
    now = record["power_state"] == "Halted" and not _has(record, build.memory(instance))
    changes = now or (before is not None and before.memory != instance.memory)
    if changes and not pool.may("VM.set_memory_limits"):
        what = f"{pool.address.user} may not change the memory of {instance.name}"
        raise Denied(what, hint="log in as a user with the role vm-power-admin or higher")


def _has(record: Record, values: Mapping[str, str]) -> bool:
    return all(record[name] == value for name, value in values.items())


def _update(pool: Pool, instance: Instance, found: Found, text: str) -> None:
    vm, record = found
    _refuse_memory(pool, instance, record)
    pool.things.refresh()
    telling.tell(pool, found, xenstore_data.told(instance, blank=blank(pool, instance)))
    if record["name_label"] != instance.name:
        pool.call("VM.set_name_label", vm, instance.name)
    if record["power_state"] == "Halted":
        _fit_shared(pool, instance, found)
        fit(pool, instance, found)
    maps.put(pool, "VM", vm, record, tags.RECORD, text)


def fit(pool: Pool, instance: Instance, found: Found) -> None:
    """Hardware of a halted machine as its record has it; no call when it is."""
    vm, record = found
    _fit_size(pool, instance, found)
    if build.boots_signed(record["platform"]):  # of a template that an earlier version took as it was
        maps.give(pool, "VM", vm, record, "platform", build.SECURE_BOOT, "false")
    cards.fit(pool, instance, found)
    with contextlib.suppress(Denied):  # it is a guard, which an operator may not set, nor needs for a start
        _fit_blocked(pool, vm, record["blocked_operations"])


def _fit_blocked(pool: Pool, vm: str, held: Mapping[str, str]) -> None:
    """An earlier version blocked snapshots as well. That goes last: first nobody can go back to one."""
    for operation, why in build.blocked().items():
        if operation not in held:
            maps.add(pool, "VM", vm, "blocked_operations", operation, why)
    if held.get("snapshot") == build.COPIES_IT:
        maps.drop(pool, "VM", vm, "blocked_operations", "snapshot")


def _fit_size(pool: Pool, instance: Instance, found: Found) -> None:
    vm, record = found
    wanted = build.memory(instance)
    if not _has(record, wanted):
        names = ("memory_static_min", "memory_static_max", "memory_dynamic_min", "memory_dynamic_max")
        pool.call("VM.set_memory_limits", vm, *(wanted[name] for name in names))
    cpus, now = str(instance.cpus), int(record["VCPUs_max"])
    if (record["VCPUs_max"], record["VCPUs_at_startup"]) != (cpus, cpus):
        calls = ["VM.set_VCPUs_max", "VM.set_VCPUs_at_startup"]
        # At no moment may more start than there are.
        for method in calls if instance.cpus >= now else reversed(calls):
            pool.call(method, vm, cpus)


def forget(pool: Pool, instance: Instance) -> None:
    """The machine with its attachments; never a disk. Idempotent. Blocked where an administrator says so."""
    pool.things.refresh()
    for uuid, (reference, record) in pool.machines():
        if uuid == instance.uuid:
            if record["blocked_operations"].get("destroy") == build.OURS_TO_DELETE:
                with contextlib.suppress(NotFound):
                    pool.call("VM.remove_from_blocked_operations", reference, "destroy")
            pool.destroy("VM", reference)


def take_orders_back(pool: Pool, ready: Mapping[UUID, str | None]) -> None:
    """Guests that are ready, with the nonce each repeated: if it is that of its last start, its overlay is
    formatted and may never be again. The overlay's own mark says whether there is anything to take back: what
    a guest is told it may change itself, as often as it likes."""
    ours, overlays = pool.ours(), pool.overlays()
    for uuid, nonce in ready.items():
        found, overlay = ours.get(uuid), overlays.get(uuid)
        if not found or not overlay or BLANK not in overlay[1]["other_config"]:
            continue
        said = nonce is not None and nonce != overlay[1]["other_config"][BLANK]
        if said and telling.nonce_of(found[1]) == nonce:
            with contextlib.suppress(NotFound, Blocked):  # deleted just now, or we may only look
                _take_back(pool, found, overlay)


def _take_back(pool: Pool, found: Found, overlay: Found) -> None:
    """The mark last: until then the next look does it."""
    telling.take_back(pool, found, xenstore_data.ORDER)
    maps.drop(pool, "VDI", overlay[0], maps.OTHER, BLANK)
