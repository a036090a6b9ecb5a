"""A rollout as a picture: of each machine whether it is where it was to be."""

from collections.abc import Sequence

from skinnybox.fleet.jobs import Job
from skinnybox.fleet.view import MachineView
from skinnybox.model import TrialPhase
from skinnybox.web import rows
from skinnybox.web.picture import FleetMap, map_of

ROLLOUTS = frozenset({"rebase", "rollback"})
"""Verbs of jobs that have such a picture."""


def rollout_map(job: Job, machines: Sequence[MachineView]) -> FleetMap | None:
    """None where it would be of one machine, or of none."""
    if len(machines) < 2:
        return None
    errors = {result.name: result.error for result in job.results}
    return map_of(machines, lambda machine: _tone(job, machine, errors.get(machine.name)))


def _tone(job: Job, machine: MachineView, error: str | None) -> str:
    """What went wrong shows, also when the machine has its old system again."""
    if error is not None:
        return "off" if error.startswith("not begun") else "bad"
    if rows.TONES[machine.condition] == "bad":
        return "bad"
    trial = machine.instance.trial
    if job.verb == "rollback":
        return "good" if trial is None else "off"
    if trial is None:
        return "good" if machine.name in {result.name for result in job.results} else "off"
    return "good" if trial.phase is TrialPhase.PASSED else "busy"
