"""A machine whose system and data were to be put back together, and of which one may be of the snapshot and
the other of later: two disks cannot take their places at the same moment. Its record says so from just before
until both are there, and nothing of it starts meanwhile: a database would find files that are older or newer
than what its system knows of them, and go on with them."""

from skinnybox.errors import Blocked, SkinnyboxError
from skinnybox.model import Instance


def refuse(instance: Instance, why: str) -> None:
    """Blocked for such a machine."""
    if instance.half_restored is not None:
        raise Blocked(f"{told(instance)}: {why}", hint=_way_out(instance, instance.half_restored))


def told(instance: Instance) -> str:
    was = f"{instance.name} was being put back to its snapshot {instance.half_restored!r} with its data"
    return f"{was} when that was interrupted, and only one of the two may be"


def explained(instance: Instance) -> str:
    return f"{told(instance)}: {_way_out(instance, instance.half_restored or '')}"


def add_to(error: SkinnyboxError, instance: Instance, label: str) -> None:
    """What is to be said as well where one of them may be in place."""
    error.message = f"{error.message}; of the system and the data of {instance.name} one may be put back"
    error.hint = _way_out(instance, label)


def _way_out(instance: Instance, label: str) -> str:
    again = f"`skinnybox snapshot restore {label} {instance.name} --with-data`"
    return f"{again} does both again; `reset` gives it a fresh system with the data as they are"
