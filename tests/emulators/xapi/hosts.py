"""Calls on hosts, the pool, networks, subjects and messages that need more than a field."""

import datetime
from typing import Any

from tests.emulators.xapi.context import Call, implements
from tests.emulators.xapi.failure import Failure


@implements("host.disable")
def disable(call: Call, host: str, auto_enable: bool = True) -> None:
    call.database.set("host", host, "enabled", False)


@implements("host.enable")
def enable(call: Call, host: str) -> None:
    call.database.set("host", host, "enabled", True)


@implements("host.get_servertime", "host.get_server_localtime")
def servertime(call: Call, host: str) -> datetime.datetime:
    call.database.record("host", host)
    return datetime.datetime.now(datetime.UTC)


@implements("host.list_methods")
def list_methods(call: Call) -> list[str]:
    return call.xapi.model.method_names()


@implements("pool.get_license_state")
def license_state(call: Call, pool: str) -> dict[str, str]:
    return {"edition": "xcp-ng", "expiry": "never"}


@implements("network.create")
def create_network(call: Call, values: dict[str, Any]) -> str:
    number = len(call.database.tables["network"])
    return call.database.create("network", {**values, "bridge": values.get("bridge") or f"xapi{number}"})


@implements("network.destroy")
def destroy_network(call: Call, network: str) -> None:
    record = call.database.record("network", network)
    attached = [each for each in record["VIFs"] if call.database.get("VIF", each, "currently_attached")]
    if attached:
        raise Failure("NETWORK_CONTAINS_VIF", *attached)
    if record["PIFs"]:
        raise Failure("NETWORK_CONTAINS_PIF", *record["PIFs"])
    call.database.destroy("network", network)


@implements("message.create")
def create_message(call: Call, name: str, priority: int, of: str, uuid: str, body: str) -> str:
    now = datetime.datetime.now(datetime.UTC)
    values = {"name": name, "priority": priority, "cls": of, "obj_uuid": uuid, "body": body, "timestamp": now}
    return call.database.create("message", values)


@implements("message.destroy")
def destroy_message(call: Call, message: str) -> None:
    call.database.destroy("message", message)


@implements("subject.get_permissions_name_label")
def permissions(call: Call, subject: str) -> list[str]:
    roles = {
        call.database.get("role", each, "name_label")
        for each in call.database.get("subject", subject, "roles")
    }
    classes = call.xapi.model.classes.values()
    return [each.full_name.lower() for one in classes for each in one.messages.values() if each.roles & roles]
