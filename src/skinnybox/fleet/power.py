"""Starting, waiting for and stopping machines, a few at a time."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from skinnybox.errors import Blocked, Cancelled, Conflict, GuestFailed, SkinnyboxError, TimedOut, Unsupported
from skinnybox.fleet import half_moved, half_restored, trials
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.patience import Patience
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.hosts.base import Host
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.values import dataclass, replace

POLL = 0.5
READY_TIMEOUT = 300.0
STOP_TIMEOUT = 90.0
"""Seconds, as patience.py takes them: usual ones, unless somebody names others."""
ASK_AGAIN = 10.0
"""Seconds after which a guest is asked again to power off, where a host's word may get lost."""

_UNREACHED = (
    "; where its network cannot be reached from here, `reach = false` in the settings file, or "
    "SKINNYBOX_REACH=false, takes the guest's word"
)

_UNREAD = (Condition.DAMAGED, Condition.UNREADABLE)
_OFF = (Condition.STOPPED, Condition.CRASHED, Condition.FAILED, *_UNREAD)
"""What can be started, or tried to: of what cannot be read, the host knows best whether it is needed."""
_HELD = (Condition.SUSPENDED, Condition.PAUSED)
"""Somebody halted it in the middle of its work: a start lets it go on."""

View = Callable[[], MachineView]
"""How to see one machine as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """How long the guest may take, in seconds, and whether the plug is pulled after that. None: the usual
    time (patience.py)."""

    timeout: float | None = None
    then_kill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """How machines come up: so many at once (None: as the settings say), waited for until they are ready
    for at most `timeout` seconds (None: the usual time, patience.py)."""

    parallel: int | None = None
    wait: bool = True
    timeout: float | None = None


def start(
    host: Host,
    machine: MachineView,
    master: Master,
    folder: Path,
    operation: Operation,
    *,
    trial: bool = False,
) -> None:
    """Power on. Idempotent on a machine that runs; refused while it is being created or deleted, and, but as
    its `trial`, before it is decided whether it stays on its master."""
    if machine.condition in (Condition.CREATING, Condition.DELETING):
        raise Conflict(f"{machine.name} is {machine.condition}")
    if machine.condition in _OFF and machine.status and machine.status.pid:
        raise Conflict(
            f"{machine.name} runs, but failed: {machine.reason}", hint="kill it, then start it again"
        )
    if machine.condition in _OFF:
        half_restored.refuse(machine.instance, "it does not start")
        half_moved.refuse(machine.instance, "it does not start here")
        if not trial:
            trials.refuse_open(machine.instance, "its start is its trial")
    if machine.condition in (*_OFF, *_HELD):
        host.start(machine.instance, master, folder, operation)


def wait_ready(host: Host, look: View, timeout: float | None, operation: Operation) -> MachineView:
    """Block until the guest says it is ready and was reached. GuestFailed when it fails or stops; `timeout`
    is seconds, None the usual time (patience.py)."""
    machine = look()
    patience = Patience(timeout, READY_TIMEOUT, partial(host.moving, machine.instance.uuid))
    while True:
        match machine.condition:
            case Condition.READY:
                return machine
            case condition if condition in (*_OFF, Condition.MISMATCH):
                raise GuestFailed(
                    f"{machine.name} is {machine.condition}"
                    + (f": {machine.reason}" if machine.reason else ""),
                    hint=f"`skinnybox console --log {machine.name}` shows what it printed",
                )
            case condition if condition in _HELD:
                hint = f"`skinnybox start {machine.name}` lets it go on"
                raise Conflict(f"{machine.name} is {machine.condition}, by somebody else", hint=hint)
            case Condition.DELETING:
                raise Conflict(f"{machine.name} is being deleted", hint="by another command")
        if operation.cancelled:
            when = f"when this was {operation.ending}"
            raise Cancelled(f"{machine.name} was not ready yet {when}; it keeps running")
        if patience.over():
            raise TimedOut(
                f"{machine.name} was not ready after {patience.waited:.0f} s; it keeps running"
                f"{_why(machine)}{_slowed(host, machine)}",
                hint=f"`skinnybox console --log {machine.name}` shows how far it came"
                + (_UNREACHED if machine.unreached else f", `skinnybox wait {machine.name}` goes on waiting"),
            )
        host.wait_change(POLL)
        machine = look()


def stop(host: Host, look: View, how: Stopping, operation: Operation) -> None:
    """Ask the guest to power off and wait. TimedOut when it does not, unless told to pull the plug then."""
    machine = look()
    if machine.condition in _HELD:
        _stop_held(host, machine, how)
        return
    if not running(machine):
        return
    host.shutdown(machine.instance)
    patience = Patience(how.timeout, STOP_TIMEOUT, partial(host.moving, machine.instance.uuid))
    again = time.monotonic() + ASK_AGAIN
    while running(machine := look()):
        if operation.cancelled:
            raise Cancelled(f"{machine.name} was asked to power off, and may still do so")
        if time.monotonic() > again and host.features.presses_a_button:
            host.shutdown(machine.instance)
            again = time.monotonic() + ASK_AGAIN
        if patience.over():
            if not how.then_kill:
                raise TimedOut(
                    f"{machine.name} did not power off within {patience.waited:.0f} s; it may still do so"
                    f"{_stalled(machine)}{_slowed(host, machine)}",
                    hint=f"wait longer, or pull the plug: skinnybox kill {machine.name}",
                )
            host.power_off(machine.instance)
            return
        try:
            host.wait_change(POLL)
        except SkinnyboxError as error:
            _unheard(host, look, how, error)
            return


def _unheard(host: Host, look: View, how: Stopping, error: SkinnyboxError) -> None:
    """The host knows by now that the guest cannot be asked. Raises that, unless it went off all the same."""
    machine = look()
    if not running(machine):
        return
    if not how.then_kill or not isinstance(error, Unsupported | TimedOut):
        raise error
    host.power_off(machine.instance)


def not_restarted(outcome: Outcome[MachineView]) -> Outcome[MachineView]:
    """A guest that was asked to power off may do so later, when nobody is there any more to start it."""
    if not isinstance(outcome.error, TimedOut | Cancelled):
        return outcome
    error = type(outcome.error)(
        f"{outcome.error.message}; nobody starts it then",
        hint=f"`skinnybox start {outcome.name}` once it is off; `restart --kill` pulls the plug when the "
        "time is over",
    )
    return replace(outcome, error=error)


def _stop_held(host: Host, machine: MachineView, how: Stopping) -> None:
    """What it holds in memory and has not written is lost with a power-off: so only who says so does it."""
    if not how.then_kill:
        raise Conflict(
            f"{machine.name} is {machine.condition}: its guest cannot be asked to power off",
            hint=f"`skinnybox start {machine.name}` lets it go on; skinnybox kill pulls the plug",
        )
    host.power_off(machine.instance)


def _why(machine: MachineView) -> str:
    why = machine.unreached or (f"not ready: {machine.not_ready}" if machine.not_ready else None)
    return _stalled(machine) or (f": {why}" if why else "")


def _slowed(host: Host, machine: MachineView) -> str:
    """A limit that passed on a busy host says little about the guest."""
    slowed = host.slowed(machine.instance.uuid)
    return f"; {slowed}" if slowed else ""


def _stalled(machine: MachineView) -> str:
    return f": {machine.reason}" if machine.condition is Condition.STALLED else ""


def kill(host: Host, machine: MachineView) -> None:
    host.power_off(machine.instance)


def refuse_running(machine: MachineView, what: str) -> None:
    if running(machine):
        raise Blocked(
            f"{machine.name} is {machine.condition}: {what} needs it stopped",
            hint=f"skinnybox stop {machine.name}",
        )


def running(machine: MachineView) -> bool:
    """Whether its virtual hardware is on, whatever the guest does."""
    return machine.status is not None and machine.status.pid is not None
