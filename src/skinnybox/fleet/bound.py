"""The machines that somebody meant by their names, when they asked.

Who asks is answered before the work begins. By then a name may be another machine's, made anew since, in a
fleet that they do not reach. So the work is bound to the machines that were looked at, by their UUIDs.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from uuid import UUID

from skinnybox.errors import NotFound
from skinnybox.model import Instance

_meant: ContextVar[Mapping[str, UUID]] = ContextVar("meant", default=MappingProxyType({}))


@contextmanager
def to(machines: Mapping[str, UUID]) -> Iterator[None]:
    """During the block these names, when this thread asks for them, mean these machines or none."""
    token = _meant.set(machines)
    try:
        yield
    finally:
        _meant.reset(token)


def check(found: Iterable[Instance]) -> None:
    """NotFound for one that has the name of another."""
    meant = _meant.get()
    for instance in found:
        if meant.get(instance.name, instance.uuid) != instance.uuid:
            raise NotFound(
                f"{instance.name} was deleted, and another machine has its name since",
                hint="look at what is there now, and ask again",
            )
