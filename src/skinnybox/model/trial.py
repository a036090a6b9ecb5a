"""A machine that was put on another master, until it is decided whether it stays there."""

from datetime import datetime
from enum import StrEnum

from skinnybox.model.stack import Stack
from skinnybox.values import dataclass


class TrialPhase(StrEnum):
    """BUILT: the next start is the trial. RUNNING: that start was made. PASSED: it was ready in time, and
    what it was is kept until it is committed."""

    BUILT = "built"
    RUNNING = "running"
    PASSED = "passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`before` is what the machine booted from, and the snapshot `kept` its overlay then: the way back.

    `since` is when it was rebased, `started` when the trial began, None before. It has `patience` seconds
    from then on to become ready. `identifier`, hex digits, is what the guest calls the tasks of this rebase.
    From `keep_until` on the way back may be given up; None: only when it is committed. `aside`: it is being
    put back, and this is to be the snapshot of what it wrote meanwhile; once that is there, it was put back.
    `check` is the one that the rebase told it, and that goes with it; None where it told none.
    """

    before: Stack
    kept: str
    since: datetime
    phase: TrialPhase
    patience: int
    started: datetime | None
    identifier: str
    keep_until: datetime | None = None
    aside: str | None = None
    check: str | None = None

    def __post_init__(self) -> None:
        if self.patience <= 0:
            raise ValueError(f"a trial of {self.patience} seconds")
        if not self.identifier or set(self.identifier) - set("0123456789abcdef"):
            raise ValueError("a trial is called by hex digits")
