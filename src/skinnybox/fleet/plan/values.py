"""What a plan is made of, and made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from skinnybox.errors import UsageError
from skinnybox.fleet.plan.compare import Difference
from skinnybox.fleet.specification import Specification
from skinnybox.model import Instance, Stack


class Target(StrEnum):
    """What becomes of a machine's power."""

    RUNNING = "running"
    STOPPED = "stopped"
    UNMANAGED = "unmanaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How packages come again on another release: as rebases.Wishes says, and `after` that as a Rollout."""

    without: tuple[str, ...] = ()
    instead: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One machine as the file wants it. `stack` is what it would boot from if it were made now; with `pinned`
    the file names a version, with `dax_said` the way to boot it, and one that exists must agree.
    `specification` has the fleet's own ssh key and the machine's own address in it. `replay` is how it goes
    onto a master of another release; None: it does not."""

    name: str
    stack: Stack
    specification: Specification
    pinned: bool = True
    state: Target = Target.UNMANAGED
    replay: Replay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """`releases` are those of masters, by their ids, as far as they are to be known."""

    fleet: str
    machines: tuple[Wanted, ...]
    releases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is allowed beyond what an edit may do by itself. `recreate` and `reset` are names; with `rebase`
    machines go to another master, with `replay` as well onto one of another release of which their file does
    not say how. Raises UsageError for a replay that is none."""

    prune: bool = False
    adopt: bool = False
    rebase: bool = False
    replay: bool = False
    recreate: frozenset[str] = frozenset()
    reset: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.replay and not self.rebase:
            raise UsageError(
                "a replay is a way to rebase, and no rebase is asked for", hint="say rebase as well"
            )


class Verb(StrEnum):
    """In the order in which `apply` goes: what frees space or names first, what takes it later."""

    DELETE = "delete"
    RECREATE = "recreate"
    STOP = "stop"
    ADOPT = "adopt"
    REBASE = "rebase"
    GROW = "grow"
    SET = "set"
    SEED = "seed"
    RESET = "reset"
    CREATE = "create"
    START = "start"
    BLOCKED = "blocked"


ORDER = {verb: number for number, verb in enumerate(Verb)}
DANGEROUS = frozenset({Verb.DELETE, Verb.RECREATE, Verb.RESET})
"""What loses data, and is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`instance` is what exists, `wanted` what is to be; one of them may be missing. `reason` says why it is
    blocked, `note` what else is to be known."""

    verb: Verb
    name: str
    wanted: Wanted | None = None
    instance: Instance | None = None
    differences: tuple[Difference, ...] = field(default=())
    reason: str | None = None
    hint: str | None = None
    note: str | None = None
