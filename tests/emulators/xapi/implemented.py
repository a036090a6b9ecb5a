"""Every module that answers calls; importing them is what puts the calls into context.HANDLERS."""

from importlib import import_module

from tests.emulators.xapi.context import HANDLERS

_MODULES = (
    "copies", "events", "guests", "hosts", "placement", "plugins", "power", "provision", "reverts",
    "sessions", "shutdown", "srs", "tasks", "vbds", "vdis", "vifs", "vms",
)  # fmt: skip
for _name in _MODULES:
    import_module(f"{__package__}.{_name}")

CALLS = tuple(sorted(HANDLERS))
"""Calls with rules of their own; all others are answered by generic.py or not at all."""
