"""The records that a machine and its parts are made of (constructors' arguments of the data model)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from skinnybox.errors import Unsupported
from skinnybox.hosts.xapi import tags, xenstore_data
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.session import NULL
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import DiskKind, Instance
from skinnybox.sizes import MIB

_COPIES = ("clone", "copy", "export", "migrate_send", "checkpoint", "make_into_template")
"""What would copy the master, or make others write what only this machine may. Not `snapshot`: who takes one
can leave the master out, and backups do so by its name (master.py)."""
BLOCKED = (*_COPIES, "destroy", "reverting")
COPIES_IT = "Skinnybox: this would copy the whole master"
_BACK = "Skinnybox: this takes the shared first disk from it, or deletes it; use `skinnybox snapshot restore`"
"""Of the machine's disks xapi deletes those that the snapshot has, and detaches the others
(ocaml/xapi/xapi_vm_snapshot.ml, revert_vbds): a snapshot that took the master along, as XenCenter's do, would
take it from under all other machines."""
OURS_TO_DELETE = "Skinnybox: its first disk is shared by other machines; `skinnybox delete` deletes it"
"""Who deletes a machine with its disks, as many clients do, takes the master from under all the others: the
pool refuses only while one of them runs. It asks for the machine first, so that has to be refused."""
SECURE_BOOT = "secureboot"
_QOS: dict[str, Any] = {"qos_algorithm_type": "", "qos_algorithm_params": {}}
_PV = ("bootloader", "kernel", "ramdisk", "args", "bootloader_args", "legacy_args")
_OF_TEMPLATE = (
    "platform", "HVM_boot_params", "HVM_shadow_multiplier", "VCPUs_params", "recommendations", "PCI_bus",
    "actions_after_shutdown", "actions_after_reboot", "actions_after_crash", "hardware_platform_version",
    "has_vendor_device",
)  # fmt: skip
_NOT_KEPT = ("disks", "postinstall", "default_template", "xensource_internal", "mac_seed", "install-methods")
_LEAST_MEMORY = 128 * MIB


def blocked() -> dict[str, str]:
    return {**dict.fromkeys(_COPIES, COPIES_IT), "destroy": OURS_TO_DELETE, "reverting": _BACK}


def machine(instance: Instance, fleet: UUID, record: str, template: Record | None, *, blank: bool) -> Record:
    """A whole VM record. Of a template everything is taken but its disks, cards and what installs it."""
    values = _plain() if template is None else _from(template)
    nonce = xenstore_data.fresh_nonce()
    return {
        **values,
        "name_label": instance.name,
        "name_description": f"Skinnybox machine of {instance.stack.reference}",
        "user_version": "1",
        "is_a_template": False,
        "affinity": NULL,
        **memory(instance),
        **processors(instance),
        **{f"PV_{name}": "" for name in _PV},
        "HVM_boot_policy": "BIOS order",
        "domain_type": "hvm",
        "other_config": {
            **values["other_config"],
            **tags.of(instance, fleet),
            tags.RECORD: record,
            tags.START: nonce,
        },
        "xenstore_data": {**xenstore_data.told(instance, blank=blank), xenstore_data.NONCE: nonce},
        "tags": [tags.TAG],
    }


def _plain() -> Record:
    return {
        "platform": {
            "acpi": "1", "apic": "1", "pae": "true", "nx": "true", "viridian": "false", "secureboot": "false",
            "device-model": "qemu-upstream-uefi",
        },
        "HVM_boot_params": {"order": "c", "firmware": "uefi"},
        "VCPUs_params": {},
        "recommendations": "",
        "PCI_bus": "",
        "actions_after_shutdown": "destroy",
        "actions_after_reboot": "restart",
        "actions_after_crash": "restart",
        "other_config": {},
    }  # fmt: skip


def _from(template: Record) -> Record:
    if template["HVM_boot_params"].get("firmware") != "uefi":
        raise Unsupported(
            f"the template {template['name_label']} boots by BIOS, which cannot see a read-only disk",
            hint="choose a template with UEFI firmware, or none",
        )
    kept = {key: value for key, value in template["other_config"].items() if key not in _NOT_KEPT}
    values = {name: template[name] for name in _OF_TEMPLATE if name in template}
    values["platform"] = unsigned(template["platform"])
    return {**values, "other_config": {**kept, "base_template_name": template["name_label"]}}


def unsigned(platform: Mapping[str, str]) -> dict[str, str]:
    """Without Secure Boot (also `auto`: as the pool has it): no one signed a master's own boot image, so that
    firmware which asks for a signature boots nothing."""
    return {**platform, SECURE_BOOT: "false"}


def boots_signed(platform: Mapping[str, str]) -> bool:
    return platform.get(SECURE_BOOT, "false") != "false"


def memory(instance: Instance) -> dict[str, str]:
    size = str(instance.memory)
    least = str(min(instance.memory, _LEAST_MEMORY))
    limits = dict.fromkeys(("memory_static_max", "memory_dynamic_max", "memory_dynamic_min"), size)
    return {**limits, "memory_static_min": least}


def processors(instance: Instance) -> dict[str, str]:
    return dict.fromkeys(("VCPUs_max", "VCPUs_at_startup"), str(instance.cpus))


def disk(sr: str, size: int, name: str, role: Role, other: Mapping[str, str]) -> Record:
    return {
        "name_label": name,
        "name_description": "Skinnybox: do not delete by hand",
        "SR": sr,
        "virtual_size": str(size),
        "type": "user",
        "sharable": False,
        "read_only": False,
        "other_config": {
            tags.ROLE: role.value,
            tags.MADE: datetime.now(UTC).isoformat(timespec="seconds"),
            **other,
        },
        "tags": [tags.TAG],
    }


def drive(vm: str, vdi: str, place: str, kind: DiskKind) -> Record:
    """Of one of a machine's own disks. `owner` is how xapi's own tools mark a disk that goes with its machine
    (`xe vm-uninstall`, XenCenter): never one that others share."""
    return _drive(vm, vdi, place, "RW", {tags.ROLE: kind.value, "owner": ""}, boots=False)


def shared_drive(vm: str, vdi: str, place: str, role: Role) -> Record:
    """Of a master's disk, from which firmware boots, or a layer's: read-only."""
    return _drive(vm, vdi, place, "RO", {tags.ROLE: role.value}, boots=role is Role.MASTER)


def _drive(vm: str, vdi: str, place: str, mode: str, other: dict[str, str], *, boots: bool) -> Record:
    return {
        "VM": vm,
        "VDI": vdi,
        "userdevice": place,
        "bootable": boots,
        "mode": mode,
        "type": "Disk",
        "empty": False,
        "unpluggable": False,
        "other_config": other,
        **_QOS,
    }


def card(vm: str, network: str, mac: str, device: int = 0) -> Record:
    plain: Record = {"device": str(device), "MTU": "1500", "other_config": {}, **_QOS}
    return {"VM": vm, "network": network, "MAC": mac, **plain}
