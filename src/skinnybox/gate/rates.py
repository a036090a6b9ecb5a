"""How often somebody may be wrong: failures to sign in, counted by the address they come from.

Who shows a token that is right is never refused, whatever came from there before: an office behind one
address must not be locked out by one of its own. So the token is looked at first, and only what is wrong is
counted. Nobody finds 256 random bits by trying; this keeps who tries from filling logs and wires.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

MOST = 10
"""Failures of one address in a row; one more is let through in each PACE seconds."""
PACE = 6.0
_KEPT = 4096
"""Addresses; the one that was wrong longest ago makes room."""


@dataclass(slots=True)
class _Tries:
    left: float
    at: float


class Failures:
    """Those of one server. Thread-safe, and no larger for it however many there are."""

    def __init__(self, most: int = MOST, pace: float = PACE) -> None:
        self._most, self._pace = most, pace
        self._lock = threading.Lock()
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def failed(self, address: str) -> float | None:
        """Count one. None, or after how many seconds the next one is looked at as one."""
        key, now = network(address), time.monotonic()
        with self._lock:
            found = self._tries.pop(key, None) or _Tries(self._most, now)
            found.left = min(self._most, found.left + (now - found.at) / self._pace)
            found.at = now
            self._tries[key] = found
            while len(self._tries) > _KEPT:
                self._tries.popitem(last=False)
            if found.left < 1:
                return (1 - found.left) * self._pace
            found.left -= 1
        return None


def network(address: str) -> str:
    """Whose it is: of IPv6 everybody has 2**64 to come from."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
