"""What the catalog should hold, judged from what lies on the host: the records there are the truth.

Nothing is changed here. A machine is taken as its record says; a place without a record is explained; two
that claim one name or one identity are never both taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox import private
from skinnybox.fleet import half_moved, half_restored, trial_left
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.catalog.rows import Phase, RawRow
from skinnybox.fleet.repair.rebuilt import Known, Rebuilt
from skinnybox.hosts.holding import Holding
from skinnybox.issues import Deed
from skinnybox.model import DiskKind, Instance
from skinnybox.sizes import format_size


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taker:
    """A machine that lies there, with the sizes of its disks; `row` is what is remembered of it."""

    place: Path
    sizes: Mapping[DiskKind, int | None]
    instance: Instance
    row: RawRow | None

    @property
    def claim(self) -> tuple[bool, float, str]:
        """Who is remembered under its name comes first, then who is older."""
        remembered = self.row is not None and self.row.name == self.instance.name
        return not remembered, self.instance.created.timestamp(), str(self.instance.uuid)


def rebuild(holdings: Iterable[Holding], remains: Sequence[RawRow], known: Known) -> Rebuilt:
    """`remains` are the rows of the catalog there is; none when it is lost."""
    out = Rebuilt()
    rows = {row.uuid: row for row in remains}
    seen = list(holdings)
    unread = {str(holding.uuid) for holding in seen if holding.unread}
    takers = [_judged(holding, rows.pop(str(holding.uuid), None), known, out) for holding in seen]
    lost = {row.uuid for row in rows.values() if not _is_unfinished(row)}
    out.refused = None if known.forget else _too_many(len(lost), remains, known)
    for row in rows.values():
        _without_place(row, known, out)
    kept = unread | (lost if out.refused else set())
    untouched = [row for row in remains if _is_unfinished(row) or row.uuid in kept]
    named = _with_names([taker for taker in takers if taker], {row.name for row in untouched}, out)
    for taker in _with_ports(named, untouched, known, out):
        _remember(taker, known, out)
    return out


def _is_unfinished(row: RawRow) -> bool:
    return row.is_held or row.phase != Phase.DEFINED


def _judged(holding: Holding, row: RawRow | None, known: Known, out: Rebuilt) -> _Taker | None:
    """The machine that lies there, if it is one; else what it is has been said."""
    instance = holding.instance
    if row is not None and (_is_unfinished(row) or row.owner is not None):
        _say_unfinished(row, holding.place, out)
        if _is_unfinished(row):
            return None
    if holding.unread:
        name = f"{row.name} stays as it is: " if row is not None else ""
        out.say(holding.place, Deed.KEEP, f"{name}{holding.trouble}")
        return None
    if holding.later:
        out.say(holding.place, Deed.KEEP, f"{holding.trouble}; upgrade, and repair again")
        return None
    if instance is None:
        instance = _without_record(holding, row, known, out)
    elif instance.uuid != holding.uuid:
        what = f"holds the record of {instance.uuid}: a copied folder, and no machine of its own"
        out.say(holding.place, Deed.KEEP, what)
        return None
    if instance is None:
        return None
    instance = _settled(holding.place, instance, known, out)
    sizes = {DiskKind.OVERLAY: holding.overlay, DiskKind.DATA: holding.data}
    taker = _Taker(place=holding.place, sizes=sizes, instance=instance, row=row)
    for kind in DiskKind:
        taker = _sized(taker, kind, known, out)
    return taker


_END = {
    Phase.CREATING: "it is to be cleared away",
    Phase.DEFINED: "it is to be taken as its record on the host says",
    Phase.DELETING: "that is to be completed",
}


def _say_unfinished(row: RawRow, path: Path, out: Rebuilt) -> None:
    if row.is_held:
        number = (row.owner or "").split("/")[1]
        out.say(path, Deed.KEEP, f"{row.name} is being {row.doing} by process {number} just now")
    else:
        what = f"{row.name} was only half {row.doing} when that was interrupted"
        out.say(path, Deed.FINISH, f"{what}: {_END[Phase(row.phase)]}")


def _settled(place: Path, instance: Instance, known: Known, out: Rebuilt) -> Instance:
    """On the master that its overlay is of."""
    settled = known.settled(instance)
    if settled == instance:
        return instance
    what = f"{instance.name}: a rebase of it, or the way back, was interrupted; its overlay is of"
    return out.rewrite(place, settled, f"{what} {settled.stack.reference}, which its record is to say")


def _without_record(holding: Holding, row: RawRow | None, known: Known, out: Rebuilt) -> Instance | None:
    """The instance as it is remembered, when there is a disk for it."""
    if holding.trouble and holding.remove is None:
        out.say(holding.place / "instance.json", Deed.ASIDE, f"the record is {holding.trouble}")
    elif holding.trouble:
        out.say(holding.place, Deed.KEEP, holding.trouble)
    has_disk = holding.overlay is not None or holding.data is not None
    if row is not None and row.instance is not None and has_disk:
        return out.rewrite(holding.place, row.instance, f"the record of {row.name} comes from state.db")
    if row is not None:
        out.say(holding.place, Deed.FORGET, f"{row.name} is remembered, but can be read nowhere")
        out.gone.append(row.uuid)
    if holding.overlay is not None:
        _say_orphan(holding, known, out)
    elif holding.data is not None:
        what = f"a data disk of {format_size(holding.data)}, with neither overlay nor record"
        out.say(holding.place, Deed.KEEP, f"{what}: nobody can say whose")
    elif holding.trouble or holding.remove is not None or private.entries(holding.place):
        out.say(holding.place, Deed.KEEP, "the place of a machine, with neither overlay nor record")
    else:
        out.say(holding.place, Deed.REMOVE, "the empty place of a machine that is no more")
    return None


def _say_orphan(holding: Holding, known: Known, out: Rebuilt) -> None:
    data = "" if holding.data is None else f" and a data disk of {format_size(holding.data)}"
    what = f"an overlay of {format_size(holding.overlay or 0)}{data} without a record"
    if holding.used:
        out.say(holding.place, Deed.KEEP, f"{what}; it may be in the making: look again in an hour")
    elif known.in_use(holding.place / "overlay.img"):
        out.say(holding.place, Deed.KEEP, f"{what}; a process has it open")
    elif known.delete_orphans:
        out.say(holding.place, Deed.REMOVE, what, holding.remove)
    else:
        out.say(holding.place, Deed.KEEP, f"{what}: nobody can say whose; --delete-orphans removes it")


def _too_many(lost: int, remains: Sequence[RawRow], known: Known) -> str | None:
    """Machines go one by one. When most are gone at once it is more likely that the place where they are kept
    is: a disk that was not mounted. Forgotten, others would get their names and ports meanwhile."""
    there = sum(not _is_unfinished(row) for row in remains)
    if 2 * lost <= there:
        return None
    return f"nothing is there of {lost} of {there} machines, in {known.folder / 'instances'} or in the pool"


def _without_place(row: RawRow, known: Known, out: Rebuilt) -> None:
    path = known.folder / "instances" / row.uuid
    if _is_unfinished(row):
        _say_unfinished(row, path, out)
    elif out.refused:
        what = (
            f"{row.name} is remembered, but nothing of it is there; so many are only forgotten with --forget"
        )
        out.say(path, Deed.KEEP, what)
    else:
        out.say(path, Deed.FORGET, f"{row.name} is remembered, but nothing of it is there any more")
        out.gone.append(row.uuid)


_NAMED = {DiskKind.OVERLAY: "overlay", DiskKind.DATA: "data disk"}
_KEPT = "put it back from a snapshot that has it, or a backup"
_LOST = {
    DiskKind.OVERLAY: "put it back from a backup, or delete the machine",
    DiskKind.DATA: f"{_KEPT}; nobody makes another, which would only hide the loss",
}
_CUT_OFF = {DiskKind.OVERLAY: "put it back from a backup, or reset the machine", DiskKind.DATA: _KEPT}


def _sized(taker: _Taker, kind: DiskKind, known: Known, out: Rebuilt) -> _Taker:
    """The record follows a disk that has grown."""
    instance, size, file = taker.instance, taker.sizes[kind], taker.place / f"{kind}.img"
    has = instance.disks.get(kind)
    if has is None:
        if size is not None:
            out.findings.append(known.unknown_data(instance, size, file, taker.row))
        return taker
    if size is None:
        out.say(file, Deed.KEEP, f"{instance.name} has lost its {_NAMED[kind]}: {_LOST[kind]}")
    if size in (None, has.size):
        return taker
    said = f"{instance.name}: the {_NAMED[kind]} has {size} bytes, its record says {has.size}"
    if known.in_use(file):
        out.say(file, Deed.KEEP, f"{said}; somebody is at work on it: look again later")
    elif size is not None and size > has.size:
        return replace(taker, instance=out.rewrite(taker.place, instance.with_size(kind, size), said))
    else:
        out.say(file, Deed.KEEP, f"{said}: cut off; {_CUT_OFF[kind]}")
    return taker


def _with_names(takers: Iterable[_Taker], taken: set[str], out: Rebuilt) -> list[_Taker]:
    """One for each name."""
    kept = []
    for taker in sorted(takers, key=lambda taker: taker.claim):
        name = taker.instance.name
        if name not in taken:
            taken.add(name)
            kept.append(taker)
            continue
        what = f"a second machine named {name}, not taken: move its folder away, or delete the other one"
        out.say(taker.place, Deed.KEEP, what)
        out.rewritten.pop(taker.instance.uuid, None)
        if taker.row is not None:
            out.gone.append(taker.row.uuid)
    return kept


def _with_ports(
    takers: Sequence[_Taker], others: Iterable[RawRow], known: Known, out: Rebuilt
) -> list[_Taker]:
    """One for each ssh port: who runs keeps it, then who has the name by right."""
    used = {row.instance.ssh_port for row in others if row.instance}
    wanted = [taker.instance.ssh_port for taker in takers if taker.instance.ssh_port is not None]
    if len(set(wanted)) < len(wanted) or used & set(wanted):
        running = known.running()
        takers = sorted(takers, key=lambda taker: taker.instance.uuid not in running)
    spare = free_ports({port for port in (*wanted, *used) if port is not None}, known.folder)
    kept = []
    for taker in takers:
        port = taker.instance.ssh_port
        if port is not None and port in used:
            moved = replace(taker.instance, ssh_port=next(spare))
            what = f"{moved.name}: port {port} is another machine's; its own is {moved.ssh_port} from now on"
            taker = replace(taker, instance=out.rewrite(taker.place, moved, what))
        used.add(port)
        kept.append(taker)
    return kept


def _remember(taker: _Taker, known: Known, out: Rebuilt) -> None:
    instance, row = taker.instance, taker.row
    if instance.stack.master not in known.masters:
        what = f"{instance.name} cannot start without its master {instance.stack.reference}: bring that back"
        out.say(taker.place, Deed.KEEP, what)
    for reference, identity in zip(instance.stack.layers, instance.stack.layer_ids, strict=False):
        if identity not in known.layers:
            what = f"{instance.name} cannot start without its layer {reference}: bring that back"
            out.say(taker.place, Deed.KEEP, what)
    if instance.half_restored is not None:
        out.say(taker.place, Deed.KEEP, half_restored.explained(instance))
    if instance.moving is not None:
        out.say(taker.place, Deed.KEEP, half_moved.explained(instance))
    if trial_left.is_expired(instance):
        what = f"{instance.name}: what it was before its rebase need not be kept any longer"
        out.say(taker.place, Deed.KEEP, f"{what}: `skinnybox master gc -y`, or a --commit, frees it")
    keys = (row.host_keys if row else ()) or known.pins(instance.uuid)
    if row is not None and row.instance == instance and row.host_keys == keys:
        return
    if row is None:
        pinned = "with its pinned ssh host keys" if keys else "its ssh host keys are pinned at its next start"
        out.say(taker.place, Deed.ADOPT, f"{instance.name} is remembered again, {pinned}")
    elif instance.uuid not in out.rewritten:
        out.say(taker.place, Deed.ADOPT, f"{instance.name} is remembered as its record says")
    out.machines.append((instance, keys))
