"""How packages come again on another release, as a fleet file says it: `true`, or what comes otherwise."""

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from skinnybox.fleet.plan.values import Replay
from skinnybox.fleet.spec.content import checked
from skinnybox.fleet.spec.parts import Exact, said


def _command(value: str) -> None:
    from skinnybox.fleet.rebase_replay import check_commands

    check_commands((value,), replay=True)


def _name(value: str) -> None:
    from skinnybox.delta.rebase.replay import Otherwise

    Otherwise(without=frozenset((value,)))


Name = Annotated[str, said(_name)]
Command = Annotated[str, said(_command)]


class Otherwise(Exact):
    """What does not come again as it was."""

    without: list[Name] = Field(default_factory=list)
    """Packages that do not come again; and services, as `NAME.service`, that need not."""
    instead: dict[Name, Name] = Field(default_factory=dict)
    """The new release's package that takes the place of one of the machine."""
    after: list[Command] = Field(default_factory=list)
    """Commands for the machine's shell, as root, when its packages are installed and no service runs."""

    @model_validator(mode="after")
    def _either(self) -> "Otherwise":
        checked(self._refuse_both)
        return self

    def _refuse_both(self) -> None:
        from skinnybox.errors import UsageError

        for name in self.without:
            if name in self.instead:
                raise UsageError(f"{name} has another in its place, and is left out")


ReplayOf: TypeAlias = Annotated[
    Annotated[bool, Tag("as-it-was")] | Annotated[Otherwise, Tag("otherwise")],
    Discriminator(lambda value: "otherwise" if isinstance(value, dict | Otherwise) else "as-it-was"),
]


def replay_of(found: Any) -> Replay | None:
    """None where there is to be none."""
    if isinstance(found, Otherwise):
        return Replay(
            without=tuple(found.without), instead=tuple(found.instead.items()), after=tuple(found.after)
        )
    return Replay() if found else None
