"""Every module that answers calls; importing them is what puts the calls into context.HANDLERS."""

from tests.emulators.xapi import (
    copies,
    events,
    guests,
    hosts,
    placement,
    plugins,
    power,
    provision,
    reverts,
    sessions,
    shutdown,
    srs,
    tasks,
    vbds,
    vdis,
    vifs,
    vms,
)
from tests.emulators.xapi.context import HANDLERS

_MODULES = (
    copies,
    events,
    guests,
    hosts,
    placement,
    plugins,
    power,
    provision,
    reverts,
    sessions,
    shutdown,
    srs,
    tasks,
)
_OF_MACHINES = (vbds, vdis, vifs, vms)

CALLS = tuple(sorted(HANDLERS))
"""Calls with rules of their own; all others are answered by generic.py or not at all."""
