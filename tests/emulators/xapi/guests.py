"""What a running guest has in xenstore, what it writes there, and what xapi's records make of it.

What a machine is told stands in two places: VM.xenstore_data in xapi's database, and `vm-data` in the tree of
the running domain. A start makes the second of the first (ocaml/xenopsd/xc/domain.ml, `make`), with rights
for the guest to write there. Of calls only VM.set_xenstore_data reaches the domain, and only while it is
Running, not Paused (ocaml/xapi/message_forwarding.ml); VM.add_to_ and remove_from_xenstore_data follow from
the data model and reach the database alone. Whenever what xenopsd sees differs from what xapi saw before (it
watches `vm-data`: ocaml/xenopsd/xc/xenops_server_xen.ml; an xapi that was started again has seen nothing
yet), the whole live tree takes the record's place, folders as empty values (ocaml/xapi/xapi_xenops.ml,
`xsdata_state`). All in xapi-project/xen-api e2ee48d. So a key that was only removed comes back, and whatever
a guest wrote is in its record.
"""

import datetime
from collections.abc import Mapping
from itertools import accumulate

from tests.emulators.xapi import lifecycle, xenstore
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.kinds import NULL

LONGEST = 65536
TOLD = "vm-data/"


def begin(xapi: Xapi, vm: str) -> None:
    """A machine that starts: it is told what its record says, and has said nothing yet."""
    xapi.xenstore[vm] = _allowed(xapi.database.get("VM", vm, "xenstore_data"))
    metrics = xapi.database.get("VM", vm, "guest_metrics")
    xapi.database.set("VM", vm, "guest_metrics", NULL)
    if xapi.database.valid("VM_guest_metrics", metrics):
        xapi.database.destroy("VM_guest_metrics", metrics)


def _allowed(told: Mapping[str, str]) -> dict[str, str]:
    """What xenopsd lets into a domain's tree."""
    return {key: value for key, value in told.items() if key.startswith(TOLD)}


def told(xapi: Xapi, vm: str) -> dict[str, str]:
    """What the running guest reads below vm-data."""
    return _allowed(xapi.xenstore.get(vm, {}))


def write(xapi: Xapi, vm: str, keys: Mapping[str, str | None]) -> None:
    """The guest writes below its own domain, or removes (None); vm-data is its own as well."""
    tree = xapi.xenstore.setdefault(vm, {})
    for key, value in keys.items():
        if value is None:
            tree.pop(key, None)
        else:
            tree[key] = value
    if any(key.startswith(TOLD) for key in keys):
        write_back(xapi, vm)
    if "data/updated" in keys:
        _show(xapi, vm, tree)


def write_back(xapi: Xapi, vm: str) -> None:
    """The live tree takes the record's place."""
    live = told(xapi, vm)
    folders = {folder for key in live for folder in accumulate(key.split("/")[:-1], "{}/{}".format)}
    xapi.database.set("VM", vm, "xenstore_data", dict.fromkeys(sorted({"vm-data", *folders}), "") | live)


@implements("VM.set_xenstore_data")
def set_told(call: Call, vm: str, value: dict[str, str]) -> None:
    """The only call that reaches a running guest."""
    xapi = call.xapi
    xapi.database.set("VM", vm, "xenstore_data", value)
    if xapi.database.get("VM", vm, "power_state") == "Running":
        own = {key: each for key, each in xapi.xenstore.get(vm, {}).items() if not key.startswith(TOLD)}
        xapi.xenstore[vm] = own | _allowed(value)
        write_back(xapi, vm)


def _show(xapi: Xapi, vm: str, tree: dict[str, str]) -> None:
    database = xapi.database
    values = {**xenstore.shown(tree), "last_updated": datetime.datetime.now(datetime.UTC), "live": True}
    metrics = database.get("VM", vm, "guest_metrics")
    if metrics == NULL:
        metrics = database.create("VM_guest_metrics", {})
        database.set("VM", vm, "guest_metrics", metrics)
    database.update("VM_guest_metrics", metrics, **values)
    lifecycle.refresh(xapi, vm)


class Reports:
    """Whole report messages out of a stream of bytes from a guest nobody trusts."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, piece: bytes) -> list[str]:
        self._buffer = (self._buffer + piece)[-LONGEST:]
        found = []
        while b"\nend\n" in self._buffer:
            message, self._buffer = self._buffer.split(b"\nend\n", 1)
            text = message.decode("utf-8", "replace")
            begin = text.rfind("skinnybox-report 1")
            if begin >= 0:
                found.append(f"{text[begin:]}\nend\n")
        return found
