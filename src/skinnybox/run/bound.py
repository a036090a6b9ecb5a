"""A program that ends with us, however we end; `tied` is for one with all that it starts, and for root."""

import os

# What the kernel does when a parent dies is asked for by the child itself, and so perhaps too late. So who
# its parent is, is looked at after that: it is still us, and our death will be heard of, or nothing begins.
_STILL_OURS = '[ "$PPID" -eq "$0" ] && exec "$@"'


def ending_with_us(*privileges: str) -> list[str]:
    """Words to put before a command; the thread that starts it has to wait for its end. `privileges` are
    further options of setpriv: a change of user clears what was asked for before it."""
    return ["setpriv", *privileges, "--pdeathsig", "KILL", "sh", "-c", _STILL_OURS, str(os.getpid())]
