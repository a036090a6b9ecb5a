"""How far the trial of a machine is, by its record alone: what lists say of it."""

from datetime import datetime, timedelta

from skinnybox.model import Instance, TrialPhase


def is_open(instance: Instance) -> bool:
    """Whether it is not known yet if it stays on its new master."""
    return instance.trial is not None and instance.trial.phase is not TrialPhase.PASSED


def is_built(instance: Instance) -> bool:
    """Whether its next start is its trial."""
    return instance.trial is not None and instance.trial.phase is TrialPhase.BUILT


def is_begun(instance: Instance) -> bool:
    """Whether its trial goes on, or is over and nobody has decided it."""
    return instance.trial is not None and instance.trial.phase is TrialPhase.RUNNING


def deadline(instance: Instance) -> datetime | None:
    """Until when a trial that was begun may last."""
    trial = instance.trial
    if trial is None or trial.started is None or not is_begun(instance):
        return None
    return trial.started + timedelta(seconds=trial.patience)


def told(instance: Instance) -> str | None:
    """In the few words of a table; the time is of the clock here."""
    if instance.trial is None:
        return None
    if is_built(instance):
        return "trial at next start"
    until = deadline(instance)
    return "kept" if until is None else f"trial until {until.astimezone():%H:%M}"
