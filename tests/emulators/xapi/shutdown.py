"""The other power calls: shutdown and reboot, clean and hard, pause, suspend."""

from tests.emulators.xapi import lifecycle, placement, power
from tests.emulators.xapi.context import Call, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.machine import Machine


@implements("VM.clean_shutdown")
def clean_shutdown(call: Call, vm: str) -> None:
    """By ACPI; waits until the guest is off."""
    lifecycle.check(call.xapi, vm, "clean_shutdown")
    with call.operation("VM", vm, "clean_shutdown"):
        _ask_off(call, vm)
    lifecycle.refresh(call.xapi, vm)


@implements("VM.shutdown")
def shutdown(call: Call, vm: str) -> None:
    """Clean, and hard when that fails."""
    lifecycle.check(call.xapi, vm, "shutdown")
    with call.operation("VM", vm, "shutdown"):
        try:
            _ask_off(call, vm)
        except Failure:
            _pull(call, vm)
    lifecycle.refresh(call.xapi, vm)


@implements("VM.hard_shutdown")
def hard_shutdown(call: Call, vm: str) -> None:
    lifecycle.check(call.xapi, vm, "hard_shutdown")
    with call.operation("VM", vm, "hard_shutdown"):
        _pull(call, vm)
    lifecycle.refresh(call.xapi, vm)


@implements("VM.power_state_reset")
def power_state_reset(call: Call, vm: str) -> None:
    if vm in call.xapi.machines:
        raise Failure("DOMAIN_EXISTS", vm)
    power.halted(call.xapi, vm)


@implements("VM.clean_reboot")
def clean_reboot(call: Call, vm: str) -> None:
    lifecycle.check(call.xapi, vm, "clean_reboot")
    with call.operation("VM", vm, "clean_reboot"):
        _ask_off(call, vm, then_again=True)
    lifecycle.refresh(call.xapi, vm, devices=True)


@implements("VM.hard_reboot")
def hard_reboot(call: Call, vm: str) -> None:
    lifecycle.check(call.xapi, vm, "hard_reboot")
    with call.operation("VM", vm, "hard_reboot"):
        _kill(call, vm)
        power.again(call.xapi, vm)
    lifecycle.refresh(call.xapi, vm, devices=True)


def _ask_off(call: Call, vm: str, *, then_again: bool = False) -> None:
    """Failure VM_SHUTDOWN_TIMEOUT leaves it running."""
    machine: Machine | None = call.xapi.machines.get(vm)
    if machine is not None:
        machine.claimed = True
        machine.tell("system_powerdown")
        seconds = call.xapi.options.shutdown_timeout
        if not call.xapi.wait(lambda: machine.ended, seconds):
            machine.claimed = False
            raise Failure("VM_SHUTDOWN_TIMEOUT", vm, seconds)
        call.xapi.machines.pop(vm, None)
    if then_again:
        power.again(call.xapi, vm)
    else:
        power.halted(call.xapi, vm)


def _pull(call: Call, vm: str) -> None:
    _kill(call, vm)
    power.halted(call.xapi, vm)


def _kill(call: Call, vm: str) -> None:
    """Take the machine from its thread, which then leaves the records to us, and wait for its end."""
    machine: Machine | None = call.xapi.machines.pop(vm, None)
    if machine is not None:
        machine.kill()
        with call.xapi.unlocked():
            machine.join()


@implements("VM.pause")
def pause(call: Call, vm: str) -> None:
    _hold(call, vm, "pause", "Paused", "stop")


@implements("VM.unpause")
def unpause(call: Call, vm: str) -> None:
    _hold(call, vm, "unpause", "Running", "cont")


def _hold(call: Call, vm: str, operation: str, state: str, command: str) -> None:
    lifecycle.check(call.xapi, vm, operation)
    with call.operation("VM", vm, operation):
        if vm in call.xapi.machines:
            call.xapi.machines[vm].tell(command)
        call.database.set("VM", vm, "power_state", state)
    lifecycle.refresh(call.xapi, vm, devices=True)


@implements("VM.suspend")
def suspend(call: Call, vm: str) -> None:
    """Only its records: no memory image is kept, so nothing that really boots can be suspended."""
    lifecycle.check(call.xapi, vm, "suspend")
    if vm in call.xapi.machines:
        raise Failure("NOT_IMPLEMENTED", "VM.suspend of a machine that the emulator really boots")
    with call.operation("VM", vm, "suspend"):
        call.database.update("VM", vm, power_state="Suspended", resident_on="OpaqueRef:NULL", domid=-1)
    lifecycle.refresh(call.xapi, vm, devices=True)


@implements("VM.resume")
def resume(call: Call, vm: str, paused: bool, force: bool) -> None:
    lifecycle.check(call.xapi, vm, "resume")
    host = placement.choose(call.xapi, vm)
    with call.operation("VM", vm, "resume"):
        state = "Paused" if paused else "Running"
        domain = max([each["domid"] for _, each in call.database.where("VM")], default=0) + 1
        call.database.update("VM", vm, power_state=state, resident_on=host, domid=domain)
    lifecycle.refresh(call.xapi, vm, devices=True)
