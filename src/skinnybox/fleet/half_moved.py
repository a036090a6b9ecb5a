"""A machine that was to be moved, and that may be in both places. Its record says so from just before it is
made there until it is gone here, or was not made there, and it does not start meanwhile: two machines with
one identity would be two writers of one address, and each would go its own way."""

from skinnybox.errors import Blocked
from skinnybox.model import Instance


def refuse(instance: Instance, why: str) -> None:
    """Blocked for such a machine."""
    if instance.moving is not None:
        raise Blocked(f"{told(instance)}: {why}", hint=_way_out(instance))


def told(instance: Instance) -> str:
    return f"{instance.name} was being moved to {instance.moving} when that was interrupted, and may be there"


def explained(instance: Instance) -> str:
    return f"{told(instance)}: {_way_out(instance)}"


def _way_out(instance: Instance) -> str:
    return (
        "give the same `skinnybox move` again, which ends it; "
        f"`skinnybox move {instance.name} --stay`, once you know that it is not there"
    )
