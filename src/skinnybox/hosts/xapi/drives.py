"""What others did to machines' drives: disks deleted or detached, and shared ones that somebody may write.

A pool lets every client do that, whatever is blocked on our machines: delete a disk by itself, take a drive
off a machine, attach a master's or a layer's disk to another one. So it is looked for and told; what is only
detached is attached again by `repair`, and by the next start.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.xapi import create, others, shared, tags
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.issues import Check, Deed, Finding
from skinnybox.model import Instance, Trouble

_SHOWN = 5
_BY_START = "its next start, or `skinnybox repair`, attaches it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing a machine lacks. `attachable`: it is there, and only has to be attached."""

    brief: str
    why: str
    attachable: bool = False


_NO_MACHINE = Lack(
    brief="no machine",
    why="somebody deleted it in the pool: its next start, or `skinnybox repair`, makes it again",
)
_NO_OVERLAY = Lack(
    brief="no overlay",
    why="its overlay is gone, somebody deleted it in the pool: what it had of its own is lost",
)
_NO_DATA = Lack(
    brief="no data disk",
    why="its data disk is gone, somebody deleted it in the pool: it does not start without it, and nobody"
    " makes another; a snapshot that has it puts it back (--with-data)",
)
_DATA_OFF = Lack(brief="data disk detached", why=f"its data disk is detached: {_BY_START}", attachable=True)
_NO_MASTER = Lack(
    brief="no master",
    why="its master is gone, somebody deleted it in the pool: its next start uploads it again",
)
_OVERLAY_OFF = Lack(brief="overlay detached", why=f"its overlay is detached: {_BY_START}", attachable=True)
_MASTER_OFF = Lack(brief="master detached", why=f"its master is detached: {_BY_START}", attachable=True)


def troubles(pool: Pool, instances: Iterable[Instance]) -> dict[UUID, Trouble]:
    """Of those that lack anything, as of the last look."""
    found = _lacking(pool, instances)
    return {
        uuid: Trouble(brief=lacks[0].brief, why="; ".join(lack.why for lack in lacks))
        for uuid, lacks in found.items()
    }


def _lacking(pool: Pool, instances: Iterable[Instance]) -> dict[UUID, list[Lack]]:
    ours, overlays, by_digest = pool.ours(), pool.overlays(), _shared(pool)
    of_data = pool.data_disks()
    found = {}
    for instance in instances:
        machine, overlay = ours.get(instance.uuid), overlays.get(instance.uuid)
        lacks = [_NO_MACHINE] if machine is None and overlay is not None else []
        if overlay is None or overlay[1]["missing"]:
            lacks.append(_NO_OVERLAY)
        if machine is not None:
            lacks += _drives_of(machine[1], overlay, by_digest.get(instance.stack.images[0], ()))
            lacks += _layers_of(machine[1], instance, by_digest)
        if instance.data is not None:
            lacks += _data_of(machine, of_data.get(instance.uuid))
        if lacks:
            found[instance.uuid] = lacks
    return found


def _data_of(machine: Found | None, data: Found | None) -> list[Lack]:
    if data is None or data[1]["missing"]:
        return [_NO_DATA]
    return [_DATA_OFF] if machine and set(machine[1]["VBDs"]).isdisjoint(data[1]["VBDs"]) else []


def _shared(pool: Pool) -> dict[str, list[Record]]:
    """All disks of each master and layer, by digest; the one look at all disks serves all machines."""
    found: dict[str, list[Record]] = {}
    for _, record in pool.things.all("VDI"):
        digest = tags.digest_of(record)
        if digest is not None and shared.is_one(record) and not record["missing"]:
            found.setdefault(digest, []).append(record)
    return found


def _layers_of(
    machine: Record, instance: Instance, by_digest: Mapping[str, Sequence[Record]]
) -> Iterator[Lack]:
    attached, stack = set(machine["VBDs"]), instance.stack
    for reference, digest in zip(stack.layers, stack.images[1:], strict=False):
        disks = by_digest.get(digest, ())
        if not disks:
            why = f"its layer {reference} is gone, somebody deleted it in the pool: its next start uploads it"
            yield Lack(brief="no layer", why=f"{why} again")
        elif all(attached.isdisjoint(each["VBDs"]) for each in disks):
            why = f"its layer {reference} is detached: {_BY_START}"
            yield Lack(brief="layer detached", why=why, attachable=True)


def _drives_of(machine: Record, overlay: Found | None, masters: Sequence[Record]) -> list[Lack]:
    attached = set(machine["VBDs"])
    lacks = []
    if overlay is not None and not overlay[1]["missing"] and attached.isdisjoint(overlay[1]["VBDs"]):
        lacks.append(_OVERLAY_OFF)
    if all(attached.isdisjoint(each["VBDs"]) for each in masters):
        lacks.append(_MASTER_OFF if masters else _NO_MASTER)
    return lacks


def check(pool: Pool) -> Check:
    """One line of `doctor` for all machines of this state folder, as of the last look."""
    known = [instance for _, record in pool.ours().values() if (instance := tags.readable_instance(record))]
    names = {instance.uuid: instance.name for instance in known}
    found = _lacking(pool, known)
    if not found:
        detail = "every machine has its master, its layers and its overlay"
        return Check(name="drives", status="ok", detail=detail)
    said = [f"{names[uuid]} ({', '.join(lack.brief for lack in lacks)})" for uuid, lacks in found.items()]
    more = ", ..." if len(said) > _SHOWN else ""
    detail = f"{len(said)} machine{'s' * (len(said) != 1)} without: {', '.join(sorted(said)[:_SHOWN])}{more}"
    hint = "`skinnybox show` says more; `skinnybox repair` attaches what is only detached"
    return Check(name="drives", status="fail", detail=detail, hint=hint)


def findings(pool: Pool, known: Collection[UUID]) -> Iterator[Finding]:
    """For repair, of machines that somebody has, as of the last look. That there is no machine or no disk of
    its own, the holdings tell."""
    ours, overlays = pool.ours(), pool.overlays()
    records = {uuid: tags.readable_instance(ours[uuid][1]) for uuid in known if uuid in ours}
    instances = {uuid: instance for uuid, instance in records.items() if instance is not None}
    for uuid, lacks in sorted(_lacking(pool, instances.values()).items()):
        place = Path("pool", "VM", ours[uuid][1]["uuid"])
        for lack in lacks:
            if lack is _NO_DATA or (lack is _NO_OVERLAY and uuid not in overlays):
                continue
            off = lack.attachable and ours[uuid][1]["power_state"] == "Halted"
            act = partial(_attach, pool, instances[uuid]) if off else None
            deed = Deed.ATTACH if off else Deed.KEEP
            yield Finding(path=place, what=f"{instances[uuid].name}: {lack.why}", deed=deed, act=act)


def _attach(pool: Pool, instance: Instance) -> None:
    """Looks once more. Conflict when it runs by now, or a command works on its overlay."""
    with pool.exclusive_disks(instance):
        pool.refuse_running(instance)
        create.attach(pool, instance)
        pool.things.refresh()
        left = _lacking(pool, [instance]).get(instance.uuid)
        if left:
            raise SkinnyboxError(f"{instance.name}: {left[0].why}", hint=f"skinnybox start {instance.name}")


def check_writers(pool: Pool) -> Iterator[Check]:
    """The same for `doctor`, of every master and layer in the pool, which may be other state folders' as
    well."""
    for each in pool.things.all("VDI"):
        if tags.digest_of(each[1]) and not each[1]["is_a_snapshot"]:
            try:
                others.refuse_writers(pool, [each])
            except SkinnyboxError as error:
                yield Check(name="masters", status="fail", detail=error.message, hint=error.hint)
