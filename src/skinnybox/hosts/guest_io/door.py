"""The supervisor's look whether a machine can be reached (reach.py): from its guest's first ready report on
until its ssh has answered, once in each start. What was found is kept in its report: another supervisor goes
on from there.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from skinnybox.hosts import reach
from skinnybox.hosts.guest_io import reports
from skinnybox.hosts.reach import Knock, Way
from skinnybox.model import Instance, Report

REPORTED = "reported"


def recorded(instance: Instance) -> list[str | int] | str | None:
    """For machine.json: where to look. None: nowhere."""
    way = reach.fixed(instance)
    if way is None:
        return REPORTED if reach.on_bridge(instance) else None
    return [way.host, way.port]


class Door:
    """`values` are those of machine.json, `last` those of report.json. Never blocks."""

    def __init__(
        self,
        values: dict[str, Any],
        last: dict[str, Any] | None,
        knock: Callable[[Way], Knock] = Knock,
    ) -> None:
        self._where, self._make = _understood(values.get("way")), knock
        self._knock: Knock | None = None
        self.last = _of_this_start(values, last)
        """What a supervisor before this one has written down, and may have been killed before it told it."""
        looked = self.last is not None and self.last.reachable is not None
        self._report = self.last if looked else None
        self._since = self.last.ready_since or self.last.received if self.last and self.last.ready else None
        self._answered = self._report is not None and self._report.reachable is True

    def seen(self, report: Report) -> Report:
        """What came from the guest, with what we know of it."""
        if report.ready:
            self._since = self._since or report.received
        report = replace(report, ready_since=self._since)
        if self._where is None or not reach.to_be_looked_at(report):
            self._report = None
            self.close()
            return report
        self._report = replace(report, reachable=self._answered)
        return self._report

    def poll(self) -> Report | None:
        """The last report, once its machine has answered, and until it was `kept`."""
        if self._report is None:
            return None
        if not self._answered:
            self._answered = self._asked(self._way(self._report))
            self._since = datetime.now(UTC) if self._answered else self._since
        if not self._answered or self._report.reachable:
            return None
        return replace(self._report, reachable=True, received=datetime.now(UTC), ready_since=self._since)

    def kept(self, report: Report) -> None:
        """It is written down: nothing is left to be done in this start."""
        self._report = report
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._knock:
            self._knock.close()
            self._knock = None

    def _way(self, report: Report) -> Way | None:
        return self._where if isinstance(self._where, Way) else reach.reported(report.addresses)

    def _asked(self, way: Way | None) -> bool:
        if self._knock and self._knock.way != way:
            self.close()
        if self._knock is None and way is not None:
            self._knock = self._make(way)
        return self._knock is not None and self._knock.poll()


def _understood(recorded: Any) -> Way | str | None:
    """What stands in machine.json; None, nowhere, also when it makes no sense."""
    match recorded:
        case [str(host), int(port)] if 0 < port < 1 << 16:
            return Way(host, port)
        case _:
            return REPORTED if recorded == REPORTED else None


def _of_this_start(values: dict[str, Any], last: dict[str, Any] | None) -> Report | None:
    try:
        report = None if last is None else reports.from_record(last)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return report if report and report.nonce == values["nonce"] else None
