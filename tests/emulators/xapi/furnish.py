"""What a pool consists of before a client comes: hosts, storage, networks, templates, users."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from tests.emulators.xapi import lifecycle, space, vms
from tests.emulators.xapi.context import User, Xapi
from tests.emulators.xapi.kinds import NULL

GIB = 1 << 30
ROLES = (
    "pool-admin",
    "pool-operator",
    "vm-power-admin",
    "vm-admin",
    "vm-operator",
    "read-only",
    "client-cert",
)
REAL = "emulator-real-bridge"
"""In a network's other_config: its bridge is one of this machine."""
_DOM0_MEMORY = 1 * GIB
_VERSION = {
    "product_brand": "XCP-ng",
    "product_version": "8.3.0",
    "platform_version": "3.4.0",
    "xapi": "25.6",
    "network_backend": "openvswitch",
}


def begin(xapi: Xapi, names: Sequence[str], addresses: Sequence[str], *, memory: int) -> list[str]:
    """The pool, its roles, storage managers and hosts, the first one its master. References of the hosts."""
    database = xapi.database
    pool = database.create("pool", {"name_label": "emulated pool"})
    for role in ROLES:
        database.create("role", {"name_label": role})
    for storage in space.STORAGES.values():
        features = {each.split("/")[0]: int(each.partition("/")[2] or 1) for each in storage.features}
        values = {"type": storage.type, "name_label": storage.type, "features": features}
        database.create("SM", {**values, "capabilities": list(features)})
    hosts = [
        _host(xapi, name, address, memory=memory) for name, address in zip(names, addresses, strict=True)
    ]
    database.set("pool", pool, "master", hosts[0])
    return hosts


def _host(xapi: Xapi, name: str, address: str, *, memory: int) -> str:
    now = datetime.datetime.now(datetime.UTC)
    metrics = xapi.database.create(
        "host_metrics", {"memory_total": memory, "memory_free": memory, "live": True, "last_updated": now}
    )
    host = xapi.database.create(
        "host",
        {
            "name_label": name,
            "hostname": name,
            "address": address,
            "enabled": True,
            "metrics": metrics,
            "API_version_major": 2,
            "API_version_minor": 21,
            "API_version_vendor": "XenSource",
            "software_version": _VERSION,
            "cpu_info": {"cpu_count": "16", "socket_count": "2"},
            "capabilities": ["hvm-3.0-x86_64"],
            "edition": "xcp-ng",
            "memory_overhead": 0,
        },
    )
    xapi.database.set("host", host, "control_domain", _control_domain(xapi, name, host))
    return host


def _control_domain(xapi: Xapi, name: str, host: str) -> str:
    """Every host has one: a client that lists machines has to leave it out."""
    domain = vms.make(xapi, {"name_label": f"Control domain on host: {name}", "domain_type": "pv"})
    limits = dict.fromkeys(("static_min", "static_max", "dynamic_min", "dynamic_max", "target"), _DOM0_MEMORY)
    values = {f"memory_{each}": value for each, value in limits.items()}
    xapi.database.update(
        "VM", domain, is_control_domain=True, power_state="Running", resident_on=host, **values
    )
    xapi.database.update("VM", domain, domid=0, VCPUs_max=4, VCPUs_at_startup=4)
    lifecycle.refresh(xapi, domain)
    return domain


def add_sr(
    xapi: Xapi,
    name: str,
    type_: str,
    size: int,
    hosts: Sequence[str],
    device: Mapping[str, str],
    **values: Any,
) -> str:
    """On all of `hosts`, with `device` in each one's device_config; shared when there are several."""
    content = "iso" if type_ == "iso" else "user"
    shared = len(hosts) > 1 or type_ in {"nfs", "smb", "lvmoiscsi", "lvmohba", "linstor"}
    sr = xapi.database.create(
        "SR",
        {
            "name_label": name,
            "type": type_,
            "content_type": content,
            "physical_size": size,
            "shared": shared,
            **values,
        },
    )
    allowed = ["vdi_create", "vdi_destroy", "vdi_clone", "vdi_snapshot", "vdi_resize", "scan", "update"]
    xapi.database.set("SR", sr, "allowed_operations", allowed)
    for host in hosts:
        config = {"location": name, **device}
        pbd = {"host": host, "SR": sr, "currently_attached": True, "device_config": config}
        xapi.database.create("PBD", pbd)
    if xapi.database.get("pool", xapi.pool, "default_SR") == NULL and type_ != "iso":
        xapi.database.set("pool", xapi.pool, "default_SR", sr)
    return sr


def add_network(xapi: Xapi, name: str, hosts: Sequence[str], bridge: str | None) -> str:
    """With a PIF on each of `hosts`; without any it is internal. On a `bridge` of this very machine, guests
    that boot are really reached."""
    number = len(xapi.database.tables["network"])
    values = {"name_label": name, "bridge": bridge or f"xenbr{number}", "MTU": 1500}
    network = xapi.database.create("network", {**values, "other_config": {REAL: "yes"} if bridge else {}})
    for place, host in enumerate(hosts):
        pif = {
            "host": host,
            "network": network,
            "device": f"eth{number}",
            "MAC": f"52:54:00:00:{number:02x}:{place:02x}",
            "currently_attached": True,
            "management": number == 0,
            "physical": True,
            "IP": xapi.database.get("host", host, "address"),
        }
        xapi.database.create("PIF", pif)
    return network


def add_template(
    xapi: Xapi, name: str, *, memory: int, cpus: int, uefi: bool, disk_size: int | None, default: bool
) -> str:
    """As a stock template is: no disk, but (with `disk_size`) an order for one, its SR left open."""
    disk = (
        f'<provision><disk device="0" size={quoteattr(str(disk_size))} sr="" bootable="true" type="system"/>'
    )
    other_config = {"disks": f"{disk}</provision>"} if disk_size else {}
    values: dict[str, Any] = {
        "name_label": name,
        "is_a_template": True,
        "memory_static_min": memory // 2,
        "memory_static_max": memory,
        "memory_dynamic_min": memory,
        "memory_dynamic_max": memory,
        "VCPUs_max": cpus,
        "VCPUs_at_startup": cpus,
        "actions_after_shutdown": "destroy",
        "actions_after_reboot": "restart",
        "actions_after_crash": "restart",
        "HVM_boot_policy": vms.BIOS_ORDER,
        "HVM_boot_params": {"order": "cdn", "firmware": "uefi" if uefi else "bios"},
        "platform": {"acpi": "1", "apic": "1", "pae": "true", "viridian": "false", "nx": "true"},
        "domain_type": "hvm",
        "other_config": {**other_config, **({"default_template": "true"} if default else {})},
        "is_default_template": default,
    }
    vm = vms.make(xapi, values)
    vms.become_template(xapi, vm, value=True)
    return vm


def add_user(xapi: Xapi, name: str, password: str, roles: Sequence[str]) -> None:
    """A subject with these roles; root has none and may everything."""
    xapi.users[name] = User(password=password, roles=frozenset(roles), superuser=name == "root")
    if name != "root":
        held = [ref for ref, role in xapi.database.where("role") if role["name_label"] in roles]
        xapi.database.create("subject", {"subject_identifier": name, "roles": held})
