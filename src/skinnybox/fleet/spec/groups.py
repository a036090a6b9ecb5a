"""From the groups of a fleet file to its machines: what a group and `defaults` say together, names and
addresses that must not meet."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skinnybox.errors import UsageError
from skinnybox.fleet.names import MOST_NAMES, expand
from skinnybox.fleet.plan.actions import Target
from skinnybox.fleet.plan.values import Replay
from skinnybox.fleet.spec.addressing import Addressing
from skinnybox.fleet.spec.again import replay_of
from skinnybox.fleet.spec.carried import Carried, written_twice
from skinnybox.fleet.spec.content import NOWHERE
from skinnybox.fleet.spec.filling import Filling, Unfilled
from skinnybox.fleet.spec.marked import Marked, Place
from skinnybox.fleet.spec.parts import data_of, seed_file, text_of
from skinnybox.fleet.spec.shape import FleetFile, Group, Shared
from skinnybox.fleet.spec.telling import Telling
from skinnybox.fleet.spec.templates import Row
from skinnybox.fleet.spec.users import keys_of, seed_user
from skinnybox.fleet.spec.values import OnData
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, DataDisk, Encryption, Forward, Network, Overlay
from skinnybox.model.datadisk import data_disk
from skinnybox.model.fields import Field, machine_fields
from skinnybox.model.forwards import check_together, counted, parse_forward
from skinnybox.model.kinds import CONTENT, FORWARDS, KEYS, LABELS, SCRIPT, TEXTS
from skinnybox.model.labels import labels_of
from skinnybox.printable import short
from skinnybox.sizes import GIB

Values = dict[str, Any]

_TOGETHER = "`network: bridge` and `bridge: NAME` go together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One machine of the file. `master` is the reference as written, `place` where that stands."""

    name: str
    master: str
    specification: Specification
    state: Target
    place: Place
    replay: Replay | None = None


class Groups:
    """Reads the groups one after the other; mistakes are added to those of `found`."""

    def __init__(
        self,
        found: Marked,
        folder: Path,
        checked: FleetFile,
        names: Callable[[Sequence[str]], list[str]] = expand,
    ) -> None:
        """`names` are those that a pattern means."""
        self._expand = names
        self._tell = Telling(found)
        self._addressing = Addressing(self._tell)
        self._folder = folder
        self._checked = checked
        self._filling = Filling(folder)
        self._patterns: dict[str, str] = {}
        self._forwards: dict[int, list[tuple[Forward, str]]] = {}

    def machines(self) -> tuple[Described, ...]:
        found: list[Described] = []
        for pattern, group in self._checked.machines.items():
            found += self._group(pattern, group or Group())
            if len(self._patterns) > MOST_NAMES:
                self._tell.wrong(("machines", pattern), f"more than {MOST_NAMES} machines", key=True)
                break
        else:
            self._check_tables()
        return tuple(found)

    def _group(self, pattern: str, group: Group) -> Iterator[Described]:
        names = self._names(pattern)
        said = self._said(group)
        master = self._master(pattern, said)
        common = self._specification(pattern, said)
        values = self._values(pattern, names, said)
        each = self._each(pattern, common, said, values) if values else [common] * len(names)
        networks = self._addressing.networks(pattern, group, said, values) if values else [None] * len(names)
        cards = self._addressing.cards(pattern, said, values) if values else [()] * len(names)
        place = self._tell.place(pattern, "master")
        ports = self._ports(pattern, common.forwards, len(names))
        for name, own, network, nics, forwards in zip(names, each, networks, cards, ports, strict=True):
            whole = replace(own, static_network=network, nics=nics, forwards=forwards)
            self._addressing.check_places(pattern, whole)
            yield Described(
                name=name,
                master=master,
                specification=whole,
                state=said.get("state") or Target.UNMANAGED,
                place=place,
                replay=replay_of(said.get("replay")),
            )

    def _names(self, pattern: str) -> list[str]:
        try:
            names = self._expand([pattern])
        except UsageError as error:
            self._tell.wrong(("machines", pattern), error.message, key=True)
            return []
        for name in names:
            first = self._patterns.setdefault(name, pattern)
            if first != pattern:
                line = self._tell.found.place(("machines", first), key=True).line
                self._tell.wrong(
                    ("machines", pattern), f"{name} is in {first!r}, line {line}, already", key=True
                )
                break
        return names

    def _said(self, group: Group) -> Values:
        """A key of the group wins over `defaults`, also null; one kind of network over another."""
        defaults = self._checked.defaults
        common = {key: getattr(defaults, key) for key in defaults.model_fields_set}
        own = {key: getattr(group, key) for key in group.model_fields_set}
        if {"network", "bridge"} & own.keys() and not (
            own.get("network") is Network.BRIDGE and "bridge" not in own
        ):
            common = {key: value for key, value in common.items() if key not in ("network", "bridge")}
        return {**common, **own}

    def _master(self, pattern: str, said: Values) -> str:
        if said.get("master") is None and not self._tell.written(pattern, "master"):
            self._tell.wrong(("machines", pattern), "no `master`, neither here nor in `defaults`", key=True)
        return said.get("master") or ""

    def _specification(self, pattern: str, said: Values) -> Specification:
        network, bridge = self._network(pattern, said)
        given = {
            field.given: self._value(field, said[field.key])
            for field in machine_fields()
            if field.given and field.key and said.get(field.key) is not None and field.key != "nics"
        }
        given["overlay"] = Overlay(
            size=said.get("overlay") or GIB,
            allocation=Allocation.SPARSE if said.get("sparse") else Allocation.RESERVED,
        )
        given["data"] = _data(said.get("data"), given["overlay"].allocation)
        given.update(network=network, bridge=bridge, fleet=self._checked.fleet)
        self._refuse_key(pattern, given.get("encrypt"))
        return Specification(**given, any_allocation=said.get("sparse") is None)

    def _refuse_key(self, pattern: str, encryption: Encryption | None) -> None:
        if self._folder == NOWHERE and encryption is not None and encryption.key_file is not None:
            what = "no key of the server is named by who is elsewhere: `random`, or `skinnybox create` there"
            self._tell.wrong(self._tell.trail(pattern, "encrypt"), what)

    def _values(self, pattern: str, names: list[str], said: Values) -> list[Row]:
        """For each machine; none after a mistake in the table, of which others would only follow."""
        if said.get("values") is None and self._tell.written(pattern, "values"):
            return []
        try:
            return self._filling.values(names, said.get("values"))
        except UsageError as error:
            self._tell.wrong(self._tell.trail(pattern, "values"), error.message)
            return []

    def _each(
        self, pattern: str, common: Specification, said: Values, values: Sequence[Row]
    ) -> list[Specification]:
        """Of each machine; the same for all that are the same, and after a mistake."""
        found: list[Specification] = []
        carried = Carried(common)
        for row in values:
            wrong: list[Unfilled] = []
            own = self._filling.machine(common, said, row, wrong)
            if wrong:  # of the others nothing else would be told
                for each in wrong:
                    self._tell.wrong(self._tell.inner(pattern, each.trail), each.what)
                return [common] * len(values)
            if not found or own is not found[-1]:
                self._check_seed(pattern, own, carried)
            found.append(own)
        return found

    def _check_tables(self) -> None:
        """A name in a table that is no machine's is a slip of the pen. A CSV may well have more than the
        fleet."""
        for name in _named(self._checked.defaults):
            if name not in self._patterns:
                self._tell.wrong(("defaults", "values", name), f"{name} is no machine here", key=True)
        for pattern, group in self._checked.machines.items():
            for name in _named(group):
                if self._patterns.get(name) != pattern:
                    what = f"{name} is no machine of this group"
                    self._tell.wrong(("machines", pattern, "values", name), what, key=True)

    def _value(self, field: Field, said: Any) -> Any:
        """What stands in files comes from there."""
        if field.kind is KEYS:
            return keys_of(said, self._folder)
        if field.kind is SCRIPT:
            return text_of(said, self._folder)
        if field.kind is CONTENT:
            return data_of(said, self._folder)
        if field.kind is LABELS:
            return labels_of(said)
        if field.kind is FORWARDS:
            return tuple(map(parse_forward, said))
        if field.given == "files":
            return tuple(seed_file(file, self._folder) for file in said)
        if field.given == "users":
            return tuple(seed_user(user, self._folder) for user in said)
        return tuple(said) if field.kind is TEXTS else said

    def _network(self, pattern: str, said: Values) -> tuple[Network | None, str | None]:
        network, bridge = said.get("network"), said.get("bridge")
        if network is None and bridge is not None:
            return Network.BRIDGE, bridge
        if (network is Network.BRIDGE) != (bridge is not None) and not self._tell.written(
            pattern, "bridge", bridge
        ):
            self._tell.wrong(self._tell.trail(pattern, "network"), _TOGETHER)
        return network, bridge

    def _check_seed(self, pattern: str, found: Specification, carried: Carried) -> None:
        for target in written_twice(found):
            self._tell.wrong(self._tell.trail(pattern, "files"), f"{short(target)} is written by two files")
        try:
            carried.check(found)
        except (ValueError, UsageError) as error:
            self._tell.wrong(("machines", pattern), str(error), key=True)

    def _ports(self, pattern: str, first: Sequence[Forward], count: int) -> list[tuple[Forward, ...]]:
        """One for each machine; all empty after a mistake."""
        try:
            check_together(first)
            found = [counted(first, number) for number in range(count)] if first else []
        except UsageError as error:
            self._tell.wrong(self._tell.trail(pattern, "forwards"), error.message)
            found = []
        for forward in (forward for forwards in found for forward in forwards):
            for other, where in self._forwards.setdefault(forward.port, []):
                if other.meets(forward):
                    what = f"{forward} leads to two machines, first in {where!r}"
                    self._tell.wrong(self._tell.trail(pattern, "forwards"), what)
                    return [()] * count
            self._forwards[forward.port].append((forward, pattern))
        return found or [()] * count


def _named(shared: Shared | None) -> Iterable[str]:
    """The machines of the table that stands there."""
    table = getattr(shared, "values", None)
    return table if isinstance(table, dict) else ()


def _data(said: int | OnData | None, allocation: Allocation) -> DataDisk | None:
    if said is None:
        return None
    return (
        data_disk(said, (), allocation)
        if isinstance(said, int)
        else data_disk(said.size, said.folders, allocation)
    )
