"""What a machine is when a rebase of it, the way back, or the giving up of that was killed.

Of an overlay that is kept without being copied the host lists a snapshot from the moment on in which another
has its place, and not before (hosts/keeping.py). So what is listed says what was done, and nothing that was
done is undone.
"""

from contextlib import suppress
from datetime import UTC, datetime

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, Trial, TrialPhase
from skinnybox.operation import UNATTENDED
from skinnybox.values import replace


def judged(host: Host, instance: Instance) -> Instance:
    """The machine as its disks are. As it is recorded where they cannot be looked at now."""
    trial = instance.trial
    if trial is None:
        return instance
    with suppress(SkinnyboxError):
        return _judged(host, instance, trial, {kept.label for kept in host.snapshots(instance)})
    return instance


def clear(host: Host, before: Instance, now: Instance) -> None:
    """Delete what was kept of a machine that was put back by a copy of it, before that could be done."""
    if before.trial is not None and before.trial.aside is not None and now.trial is None:
        with suppress(SkinnyboxError):
            host.delete_snapshot(now, before.trial.kept)


def is_expired(instance: Instance, now: datetime | None = None) -> bool:
    """Whether what it was is not to be kept any longer. Never before its trial is passed."""
    trial = instance.trial
    if trial is None or trial.phase is not TrialPhase.PASSED or trial.keep_until is None:
        return False
    return (now or datetime.now(UTC)) >= trial.keep_until


def _judged(host: Host, instance: Instance, trial: Trial, kept: set[str]) -> Instance:
    if trial.aside in kept:
        return _before(instance, trial)
    if trial.kept in kept:
        return replace(instance, trial=replace(trial, aside=None))
    if trial.phase is TrialPhase.BUILT and not _is_rebased(host, instance):
        return _before(instance, trial)
    return replace(instance, trial=None)


def _before(instance: Instance, trial: Trial) -> Instance:
    return replace(instance, stack=trial.before, trial=None)


def _is_rebased(host: Host, instance: Instance) -> bool:
    """By the overlay's own word, of one that never ran: what was kept may have been lost since."""
    from skinnybox import wire
    from skinnybox.overlays import inspect
    from skinnybox.overlays.seed import base_message

    with host.open_overlay(instance, UNATTENDED) as overlay:
        return inspect.read_base(overlay) == wire.decode(base_message(instance), "base")
