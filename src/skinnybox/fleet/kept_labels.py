"""What a rebase calls the snapshots it keeps: of before, and of what was put aside by the way back."""

import re

from skinnybox.errors import Blocked, UsageError
from skinnybox.model import Instance

BEFORE, AFTER = "before-rebase-", "after-rebase-"
_OURS = re.compile(rf"(?:{BEFORE}|{AFTER})([0-9]{{1,9}})")


def number(label: str) -> int | None:
    """That in one of these; None of others."""
    found = _OURS.fullmatch(label)
    return int(found[1]) if found else None


def refuse_label(label: str) -> None:
    """UsageError for one that is a rebase's to give."""
    if number(label) is not None:
        raise UsageError(f"{label!r} is what a rebase calls its snapshots", hint="another label")


def refuse_deletion(instance: Instance, label: str) -> None:
    """Blocked for the way back from a rebase."""
    trial = instance.trial
    if trial is not None and trial.kept == label:
        raise Blocked(
            f"the snapshot {label!r} of {instance.name} is its way back to {trial.before.reference}",
            hint=f"`skinnybox rebase {instance.name} --commit` gives it up",
        )
