"""Machines made and changed. Their disks are in disks.py; an attachment that is missing is made here."""

import contextlib
from typing import Any
from uuid import UUID

from skinnybox.hosts.xapi import build, marks, master, tell
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tell import MASTER_PLACE, OVERLAY_PLACE
from skinnybox.model import Instance

BLANK = "skinnybox:blank"
"""Of an overlay: the guest has not formatted it yet."""


def define(pool: Pool, instance: Instance) -> str:
    """The machine with its record, disks attached as far as they are there. Idempotent. Its reference."""
    text = marks.record_text(instance)
    found = pool.machine(instance.uuid)
    if found:
        _update(pool, instance, found, text)
        return found[0]
    return _create(pool, instance, text)


def _create(pool: Pool, instance: Instance, text: str) -> str:
    """Nothing of it stays when it fails, also of calls whose answers were lost."""
    pool.things.look()
    network, _ = pool.network(instance.bridge)
    try:
        record = build.machine(
            instance, pool.identity.own(), text, _template(pool), blank=_blank(pool, instance)
        )
        if instance.uuid in pool.fresh:
            record["other_config"][marks.FIRST] = "yes"
        vm = str(pool.call("VM.create", record))
        for drive in _missing(pool, instance, vm, ()):
            pool.call("VBD.create", drive)
        pool.call("VIF.create", build.card(vm, network, instance.mac))
        pool.call("VM.set_blocked_operations", vm, build.blocked())
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


def _blank(pool: Pool, instance: Instance) -> bool:
    overlay = pool.overlays().get(instance.uuid)
    return overlay is not None and BLANK in overlay[1]["other_config"]


def _missing(pool: Pool, instance: Instance, vm: str, attached: tuple[str, ...]) -> list[dict[str, Any]]:
    """The drives it has not got yet of the disks that are there, as of the last look at these."""
    drives = []
    image = master.lacking(pool, instance, attached)
    if image:
        drives.append(build.drive(vm, image[0], MASTER_PLACE, boots=True))
    overlay = pool.overlays().get(instance.uuid)
    if overlay and not set(overlay[1]["VBDs"]) & set(attached):
        drives.append(build.drive(vm, overlay[0], OVERLAY_PLACE, boots=False))
    return drives


def attach(pool: Pool, instance: Instance) -> Found | None:
    """Give the halted machine the drives it lacks; takes an older overlay's from it."""
    found = pool.machine(instance.uuid)
    if found is None:
        return None
    pool.things.look()
    current = pool.overlays().get(instance.uuid)
    for reference, record in pool.disks(instance.uuid):
        if current and reference != current[0]:
            for vbd in set(record["VBDs"]) & set(found[1]["VBDs"]):
                pool.destroy("VBD", vbd)
    for drive in _missing(pool, instance, found[0], tuple(found[1]["VBDs"])):
        pool.call("VBD.create", drive)
    return found


def _update(pool: Pool, instance: Instance, found: Found, text: str) -> None:
    vm, record = found
    config = {**record["other_config"], marks.INSTANCE: str(instance.uuid), marks.RECORD: text}
    pool.things.look()
    data = tell.merged(record["xenstore_data"], tell.told(instance, blank=_blank(pool, instance)))
    if record["xenstore_data"] != data:
        pool.call("VM.set_xenstore_data", vm, data)
    if record["name_label"] != instance.name:
        pool.call("VM.set_name_label", vm, instance.name)
    if record["power_state"] == "Halted":
        fit(pool, instance, found)
    if record["other_config"] != config:
        pool.call("VM.set_other_config", vm, config)


def fit(pool: Pool, instance: Instance, found: Found) -> None:
    """Hardware of a halted machine as its record has it; no call when it is."""
    vm, record = found
    _fit_size(pool, instance, found)
    if not record["VIFs"]:  # whoever made it was killed before
        pool.things.look()
        pool.call("VIF.create", build.card(vm, pool.network(instance.bridge)[0], instance.mac))
    if not set(build.BLOCKED) <= set(record["blocked_operations"]):
        pool.call("VM.set_blocked_operations", vm, record["blocked_operations"] | build.blocked())


def _fit_size(pool: Pool, instance: Instance, found: Found) -> None:
    vm, record = found
    wanted = build.memory(instance)
    if any(record[name] != value for name, value in wanted.items()):
        names = ("memory_static_min", "memory_static_max", "memory_dynamic_min", "memory_dynamic_max")
        pool.call("VM.set_memory_limits", vm, *(wanted[name] for name in names))
    cpus, now = str(instance.cpus), int(record["VCPUs_max"])
    if (record["VCPUs_max"], record["VCPUs_at_startup"]) != (cpus, cpus):
        calls = ["VM.set_VCPUs_max", "VM.set_VCPUs_at_startup"]
        # At no moment may more start than there are.
        for method in calls if instance.cpus >= now else reversed(calls):
            pool.call(method, vm, cpus)


def forget(pool: Pool, instance: Instance) -> None:
    """The machine with its attachments; never a disk. Idempotent."""
    pool.things.look()
    for uuid, (reference, _) in pool.machines():
        if uuid == instance.uuid:
            pool.destroy("VM", reference)


def take_orders_back(pool: Pool, uuids: list[UUID]) -> None:
    """These guests are ready, so their overlays are formatted: they may never be again."""
    ours = pool.ours()
    ordered = [uuid for uuid in uuids if tell.may_format(ours[uuid][1]["xenstore_data"], uuid)]
    if not ordered:
        return
    pool.things.look()
    overlays = pool.overlays()
    for uuid in ordered:
        vm, record = ours[uuid]
        if uuid in overlays:
            vdi, disk = overlays[uuid]
            config = {key: value for key, value in disk["other_config"].items() if key != BLANK}
            pool.call("VDI.set_other_config", vdi, config)
        pool.call("VM.set_xenstore_data", vm, tell.without_format(record["xenstore_data"]))
