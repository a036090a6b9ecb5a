"""Why a machine is not put on another master, whatever is on its disk: one list, for who does it, before
anything is stopped, and for who only says what it would mean."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.errors import Blocked, NoSpace, SkinnyboxError
from skinnybox.fleet import encrypted, half_moved, half_restored, knowing, power, stacks, thrown, trials
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.specification import needed
from skinnybox.hosts.base import Host
from skinnybox.model import Allocation, ImageKind, Instance, Master, Stack
from skinnybox.sizes import format_size
from skinnybox.values import replace

if TYPE_CHECKING:
    from skinnybox.fleet.context import Context
    from skinnybox.fleet.rebase_plan import Moves
    from skinnybox.fleet.view import MachineView

WAY_BACK = "way back"
ROOM = "room"
_ONE = "there is one way back, and no more"


def refuse(context: "Context", machine: "MachineView", moves: "Moves", check: str | None) -> Stack:
    """The stack that it is to have. Blocked, Unsupported; Conflict while another command is at it. `check` is
    what it is to be told with the rebase. Whether there is room, refuse_room says."""
    _refuse_second(machine.instance)
    return _refuse_others(context, machine.instance, moves, check)


def told(context: "Context", machine: "MachineView", moves: "Moves", check: str | None) -> list[Decision]:
    """Both for a plan, which is of machines that are off. What stands in the way only until its user has
    decided or deleted something else is told beside all that would be done; the rest is raised."""
    if power.running(machine):
        refuse(context, machine, moves, check)
        power.refuse_running(machine, "rebase")
    _refuse_others(context, machine.instance, moves, check)
    found = []
    try:
        _refuse_second(machine.instance)
    except Blocked as error:
        kept = machine.instance.trial.kept if machine.instance.trial is not None else ""
        found.append(_line(WAY_BACK, kept, error))
    try:
        if not machine.broken_off:
            refuse_room(context.host, [machine.instance])
    except NoSpace as error:
        found.append(_line(ROOM, machine.name, error))
    return found


def refuse_room(host: Host, instances: Sequence[Instance]) -> None:
    """NoSpace where their reserved overlays do not fit once more: each is built beside the old one, which is
    the way back."""
    reserved = [each for each in instances if each.overlay.allocation is Allocation.RESERVED]
    need = needed(host, (instance.overlay for instance in reserved))
    if need and need > (free := host.space((), ()).free):
        whose = f"{reserved[0].name}: " if len(reserved) == 1 else f"{len(reserved)} machines: "
        raise NoSpace(
            f"{whose}what a rebase builds beside the old overlay is reserved, {format_size(need)}, and "
            f"{format_size(free)} are free",
            hint="`capacity` says what takes the room; `rebase --commit` gives up a way back, and `repair` "
            "removes what killed commands left",
        )


def checked(instance: Instance, check: str | None) -> Instance:
    """With a command that has to succeed in it, from its trial on; a new seed tells its guest."""
    if check in (None, instance.check):
        return instance
    generation = instance.seed.generation + 1
    return replace(instance, check=check, seed=replace(instance.seed, generation=generation))


def _refuse_second(instance: Instance) -> None:
    if instance.trial is None:
        return
    trials.refuse_open(instance, _ONE)
    raise Blocked(
        f"{instance.name} was rebased onto {instance.stack.reference}: what it was before is kept until "
        f"that is committed; {_ONE}",
        hint=f"`skinnybox rebase {instance.name} --commit` gives it up, `skinnybox rollback "
        f"{instance.name}` takes it",
    )


def _refuse_others(context: "Context", instance: Instance, moves: "Moves", check: str | None) -> Stack:
    context.catalog.refuse_busy(instance.uuid, instance.name, Doing.REBASE)
    half_moved.refuse(instance, "a rebase would change one of them")
    half_restored.refuse(instance, "a rebase would change one of them")
    thrown.refuse_kept(instance, "what a rebase builds")
    encrypted.refuse_reading(instance, "rebase")
    knowing.check(checked(instance, check), moves.new)
    _refuse_unmapped(instance, moves.new)
    moves.refuse_other_architecture(instance)
    above = moves.layers(instance, context.features)
    return stacks.stack(moves.new, instance.stack.dax, context.features, above)


def _refuse_unmapped(instance: Instance, new: Master) -> None:
    if instance.stack.dax and new.image_of(ImageKind.EROFS_PLAIN) is None:
        raise Blocked(
            f"{instance.name} maps its master, and {new.reference} has no image for that",
            hint="build or import it again with --dax",
        )


def _line(kind: str, name: str, error: SkinnyboxError) -> Decision:
    return Decision(
        subject=Subject.MACHINE,
        kind=kind,
        fate=Fate.ASK,
        name=name,
        detail=f"{error.message}: {error.hint}",
        standing=Standing.BLOCKED,
    )
