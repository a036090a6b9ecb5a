"""Fleet files: what they would do, and doing it."""

from pathlib import Path

from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.context import Context
from skinnybox.fleet.plan import apply
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.plan.apply import Agree, Plan
from skinnybox.fleet.power import Starting
from skinnybox.fleet.spec.reading import Sent
from skinnybox.operation import UNATTENDED, Operation


class FleetFiles:
    """Of one state folder on one host. Everything here blocks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._catalog = context.catalog

    def plan(self, file: Path | Sent, choices: Choices) -> Plan:
        """What `apply` would do to make the machines be as a fleet file says."""
        return apply.make_plan(self._context, file, choices)

    @as_job("apply")
    def apply(
        self,
        file: Path | Sent,
        choices: Choices,
        starting: Starting,
        agree: Agree,
        operation: Operation = UNATTENDED,
    ) -> list[Outcome[str]]:
        """Make the machines be as a fleet file says. `agree` is asked before anything is done."""
        return apply.apply(self._context, file, choices, starting, agree, operation)
