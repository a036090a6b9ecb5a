"""What a running guest wrote to xenstore, and VM_guest_metrics made of it."""

import datetime

from tests.emulators.xapi import lifecycle, xenstore
from tests.emulators.xapi.context import Xapi
from tests.emulators.xapi.kinds import NULL

LONGEST = 65536


def write(xapi: Xapi, vm: str, keys: dict[str, str]) -> None:
    """The guest writes below its own domain; what it may not write there (vm-data) is ignored."""
    tree = xapi.xenstore.setdefault(vm, {})
    tree |= {key: value for key, value in keys.items() if not key.startswith("vm-data/")}
    if "data/updated" in keys:
        _show(xapi, vm, tree)


def _show(xapi: Xapi, vm: str, tree: dict[str, str]) -> None:
    database = xapi.database
    values = {**xenstore.shown(tree), "last_updated": datetime.datetime.now(datetime.UTC), "live": True}
    metrics = database.get("VM", vm, "guest_metrics")
    if metrics == NULL:
        metrics = database.create("VM_guest_metrics", {})
        database.set("VM", vm, "guest_metrics", metrics)
    database.update("VM_guest_metrics", metrics, **values)
    lifecycle.refresh(xapi, vm)


def forget(xapi: Xapi, vm: str) -> None:
    """A machine that starts has told nothing yet."""
    xapi.xenstore.pop(vm, None)
    metrics = xapi.database.get("VM", vm, "guest_metrics")
    xapi.database.set("VM", vm, "guest_metrics", NULL)
    if xapi.database.valid("VM_guest_metrics", metrics):
        xapi.database.destroy("VM_guest_metrics", metrics)


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
