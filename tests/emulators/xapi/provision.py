"""VM.provision: a template becomes a machine, with the disks its other_config["disks"] asks for."""

import xml.etree.ElementTree as ET

from tests.emulators.xapi import lifecycle, vbds, vdis, vms
from tests.emulators.xapi.context import Call, implements
from tests.emulators.xapi.failure import Failure

KEYS = ("disks", "postinstall")


@implements("VM.provision")
def provision(call: Call, vm: str) -> None:
    """Disks made before an error are deleted again; the machine stays."""
    lifecycle.check(call.xapi, vm, "provision")
    with call.operation("VM", vm, "provision"):
        vms.become_template(call.xapi, vm, value=False)
        vms.metrics_of(call.xapi, vm)
        asked = call.database.get("VM", vm, "other_config").get("disks")
        if asked is not None:
            _make_disks(call, vm, asked)
            for key in KEYS:
                call.database.put("VM", vm, "other_config", key, None)
    lifecycle.refresh(call.xapi, vm)


def _make_disks(call: Call, vm: str, asked: str) -> None:
    made: list[tuple[str, str]] = []
    try:
        for element in _parsed(asked):
            _make_disk(call, vm, element, made)
    except Failure:
        for _, vdi in made:
            vdis.destroy(call, vdi)
        raise


def _parsed(asked: str) -> list[ET.Element]:
    try:
        root = ET.fromstring(asked)
    except ET.ParseError as error:
        raise Failure("PROVISION_FAILED", str(error)) from error
    return list(root.iter("disk"))


def _make_disk(call: Call, vm: str, element: ET.Element, made: list[tuple[str, str]]) -> None:
    try:
        sr = call.database.by_uuid("SR", element.attrib["sr"])
    except Failure:
        raise Failure("UUID_INVALID", "sr", element.attrib["sr"]) from None
    type_ = element.attrib.get("type", "system")
    vdi = vdis.create(
        call,
        {
            "name_label": element.attrib["device"],
            "name_description": "Created by template provisioner",
            "SR": sr,
            "virtual_size": int(element.attrib["size"]),
            "type": type_,
            "sharable": False,
            "read_only": False,
            "other_config": {},
            "sm_config": {"vmhint": call.database.get("VM", vm, "uuid")},
        },
    )
    vbd = vbds.create(
        call,
        {
            "VM": vm,
            "VDI": vdi,
            "userdevice": element.attrib["device"],
            "bootable": element.attrib["bootable"] == "true",
            "mode": "RW",
            "type": "Disk",
            "unpluggable": type_ != "system",
            "empty": False,
            "other_config": {"owner": ""},
            "qos_algorithm_type": "",
            "qos_algorithm_params": {},
        },
    )
    made.append((vbd, vdi))
