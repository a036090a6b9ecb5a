"""Constructors' records, complete as the data model wants them."""

from typing import Any


def disk(sr: str, size: int, **values: Any) -> dict[str, Any]:
    flags = {"sharable": False, "read_only": False, "other_config": {}}
    return {"SR": sr, "virtual_size": str(size), "type": "user", "name_label": "disk", **flags, **values}


def drive(vm: str, vdi: str, place: str, mode: str = "RW", **values: Any) -> dict[str, Any]:
    sort = {"mode": mode, "type": "Disk", "bootable": False, "empty": False, "other_config": {}}
    plain = {"qos_algorithm_type": "", "qos_algorithm_params": {}}
    return {"VM": vm, "VDI": vdi, "userdevice": place, **sort, **plain, **values}


def card(vm: str, network: str, **values: Any) -> dict[str, Any]:
    plain = {"qos_algorithm_type": "", "qos_algorithm_params": {}, "other_config": {}}
    return {"device": "0", "network": network, "VM": vm, "MAC": "", "MTU": "1500", **plain, **values}
