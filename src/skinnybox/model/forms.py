"""Values to and from plain ones for JSON, as a table says.

A function is made once for each kind of value: dataclasses.asdict takes ten times as long, a walk over the
table a quarter more, and a thousand records are made at once.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from functools import cached_property
from typing import Any

from skinnybox.model.kinds import Kind
from skinnybox.values import dataclass, defaults


class Transition(Enum):
    """How a property of a machine that exists becomes another."""

    NEVER = "never"
    ITSELF = "by Skinnybox itself"
    SET = "in place"
    SEED = "by a new seed"
    GROW = "by `grow`, never smaller"
    ADOPT = "by `apply --adopt`"
    RECREATE = "only in a machine made anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One property, of the value `of`.

    - `optional`: it may be None. `later`: the first version did not write it, and a record without it has
      the value's own default; whatever is added now is that.
    - `change`: how it becomes another; with `at_once` one that is set counts before the next start.
    - `given`: what it is called in a Specification; None: nobody gives it.
    - `key`, `said`: of the fleet file, and how its reference explains it. `told`: what a plan calls it
      when it differs; of several keys that make one property, the property has it.
    - `shown`: its key in the stable JSON form of a machine.
    - `word`: of the seed's message, where the guest is told it, as a line of its own or in that line.
      `protocol`: the first of the guest part (model/masters.py) that knows that word. One before refuses
      all of a seed in which it stands, so a machine on such a master is not given it (fleet/knowing.py).
    - `what`: one plain sentence for the reference.
    """

    of: type
    name: str
    kind: Kind
    what: str
    change: Transition = Transition.NEVER
    optional: bool = False
    later: bool = False
    at_once: bool = False
    given: str | None = None
    key: str | None = None
    said: str | None = None
    told: str | None = None
    shown: str | None = None
    word: str | None = None
    protocol: int = 1

    def plain(self, value: Any) -> Any:
        """As JSON."""
        return value if value is None or self.kind.plain is None else self.kind.plain(value)


class Form:
    """All properties of one kind of value, in the order in which they are written.

    `plain` makes a record of a value, `value` a value of a record: that raises what a Kind does, and passes
    over what it does not know. Both are made when they are first asked for: most commands read few kinds."""

    def __init__(self, of: type, fields: Iterable[Field]) -> None:
        self.of = of
        self.fields = tuple(fields)

    @cached_property
    def plain(self) -> Callable[[Any], Any]:
        return self._compiled("value", self._writing())

    @cached_property
    def value(self) -> Callable[[Any], Any]:
        return self._compiled("record", self._reading())

    def kind(self, name: str) -> Kind:
        """Of a property that is one such value."""
        return Kind(name, lambda record: self.value(record), lambda value: self.plain(value))

    def several(self, name: str) -> Kind:
        """Of a property that is a tuple of them."""
        return Kind(
            name,
            lambda records: tuple(map(self.value, records)),
            lambda values: list(map(self.plain, values)),
        )

    def _writing(self) -> str:
        """`{"memory": value.memory, "uuid": plain_uuid(value.uuid), ...}`"""
        return "{" + ", ".join(f"{field.name!r}: {self._written(field)}" for field in self.fields) + "}"

    def _written(self, field: Field) -> str:
        has = f"value.{field.name}"
        if field.kind.plain is None:
            return has
        made = f"plain_{field.name}({has})"
        return f"None if {has} is None else {made}" if field.optional else made

    def _reading(self) -> str:
        """`of(memory=read_memory(record["memory"]), ...)`"""
        return "of(" + ", ".join(f"{field.name}={self._read(field)}" for field in self.fields) + ")"

    def _read(self, field: Field) -> str:
        has = f"record[{field.name!r}]"
        made = f"read_{field.name}({has})"
        if field.optional:
            made = f"None if {has} is None else {made}"
        return f"default_{field.name} if {field.name!r} not in record else {made}" if field.later else made

    def _compiled(self, of_what: str, expression: str) -> Callable[[Any], Any]:
        """A function as one would write it by hand, and as fast; values are made in the same way. It is made
        of our own table's names only."""
        default = defaults(self.of)
        names: dict[str, Any] = {"of": self.of}
        for field in self.fields:
            names[f"plain_{field.name}"] = field.kind.plain
            names[f"read_{field.name}"] = field.kind.read
            names[f"default_{field.name}"] = default.get(field.name)
        made: Callable[[Any], Any] = eval(f"lambda {of_what}: {expression}", names)
        return made
