"""What a user is shown of a machine: what was asked for, what the host sees, what the guest says."""

from enum import StrEnum

from skinnybox.fleet import half_moved, half_restored
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.trial_words import told as trial_told
from skinnybox.hosts.reach import SSH_PORT, Way, way_in
from skinnybox.model import Instance, Power, Report, Status, Trouble, image_uuid
from skinnybox.values import dataclass


class Condition(StrEnum):
    CREATING = "creating"
    DELETING = "deleting"
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    MISMATCH = "mismatch"
    CRASHED = "crashed"
    STALLED = "stalled"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


_STILL = {
    Power.STALLED: Condition.STALLED,
    Power.SUSPENDED: Condition.SUSPENDED,
    Power.PAUSED: Condition.PAUSED,
}
"""Whatever its guest said before: it does nothing now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """`written` is what its overlay really takes on the host, in bytes; `host_keys` are pinned, public;
    `work` is what a command does to it just now, or was killed at; `trouble` is why something of it cannot
    be read there; `broken_off`: who put it on another master, or back, was killed over it."""

    instance: Instance
    phase: Phase
    status: Status | None = None
    report: Report | None = None
    written: int | None = None
    host_keys: tuple[str, ...] = ()
    work: str | None = None
    trouble: Trouble | None = None
    broken_off: bool = False

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def condition(self) -> Condition:
        if self.phase is Phase.CREATING:
            return Condition.CREATING
        if self.phase is Phase.DELETING:
            return Condition.DELETING
        if self.trouble is not None and (self.status is None or self.status.pid is None):
            return Condition.UNREADABLE if self.trouble.unreadable else Condition.DAMAGED
        if self.status is None or self.status.power is Power.STOPPED:
            return Condition.STOPPED
        if self.status.power is Power.CRASHED:
            return Condition.FAILED if self.reported_failure else Condition.CRASHED
        if self.status.power in _STILL:
            return _STILL[self.status.power]
        if self.current_report is None:
            return Condition.STARTING
        if not self.current_report.ready:
            return Condition.STARTING if self.current_report.checking else Condition.FAILED
        if self.mismatch:
            return Condition.MISMATCH
        return Condition.STARTING if self.unreached else Condition.READY

    @property
    def unreached(self) -> str | None:
        """What is still missing when its guest says it is ready, and its host could not reach it yet."""
        report = self.current_report
        if report is None or not report.ready or report.reachable is not False:
            return None
        if self.reach is None:
            return "its guest is ready, but has no address yet at which to reach it"
        return f"its guest is ready, but nothing answers as ssh at {self.reach} yet"

    @property
    def current_report(self) -> Report | None:
        """The report of this very start; one of an earlier start says nothing about now."""
        if self.report is None or self.status is None or self.report.nonce != self.status.nonce:
            return None
        return self.report

    @property
    def reported_failure(self) -> bool:
        report = self.current_report
        return report is not None and not report.ready and not report.checking

    @property
    def not_ready(self) -> str | None:
        """Why a guest that is up says that it is not ready yet."""
        report = self.current_report
        return (report.reason or "its guest checks itself") if report and report.checking else None

    @property
    def mismatch(self) -> str | None:
        """How what the guest booted differs from what was asked for; None when it does not."""
        report = self.current_report
        if report is None or not report.ready:
            return None
        asked = tuple(image_uuid(digest) for digest in self.instance.stack.images)
        if report.images != asked:
            booted = ", ".join(map(str, report.images)) or "nothing"
            return f"booted {booted} instead of {', '.join(map(str, asked))}"
        if bool(report.dax) != self.instance.stack.dax:
            if self.instance.stack.dax:
                return "it should map its master (DAX), and its kernel reads it as a disk"
            return "it maps its master (DAX), and should read it as a disk"
        wanted = self.instance.seed.generation
        # A newer one than recorded is what a reset leaves that was killed before it could write that down.
        if report.seed_generation is None or report.seed_generation < wanted:
            return f"applied seed {report.seed_generation} instead of {wanted}"
        return None

    @property
    def reason(self) -> str | None:
        """Why it is not simply well."""
        if self.trouble is not None and self.condition in (Condition.DAMAGED, Condition.UNREADABLE):
            return self.trouble.why
        if self.reported_failure and self.current_report:
            return self.current_report.reason
        if self.instance.half_restored is not None:
            return half_restored.told(self.instance)
        if self.instance.moving is not None:
            return half_moved.told(self.instance)
        if self.status is not None and self.status.power in (Power.CRASHED, *_STILL):
            return self.status.reason
        found = (self.mismatch, self._trouble, self.unreached, self.not_ready, self._full)
        also = (self._failed_units, self._inactive_units, self._noted, self.work)
        return next(filter(None, (*found, *also)), None)

    @property
    def _noted(self) -> str | None:
        """What a guest that is ready says nevertheless."""
        report = self.current_report
        return report.reason if report is not None and report.ready else None

    @property
    def _trouble(self) -> str | None:
        """Of one that is made or deleted just now, what is not there says nothing."""
        return self.trouble.why if self.trouble and self.phase is Phase.DEFINED else None

    @property
    def failed_units(self) -> tuple[str, ...]:
        """What the init of a machine that is ready could not start, or what ended badly since, by the guest's
        last word."""
        report = self.current_report
        return report.failed_units if report and report.ready else ()

    @property
    def _failed_units(self) -> str | None:
        return f"failed units: {', '.join(self.failed_units)}" if self.failed_units else None

    @property
    def inactive_units(self) -> tuple[str, ...]:
        """Of a machine that was rebased: what ran in it before and does not now, by the guest's last word."""
        report = self.current_report
        return report.inactive_units if report else ()

    @property
    def _inactive_units(self) -> str | None:
        units = ", ".join(self.inactive_units)
        return f"not active since its rebase: {units}" if units else None

    @property
    def told(self) -> str:
        """Its condition in the few words of a table, and whether it is to be decided if it stays on its
        master."""
        trial = trial_told(self.instance)
        return self._condition_told if trial is None else f"{self._condition_told}, {trial}"

    @property
    def _condition_told(self) -> str:
        match self.condition:
            case (Condition.DAMAGED | Condition.UNREADABLE) as condition if self.trouble:
                return f"{condition}: {self.trouble.brief}"
            case Condition.READY if self.failed_units:
                count = len(self.failed_units)
                return f"ready, {count} failed unit{'s' if count > 1 else ''}"
            case Condition.STOPPED if self.instance.half_restored is not None:
                return "stopped, half restored"
            case Condition.STOPPED if self.instance.moving is not None:
                return "stopped, half moved"
            case condition:
                return str(condition)

    @property
    def _full(self) -> str | None:
        if self.full:
            return "its overlay is full"
        report = self.current_report
        return "its data disk is full" if report and _is_full(report.data_size, report.data_free) else None

    @property
    def full(self) -> bool:
        """Whether the guest has less than 2 % of its overlay left."""
        report = self.current_report
        return report is not None and _is_full(report.overlay_size, report.overlay_free)

    @property
    def address(self) -> str | None:
        """How to reach it by ssh, as `USER@HOST:PORT`; without a port, it is ssh's own."""
        way = self.reach
        if way is None:
            return None
        return f"{self.instance.ssh_user}@{way.host}" + (f":{way.port}" if way.port != SSH_PORT else "")

    @property
    def reach(self) -> Way | None:
        """Where its ssh is."""
        return way_in(self.instance, self.current_report)

    @property
    def boot_seconds(self) -> float | None:
        """From power-on until it was ready for the first time; what it reports later changes nothing."""
        report, status = self.current_report, self.status
        since = report and report.ready and (report.ready_since or report.received)
        if not (since and status and status.since and status.pid) or self.unreached:
            return None
        return (since - status.since).total_seconds()


def _is_full(size: int | None, free: int | None) -> bool:
    return size is not None and free is not None and free * 50 < size
