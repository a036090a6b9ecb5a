"""Ports of the host that lead into a machine, as people write them: [ADDRESS:]PORT:GUEST_PORT."""

import ipaddress
import re
from collections.abc import Sequence

from skinnybox.errors import UsageError
from skinnybox.model.machines import Forward
from skinnybox.model.ranges import GUEST_PORT, HOST_PORT, SSH_PORTS
from skinnybox.values import replace

MOST = 64
"""Of one machine."""
_FORM = re.compile("(?:([0-9.]{1,15}):)?([0-9]{1,5}):([0-9]{1,5})")
_HINT = "8080:80, or 192.0.2.7:8080:80 for others than this host"


def parse_forward(text: str) -> Forward:
    """Raises UsageError."""
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r:.60} is not [ADDRESS:]PORT:GUEST_PORT", hint=_HINT)
    address = found[1] or "127.0.0.1"
    try:
        ipaddress.IPv4Address(address)
    except ValueError as error:
        raise UsageError(f"{address!r} is not an IPv4 address of this host", hint=_HINT) from error
    return checked(Forward(address=address, port=int(found[2]), to=int(found[3])))


def checked(forward: Forward) -> Forward:
    """The same. Raises UsageError for a port out of range."""
    HOST_PORT.check(forward.port)
    GUEST_PORT.check(forward.to)
    if SSH_PORTS.has(forward.port):
        raise UsageError(
            f"{forward.port} is one of the ports that lead to machines' ssh: {SSH_PORTS.least} to"
            f" {SSH_PORTS.most}",
            hint=_HINT,
        )
    return forward


def check_together(forwards: Sequence[Forward]) -> None:
    """Raises UsageError for what one machine cannot have."""
    if len(forwards) > MOST:
        raise UsageError(f"{len(forwards)} forwarded ports, and {MOST} are the most of one machine")
    for number, one in enumerate(forwards):
        checked(one)
        if twice := next((other for other in forwards[:number] if other.meets(one)), None):
            raise UsageError(f"{one} and {twice} are the same port of this host")


def counted(forwards: Sequence[Forward], number: int) -> tuple[Forward, ...]:
    """Those of the machine so many after the first of a group: each counts up by one. Raises UsageError when
    one goes out of range."""
    return tuple(checked(replace(forward, port=forward.port + number)) for forward in forwards)
