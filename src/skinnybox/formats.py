"""Which versions of what is written down are understood.

A record says its writer's `format`, and may say which format it `needs` of its reader. Within one format
fields are only ever added: a reader takes a missing one at its default, and passes over one that it does not
know. A change that an older reader would get wrong raises `needs`, and is refused there instead of guessed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skinnybox.errors import Corrupt, Unsupported

if TYPE_CHECKING:
    from skinnybox.model import Master


def check(record: Mapping[str, Any], known: int, what: str) -> None:
    """Corrupt when it says no format at all, Unsupported when it needs a later one than `known`."""
    written = record.get("format") if isinstance(record, Mapping) else None
    needs = record.get("needs", written) if isinstance(record, Mapping) else None
    if type(written) is not int or type(needs) is not int or not 1 <= needs <= written:
        raise Corrupt(f"{what} says no format, or none that can be: {written!r}")
    if needs > known:
        raise Unsupported(
            f"{what} has format {written}, and {known} is the latest known here",
            hint="it was written by a later Skinnybox: upgrade",
        )


def check_protocol(master: "Master") -> None:
    """Unsupported when its guest part speaks a protocol that is not spoken here."""
    from skinnybox.model import GUEST_PROTOCOL, OLDEST_GUEST_PROTOCOL  # who reads records needs none of it

    if not OLDEST_GUEST_PROTOCOL <= master.guest_protocol <= GUEST_PROTOCOL:
        late = master.guest_protocol > GUEST_PROTOCOL
        raise Unsupported(
            f"the guest part of {master.reference} speaks protocol {master.guest_protocol}, here"
            f" {OLDEST_GUEST_PROTOCOL} to {GUEST_PROTOCOL} are spoken",
            hint="upgrade Skinnybox" if late else "build the master again",
        )
