"""Whether the guest part of a master knows what a machine on it is to be told."""

from typing import Any

from skinnybox.errors import Unsupported
from skinnybox.fleet.specification import Specification
from skinnybox.model import Instance, Master
from skinnybox.model.fields import Field, machine_fields, part


def check(said: Instance | Specification, master: Master) -> None:
    """Unsupported, naming what, before anything is touched: a master lives for years, and its guest part
    refuses to start with a word that it does not know."""
    for field in machine_fields():
        if field.protocol > master.guest_protocol and _value(said, field):
            word = field.key or field.word or field.name
            raise Unsupported(
                f"the guest part of {master.reference} does not know {word}: it speaks protocol"
                f" {master.guest_protocol}, and that is known from {field.protocol} on",
                hint=f"build or import the master again, or leave {word} out",
            )


def _value(said: Instance | Specification, field: Field) -> Any:
    """Nothing for what nobody gives; what is not asked for is nothing as well, and no line of a seed."""
    if isinstance(said, Instance):
        return part(said, field)
    return getattr(said, field.given) if field.given else None
