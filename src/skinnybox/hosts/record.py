"""An instance as JSON: what lies beside each overlay and in the catalog. See formats.py.

Written out by hand: dataclasses.asdict takes ten times as long, and a thousand records are made at once.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from skinnybox import formats
from skinnybox.errors import Corrupt
from skinnybox.model import Allocation, Instance, Network, Overlay, Seed, SeedFile, Stack, StaticNetwork

FORMAT = 1


def to_record(instance: Instance) -> dict[str, Any]:
    """Plain values for json.dumps; bytes as base64. `sum` is over all the others."""
    values = {
        "format": FORMAT,
        "uuid": str(instance.uuid),
        "name": instance.name,
        "stack": _from_stack(instance.stack),
        "overlay": {"size": instance.overlay.size, "allocation": instance.overlay.allocation.value},
        "seed": _from_seed(instance.seed),
        "created": instance.created.isoformat(),
        "memory": instance.memory,
        "cpus": instance.cpus,
        "ssh_port": instance.ssh_port,
        "ssh_user": instance.ssh_user,
        "network": instance.network and instance.network.value,
        "bridge": instance.bridge,
        "autostart": instance.autostart,
        "fleet": instance.fleet,
    }
    return {**values, "sum": _sum(values)}


def _sum(values: Mapping[str, Any]) -> str:
    """Shows every flipped bit, in whatever order and spelling the values were written."""
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"


def from_record(record: Mapping[str, Any]) -> Instance:
    """Raises Corrupt when it is not a record, Unsupported when it needs a later format."""
    formats.check(record, FORMAT, "an instance's record")
    # The first version wrote no sum.
    if "sum" in record and record["sum"] != _sum({key: record[key] for key in record if key != "sum"}):
        raise Corrupt("an instance's record is damaged: its sum is another")
    try:
        return _instance(record)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, binascii.Error) as error:
        raise Corrupt(f"an instance's record is damaged: {type(error).__name__} {error}") from error


def _instance(record: Mapping[str, Any]) -> Instance:
    network = record["network"]
    return Instance(
        uuid=UUID(record["uuid"]),
        name=_text(record["name"]),
        stack=_to_stack(record["stack"]),
        overlay=Overlay(
            size=int(record["overlay"]["size"]), allocation=Allocation(record["overlay"]["allocation"])
        ),
        seed=_to_seed(record["seed"]),
        created=datetime.fromisoformat(record["created"]),
        memory=int(record["memory"]),
        cpus=int(record["cpus"]),
        ssh_port=None if record["ssh_port"] is None else int(record["ssh_port"]),
        ssh_user=_text(record["ssh_user"]),
        network=None if network is None else Network(network),
        # The first version did not write what follows.
        bridge=_text_or_none(record.get("bridge")),
        fleet=_text_or_none(record.get("fleet")),
        autostart=bool(record.get("autostart", False)),
    )


def _from_stack(stack: Stack) -> dict[str, Any]:
    return {
        "master": stack.master,
        "reference": stack.reference,
        "images": list(stack.images),
        "dax": stack.dax,
    }


def _to_stack(record: Mapping[str, Any]) -> Stack:
    return Stack(
        master=_text(record["master"]),
        reference=_text(record["reference"]),
        images=_texts(record["images"]),
        dax=bool(record.get("dax", False)),  # older records do not have it
    )


def _from_seed(seed: Seed) -> dict[str, Any]:
    return {
        "hostname": seed.hostname,
        "machine_id": seed.machine_id,
        "generation": seed.generation,
        "network": None if seed.network is None else _from_network(seed.network),
        "authorized_keys": list(seed.authorized_keys),
        "files": [_from_file(file) for file in seed.files],
        "run_once": seed.run_once,
        "follows_name": seed.follows_name,
    }


def _to_seed(record: Mapping[str, Any]) -> Seed:
    network = record["network"]
    return Seed(
        hostname=_text(record["hostname"]),
        machine_id=_text(record["machine_id"]),
        generation=int(record["generation"]),
        network=None if network is None else _to_network(network),
        authorized_keys=_texts(record["authorized_keys"]),
        files=tuple(_to_file(file) for file in record["files"]),
        run_once=_text_or_none(record["run_once"]),
        follows_name=bool(record.get("follows_name", False)),  # older records do not have it
    )


def _from_network(network: StaticNetwork) -> dict[str, Any]:
    return {"address": network.address, "gateway": network.gateway, "dns": list(network.dns)}


def _to_network(record: Mapping[str, Any]) -> StaticNetwork:
    return StaticNetwork(
        address=_text(record["address"]),
        gateway=_text_or_none(record["gateway"]),
        dns=_texts(record["dns"]),
    )


def _from_file(file: SeedFile) -> dict[str, Any]:
    content = base64.b64encode(file.content).decode("ascii")
    return {"path": file.path, "content": content, "mode": file.mode, "owner": file.owner}


def _to_file(record: Mapping[str, Any]) -> SeedFile:
    return SeedFile(
        path=_text(record["path"]),
        content=base64.b64decode(record["content"], validate=True),
        mode=int(record["mode"]),
        owner=_text(record["owner"]),
    )


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _texts(values: Any) -> tuple[str, ...]:
    if type(values) is not list:
        raise TypeError(f"{values!r:.40} is no list")
    return tuple(map(_text, values))
