"""How a long operation says how far it is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A moment of a long operation. `total` None: how long is not known."""

    task: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    detail: str = ""


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """The Progress of who does not want any."""
