"""Revisions: by what two who change the same machine at the same time find out about each other.

A revision is a digest of the machine's record. It is looked at while nobody else can change the machine, so
of two who say the same one only the first changes anything.
"""

import hashlib
from collections.abc import Callable

from skinnybox.errors import Outdated
from skinnybox.fleet.change import Changes, Changing
from skinnybox.hosts.record import to_text
from skinnybox.model import Instance

_LENGTH = 32


def revision(instance: Instance) -> str:
    return hashlib.sha256(to_text(instance).encode()).hexdigest()[:_LENGTH]


def check(instance: Instance, expect: str | None) -> None:
    """Outdated when it is another one than is expected; None expects nothing."""
    if expect is not None and revision(instance) != expect:
        raise Outdated(
            f"{instance.name} was changed since you looked", hint="look again, and change it as it is now"
        )


def expecting(changing: Changing, expect: str | None) -> Changing:
    """The same changes, made only of a machine of this revision."""
    if expect is None:
        return changing

    def changes(instance: Instance) -> Changes:
        check(instance, expect)
        return changing(instance) if callable(changing) else changing

    return changes


def altering(alter: Callable[[Instance], Instance], expect: str | None) -> Callable[[Instance], Instance]:
    """The same of what gives a machine a new seed."""

    def altered(instance: Instance) -> Instance:
        check(instance, expect)
        return alter(instance)

    return altered
