"""Machines switched on and off, and what their records say. Where the pool boots, QEMU runs behind them."""

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.emulators.xapi import (
    device_numbers,
    furnish,
    guests,
    lifecycle,
    placement,
    qemu_words,
    sharing,
    srs,
    vbds,
    vms,
    xenstore,
)
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL
from tests.emulators.xapi.machine import Machine
from tests.emulators.xapi.qemu_words import Board, Card, Drive


@implements("VM.start")
def start(call: Call, vm: str, paused: bool, force: bool) -> None:
    _start(call, vm, lambda: placement.choose(call.xapi, vm), "start", paused=paused)


@implements("VM.start_on")
def start_on(call: Call, vm: str, host: str, paused: bool, force: bool) -> None:
    def there() -> str:
        found = placement.refusal(call.xapi, vm, host)
        if found:
            raise found
        return host

    _start(call, vm, there, "start_on", paused=paused)


def _start(call: Call, vm: str, choose: Callable[[], str], operation: str, *, paused: bool) -> None:
    xapi = call.xapi
    lifecycle.check(xapi, vm, operation)
    placement.assert_startable(xapi, vm)
    devices = list(xapi.database.get("VM", vm, "VBDs"))
    for vbd in devices:
        found = sharing.refusal(xapi, vbd)
        if found:
            raise found
    host = choose()
    with call.operation("VM", vm, operation):
        guests.begin(xapi, vm)
        for vbd in devices:
            vbds.attach(xapi, vbd, attached=True)
        _powered(xapi, vm, "Paused" if paused else "Running", host)
        try:
            power_on(xapi, vm, paused=paused)
        except Failure:
            halted(xapi, vm)
            raise
    lifecycle.refresh(xapi, vm, devices=True)
    if xapi.guest and not xapi.options.boots:
        xapi.guest(vm)


def _powered(xapi: Xapi, vm: str, state: str, host: str) -> None:
    domain = max([each["domid"] for _, each in xapi.database.where("VM")], default=0) + 1
    xapi.database.update("VM", vm, power_state=state, resident_on=host, domid=domain)
    xapi.database.set("VM", vm, "last_booted_record", "(the record at start)")
    for vif in xapi.database.get("VM", vm, "VIFs"):
        xapi.database.set("VIF", vif, "currently_attached", True)
    metrics = vms.metrics_of(xapi, vm)
    domain_type = xapi.database.get("VM", vm, "domain_type")
    now = datetime.datetime.now(datetime.UTC)
    values = {"start_time": now, "last_updated": now, "hvm": domain_type == "hvm"}
    xapi.database.update("VM_metrics", metrics, **values, current_domain_type=domain_type)


def power_on(xapi: Xapi, vm: str, *, paused: bool) -> None:
    """Start QEMU, where the pool boots. Others may call meanwhile."""
    if not xapi.options.boots:
        return
    folder = xapi.scratch / f"run-{xapi.database.get('VM', vm, 'uuid')}"
    folder.mkdir(exist_ok=True)
    board = _board(xapi, vm, folder, paused=paused)
    machine = Machine(
        board,
        folder / "qemu.log",
        on_report=lambda report: _reported(xapi, vm, report),
        on_end=lambda reason: _ended(xapi, vm, machine, reason),
    )
    xapi.machines[vm] = machine
    xapi.started.append(machine)
    with xapi.unlocked():
        up = machine.start()
    if not up:
        raise Failure("INTERNAL_ERROR", f"QEMU: {(folder / 'qemu.log').read_text()[-500:]}")


def _board(xapi: Xapi, vm: str, folder: Path, *, paused: bool) -> Board:
    record = xapi.database.record("VM", vm)
    if record["domain_type"] != "hvm":
        raise Failure("NOT_IMPLEMENTED", f"the emulator boots HVM only, not {record['domain_type']}")
    uefi = record["HVM_boot_params"].get("firmware") == "uefi"
    store = folder / qemu_words.STORE
    if uefi and not store.exists():
        shutil.copyfile(qemu_words.FIRMWARE_STORE, store)
    seed = {}
    told = qemu_words.seed_names(record["name_label"], record["xenstore_data"])
    for number, (name, value) in enumerate(told.items()):
        seed[name] = folder / f"seed-{number}"
        seed[name].write_text(value)
    return Board(
        name=record["name_label"],
        uuid=record["uuid"],
        memory=record["memory_static_max"],
        cpus=record["VCPUs_at_startup"],
        uefi=uefi,
        paused=paused,
        drives=_drives(xapi, record["VBDs"]),
        cards=_cards(xapi, record["VIFs"], folder),
        seed=seed,
        folder=folder,
    )


def _cards(xapi: Xapi, plugged: list[str], folder: Path) -> tuple[Card, ...]:
    vifs = sorted((xapi.database.record("VIF", each) for each in plugged), key=lambda vif: int(vif["device"]))
    cards = []
    for number, vif in enumerate(vifs):
        network = xapi.database.record("network", vif["network"])
        bridge = network["bridge"] if furnish.REAL in network["other_config"] else None
        if bridge is not None:
            script = qemu_words.attach_script(folder, number)
            script.write_text(f'#!/bin/sh\nexec ip link set dev "$1" master {bridge} up\n')
            script.chmod(0o755)
        cards.append(Card(mac=vif["MAC"], bridge=bridge))
    return tuple(cards)


def _drives(xapi: Xapi, attached: list[str]) -> tuple[Drive, ...]:
    found = []
    for vbd in (xapi.database.record("VBD", each) for each in attached):
        if not vbd["empty"]:
            place = device_numbers.number(vbd["userdevice"]) or 0
            file, is_cd = srs.path(xapi, vbd["VDI"]), vbd["type"] == "CD"
            found.append(Drive(place=place, file=file, read_only=vbd["mode"] == "RO", is_cd=is_cd))
    return tuple(sorted(found, key=lambda drive: drive.place))


def _reported(xapi: Xapi, vm: str, report: str) -> None:
    with xapi.changed:
        if vm in xapi.machines:
            guests.write(xapi, vm, xenstore.keys_of(report))
            xapi.changed.notify_all()


def _ended(xapi: Xapi, vm: str, machine: Machine, reason: str) -> None:
    """The machine's own thread: it went off, rebooted or crashed, or was switched off by a call."""
    with xapi.changed:
        machine.ended = True
        if xapi.machines.get(vm) is machine and not machine.claimed:
            del xapi.machines[vm]
            restart = {"guest-reset": "actions_after_reboot", "guest-panic": "actions_after_crash"}.get(
                reason
            )
            if restart and xapi.database.get("VM", vm, restart) == "restart" and not xapi.closing:
                again(xapi, vm)
            else:
                halted(xapi, vm)
        xapi.changed.notify_all()


def again(xapi: Xapi, vm: str) -> None:
    """A reboot: another domain on the same host, with what the records say now."""
    guests.begin(xapi, vm)
    _powered(xapi, vm, "Running", xapi.database.get("VM", vm, "resident_on"))
    try:
        power_on(xapi, vm, paused=False)
    except Failure:
        halted(xapi, vm)
    if xapi.guest and not xapi.options.boots:
        xapi.guest(vm)


def halted(xapi: Xapi, vm: str) -> None:
    """Its records say so: nothing attached, no host. What the guest told last stays readable."""
    if not xapi.database.valid("VM", vm):
        return
    xapi.xenstore.pop(vm, None)
    xapi.database.update("VM", vm, power_state="Halted", resident_on=NULL, domid=-1)
    for vbd in xapi.database.get("VM", vm, "VBDs"):
        vbds.attach(xapi, vbd, attached=False)
    for vif in xapi.database.get("VM", vm, "VIFs"):
        xapi.database.set("VIF", vif, "currently_attached", False)
    metrics = xapi.database.get("VM", vm, "guest_metrics")
    if metrics != NULL:
        xapi.database.set("VM_guest_metrics", metrics, "live", False)
    lifecycle.refresh(xapi, vm, devices=True)
