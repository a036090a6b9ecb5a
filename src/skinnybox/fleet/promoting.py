"""A new master of what a machine has: its stack and its own, without what makes it that one machine.

Of a stopped machine. A master is shared by every machine that is made from it, for years: were it made of a
running one, a database or a package half written would be in all of them. So that is refused, unless somebody
says that it is to be of one point in time, as a power cut would leave it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skinnybox.delta.content import of_overlay
from skinnybox.delta.promote import promoted
from skinnybox.delta.promote.whose import Whose, encode
from skinnybox.delta.seed_marks import expected, hostnames
from skinnybox.errors import Blocked, UsageError
from skinnybox.fleet import encrypted, half_restored, power, stack_files, thrown, trials
from skinnybox.fleet.context import Context
from skinnybox.fleet.making import Promote, PromoteLayer
from skinnybox.fleet.scratch_copy import copied
from skinnybox.fleet.view import MachineView
from skinnybox.model import DiskKind, Layer, Master, parse_reference
from skinnybox.model.drop import path_of
from skinnybox.model.promotion import LeftOut, Promotion
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import read_base
from skinnybox.overlays.journal import replayed
from skinnybox.printable import printable_path

_WHAT = "promote"
_TOLD = 5
_APPLIED = b"var/lib/skinnybox/seed-applied"


def promote(
    context: Context,
    machine: MachineView,
    reference: str,
    operation: Operation,
    *,
    keep: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    live: bool = False,
) -> Master:
    """Seal it as `reference`, a NAME or NAME:VERSION. The machine stays as it is. Idempotent: the same disk
    gives the same content. Blocked while it runs, unless `live`; Conflict for a version that is taken."""
    refuse(machine, live=live)
    parse_reference(reference)
    whose = _whose(machine, keep, leave_out)
    context.masters.bootable(machine.instance.stack)
    with _overlay(context, machine, operation) as overlay:
        _refuse_others(machine, overlay)
        _refuse_unapplied(machine, overlay)
        order = Promote(
            overlay=overlay.absolute(), stack=machine.instance.stack, whose=encode(whose).decode(),
            reference=reference,
        )  # fmt: skip
        return context.masters.make(order, operation)


def as_layer(
    context: Context,
    machine: MachineView,
    reference: str,
    operation: Operation,
    *,
    paths: Sequence[str] = (),
    keep: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    live: bool = False,
) -> Layer:
    """Seal what is its own alone, at `paths` or anywhere, as a layer for its master. What no layer may hold
    is left out, and Unsupported at one of the paths; NotFound for one at which it has nothing. Else as
    `promote`."""
    refuse(machine, live=live)
    parse_reference(reference, "a layer")
    whose = _whose(machine, keep, leave_out, paths)
    stack = machine.instance.stack
    context.masters.bootable(stack)
    with _overlay(context, machine, operation) as overlay:
        _refuse_others(machine, overlay)
        _refuse_unapplied(machine, overlay)
        order = PromoteLayer(
            machine=machine.name, overlay=overlay.absolute(), stack=stack, whose=encode(whose).decode(),
            reference=reference,
        )  # fmt: skip
        return context.layers.make(order, operation)


def would(
    context: Context,
    machine: MachineView,
    operation: Operation,
    *,
    as_layer: bool = False,
    paths: Sequence[str] = (),
    keep: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    live: bool = False,
) -> Promotion:
    """What `promote`, or `as_layer`, would make it of. Raises as that; nothing is made."""
    refuse(machine, live=live)
    if paths and not as_layer:
        raise UsageError("paths are chosen for a layer", hint="--as-layer, or --leave-out what is not wanted")
    whose = _whose(machine, keep, leave_out, paths)
    with _overlay(context, machine, operation) as overlay:
        _refuse_unapplied(machine, overlay)
        found = _all_left_out(context, machine, overlay, whose, as_layer=as_layer)
    instance = machine.instance
    return Promotion(
        follows=context.masters.by_id(instance.stack.master).reference,
        layers=() if as_layer else instance.stack.layers,
        left_out=tuple(sorted(found, key=lambda each: (each.reason, each.path, each.part))),
        data=instance.data.folders if instance.data is not None else (),
        live=power.running(machine),
    )


def refuse(machine: MachineView, *, live: bool) -> None:
    """Blocked while it runs, unless `live`, and on trial; Unsupported for a disk that is not read."""
    instance = machine.instance
    if power.running(machine) and not live:
        raise Blocked(
            f"{machine.name} is {machine.condition}: a master of it would have what is half written just now",
            hint=f"skinnybox stop {machine.name}; --live makes it of one point in time, as a power cut would",
        )
    half_restored.refuse(instance, "a master would be made of one of them")
    thrown.refuse_in_memory(instance, _WHAT)
    encrypted.refuse_reading(instance, _WHAT)
    trials.refuse_open(instance, "a master would be made of what is only tried")


def _whose(
    machine: MachineView, keep: Sequence[str], leave_out: Sequence[str], paths: Sequence[str] = ()
) -> Whose:
    instance = machine.instance
    seed = instance.seed
    return Whose(
        names=frozenset(name.encode() for name in hostnames(instance)),
        passwords={
            user.name.encode(): user.password_hash.encode() for user in seed.users if user.password_hash
        },
        files=frozenset(file.path.strip("/").encode("utf-8", "surrogateescape") for file in seed.files),
        expected=expected(instance, machine.host_keys),
        keep=tuple(map(path_of, keep)),
        leave_out=tuple(map(path_of, leave_out)),
        paths=tuple(map(path_of, paths)),
    )


def _all_left_out(
    context: Context, machine: MachineView, overlay: Path, whose: Whose, *, as_layer: bool
) -> list[LeftOut]:
    """UsageError where nothing else is there, which says what that is."""
    found = list[LeftOut]()
    try:
        for each in _left_out(context, machine, overlay, whose, as_layer=as_layer):
            found.append(each)
    except UsageError as error:
        if found:
            places = ", ".join(f"/{printable_path(each.path)} ({each.reason})" for each in found[:_TOLD])
            more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
            error.hint = f"{error.hint}; left out: {places}{more}"
        raise
    return found


@contextmanager
def _overlay(context: Context, machine: MachineView, operation: Operation) -> Iterator[Path]:
    """Its disk, which nobody writes to meanwhile; of one that runs a copy."""
    with ExitStack() as held:
        if power.running(machine):
            yield held.enter_context(
                copied(context.host, machine, DiskKind.OVERLAY, context.folder, operation)
            )
            return
        overlay = held.enter_context(context.host.open_overlay(machine.instance, operation))
        yield held.enter_context(replayed(overlay))


def _left_out(
    context: Context, machine: MachineView, overlay: Path, whose: Whose, *, as_layer: bool
) -> Iterator[LeftOut]:
    from skinnybox.delta.promote.streaming import LAYER, MASTER

    form = LAYER if as_layer else MASTER
    stack = machine.instance.stack
    source = context.masters.by_id(stack.master)
    with (
        stack_files.opened(context.folder, source, stack) as files,
        promoted.listed(overlay, files, whose, stack.images, form, subject=machine.name) as found,
    ):
        yield from found


def _refuse_others(machine: MachineView, overlay: Path) -> None:
    """Blocked for a disk that says it belongs to other images: what differs from others says nothing."""
    told = [line.value.partition(" ")[0] for line in read_base(overlay).lines if line.key == "image"]
    if told != list(machine.instance.stack.images):
        raise Blocked(
            f"the disk of {machine.name} says that it belongs to other images than its record",
            hint="`skinnybox repair --dry-run` says what is known of it",
        )


def _refuse_unapplied(machine: MachineView, overlay: Path) -> None:
    """Blocked where an earlier seed is in force still: nobody knows what passwords and files it brought."""
    found = of_overlay(overlay, _APPLIED, 64)
    said = found.data.split(b" ")[0] if found is not None else b""
    if said.isdigit() and int(said) < machine.instance.seed.generation:
        raise Blocked(
            f"{machine.name} has not been started since its seed was changed: what the one before brought "
            "could not be told from what was typed",
            hint=f"skinnybox start {machine.name}, and stop it again",
        )
