"""Which machines a list shows, and in what order: by what stands in its address, so that it can be kept and
sent to others."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from skinnybox.errors import UsageError
from skinnybox.fleet.view import MachineView
from skinnybox.model.labels import filtered
from skinnybox.web.addresses import with_query

PAGE = 100
"""Machines of one page."""
_NUMBERS = re.compile("([0-9]{1,18})")
_DIGITS = frozenset("0123456789")
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Empty texts ask for nothing. `q` is part of a name, `label` as `--filter` of the CLI takes it, `fleet`
    the name of one, or `-` for machines of none. `order` is `up` or `down`."""

    q: str = ""
    state: str = ""
    master: str = ""
    fleet: str = ""
    label: str = ""
    sort: str = "name"
    order: str = "up"
    page: int = 1

    @property
    def narrows(self) -> bool:
        return any((self.q, self.state, self.master, self.fleet, self.label))

    def address(self, **other: object) -> str:
        """Of the list with some of it changed."""
        standard = Query()
        values = {each.name: getattr(self, each.name) for each in fields(self)} | other
        said = {key: value for key, value in values.items() if value != getattr(standard, key, None)}
        return with_query("/machines", **said)

    def sorted_by(self, key: str) -> str:
        """Of the list in the order of a column: turned round, when it is in that already."""
        down = self.sort == key and self.order == "up"
        return self.address(sort=key, order="down" if down else "up", page=1)

    @property
    def filters(self) -> list[tuple[str, str]]:
        """What narrows it, as a form sends it on."""
        keys = ("q", "state", "master", "fleet", "label")
        return [(key, getattr(self, key)) for key in keys if getattr(self, key)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page of `found` machines."""

    query: Query
    machines: Sequence[MachineView]
    found: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // PAGE))

    @property
    def first(self) -> int:
        return (self.query.page - 1) * PAGE + 1


def query_of(said: Mapping[str, str]) -> Query:
    """Of an address or a form. What is no query of ours counts as not said."""
    texts = {key: said.get(key, "").strip()[:_MOST] for key in ("q", "state", "master", "fleet", "label")}
    sort, page = said.get("sort", "name"), said.get("page", "1")
    return Query(
        **texts,
        sort=sort if sort in SORTS else "name",
        order="down" if said.get("order") == "down" else "up",
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
    )


def listed(machines: Sequence[MachineView], query: Query) -> Listed:
    """Of machines in the order of their names, as `in_order` makes it."""
    found = meant(machines, query)
    if query.sort != "name" or query.order == "down":
        found.sort(key=SORTS[query.sort], reverse=query.order == "down")
    last = max(1, -(-len(found) // PAGE))
    query = replace(query, page=min(query.page, last))
    start = (query.page - 1) * PAGE
    return Listed(query=query, machines=found[start : start + PAGE], found=len(found))


def meant(machines: Sequence[MachineView], query: Query) -> list[MachineView]:
    """Those that it is about. A label that cannot be one means none: the page says so where it is typed."""
    found = [machine for machine in machines if _holds(machine, query)]
    if not query.label:
        return found
    is_meant = filtered([word for word in query.label.replace(",", " ").split() if word])
    return [machine for machine in found if is_meant(_words(machine))]


def why_not(query: Query) -> str | None:
    """What is wrong with its labels."""
    try:
        meant([], query)
    except UsageError as error:
        return error.message
    return None


def _holds(machine: MachineView, query: Query) -> bool:
    instance = machine.instance
    reference = instance.stack.reference
    return (
        query.q.casefold() in machine.name.casefold()
        and query.master in ("", reference, reference.split(":")[0])
        and query.fleet in ("", instance.fleet or "-")
        and (not query.state or query.state == str(machine.condition))
    )


def _words(machine: MachineView) -> dict[str, str]:
    own = {"name": machine.name, "state": str(machine.condition), "master": machine.instance.stack.reference}
    return {**dict(machine.instance.labels), **own, **_fleet(machine)}


def _fleet(machine: MachineView) -> dict[str, str]:
    return {"fleet": machine.instance.fleet} if machine.instance.fleet else {}


def natural(name: str) -> tuple[Any, ...]:
    """web-2 before web-10. Not longer digits than anybody counts with: an address may be a guest's word."""
    parts = (part for part in _NUMBERS.split(name) if part)
    return tuple((0, int(part), "") if part[0] in _DIGITS else (1, 0, part) for part in parts)


def in_order(machines: Iterable[MachineView]) -> list[MachineView]:
    return sorted(machines, key=lambda machine: natural(machine.name))


def overlay_used(machine: MachineView) -> int:
    """Bytes: as its guest sees it while it runs, else what its host has written."""
    report = machine.current_report
    if report is not None and report.overlay_size is not None and report.overlay_free is not None:
        return max(0, report.overlay_size - report.overlay_free)
    return machine.written or 0


def full(machine: MachineView) -> float:
    return overlay_used(machine) / machine.instance.overlay.size


def _up(machine: MachineView) -> float:
    status = machine.status
    return -status.since.timestamp() if status and status.since and status.pid else 0.0


SORTS: dict[str, Callable[[MachineView], Any]] = {
    "name": lambda machine: natural(machine.name),
    "state": lambda machine: str(machine.condition),
    "master": lambda machine: natural(machine.instance.stack.reference),
    "overlay": full,
    "address": lambda machine: natural(machine.address or ""),
    "up": _up,
    "memory": lambda machine: machine.instance.memory,
}
