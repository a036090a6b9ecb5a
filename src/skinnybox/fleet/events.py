"""What happened to machines, also to those that are gone."""

import fnmatch
from collections.abc import Callable, Iterator, Sequence

from skinnybox.errors import Cancelled
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.names import expand, select
from skinnybox.hosts.base import Host
from skinnybox.hosts.events import Event as Event
from skinnybox.operation import Operation

_POLL = 1.0


def listed(host: Host, catalog: Catalog, patterns: Sequence[str]) -> list[Event]:
    """Of the machines that names and globs mean, by the names they had then. NotFound when one means none."""
    known = list(host.events())
    select(patterns, {*catalog.names(), *(event.name for event in known)})
    wanted = _wanted(patterns)
    return [event for event in known if wanted(event.name)]


def followed(host: Host, catalog: Catalog, patterns: Sequence[str], operation: Operation) -> Iterator[Event]:
    """As listed, and then what happens from now on, also to machines that come later, until cancelled. So a
    glob may mean nothing yet; a name must be known."""
    listed(host, catalog, [pattern for pattern in patterns if not _is_glob(pattern)])
    wanted, last = _wanted(patterns), 0
    while True:
        for event in host.events(last):
            last = event.number
            if wanted(event.name):
                yield event
        try:
            operation.sleep(_POLL)
        except Cancelled:
            return


def _wanted(patterns: Sequence[str]) -> Callable[[str], bool]:
    globs = [pattern for pattern in patterns if _is_glob(pattern)]
    names = set(expand(pattern for pattern in patterns if pattern not in globs))
    return lambda name: (
        not patterns or name in names or any(fnmatch.fnmatchcase(name, pattern) for pattern in globs)
    )


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")
