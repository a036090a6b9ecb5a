"""How busy this machine is: whoever gives up waiting says so, when that may be why."""

import os

_BUSY = 1.5
"""Processes that want each processor, on average over the last minute: from here on, all take longer."""


def busy() -> str | None:
    """In words; None when it is not."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load < _BUSY * processors:
        return None
    return f"this host is busy (load {load:.1f} with {processors} processors)"
