"""The first page: how much room there is, all machines as one picture, and what somebody should look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.gate import places
from skinnybox.gate.principal import Principal, Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.web import looking, render
from skinnybox.web.picture import map_of

if TYPE_CHECKING:
    from skinnybox.fleet.capacity import Account

router = APIRouter()
_TOLD = 8


@router.get("/")
def overview(request: Request, who: Viewer) -> Response:
    machines = looking.machines(request, who)
    fleet_map = map_of(machines)
    successors = fleet_of(request).masters.successors()
    if render.is_part(request, "map"):
        return render.part(request, "overview.html", "map", map=fleet_map)
    return render.page(
        request, "overview.html", map=fleet_map, room=_room(request, who),
        attention=attention(machines, successors),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Something that somebody should look at: `count` machines, of which some are named."""

    tone: str
    what: str
    count: int
    names: tuple[str, ...]
    why: str | None
    address: str


def attention(machines: Sequence[MachineView], successors: Mapping[str, str]) -> list[Matter]:
    """The worst first; `successors` as fleet.masters tells them."""
    found = []
    by_condition: dict[Condition, list[MachineView]] = {}
    for machine in machines:
        by_condition.setdefault(machine.condition, []).append(machine)
    for condition in _BAD:
        those = by_condition.get(condition, [])
        if those:
            found.append(_matter("bad", str(condition), those, f"/machines?state={condition}"))
    full = [machine for machine in machines if machine.full]
    units = [machine for machine in machines if machine.failed_units]
    half = [machine for machine in machines if machine.instance.half_restored is not None]
    older = [machine for machine in machines if machine.instance.stack.master in successors]
    for tone_, what, those, address in (
        ("bad", "with a full overlay", full, "/machines?sort=overlay&order=down"),
        ("warn", "ready, with services that failed", units, "/machines?state=ready"),
        ("warn", "half restored", half, "/machines?state=stopped"),
        ("off", "of a master that has a newer one", older, "/machines?sort=master"),
    ):
        if those:
            found.append(_matter(tone_, what, those, address))
    return found


_BAD = (
    Condition.FAILED, Condition.CRASHED, Condition.MISMATCH, Condition.DAMAGED, Condition.UNREADABLE,
    Condition.STALLED,
)  # fmt: skip


def _matter(tone: str, what: str, those: Sequence[MachineView], address: str) -> Matter:
    reasons = {machine.reason for machine in those}
    return Matter(
        tone=tone, what=what, count=len(those), names=tuple(machine.name for machine in those[:_TOLD]),
        why=reasons.pop() if len(reasons) == 1 and tone != "off" else None, address=address,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Of the disk, as a part of the bar: `start` and `width` of 1000."""

    key: str
    word: str
    size: int
    start: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    account: "Account"
    parts: tuple[Part, ...]


def _room(request: Request, who: Principal) -> Room | str | None:
    """None for who reaches one fleet only; a text, where the store cannot be asked."""
    if who.fleet is not None:
        return None
    try:
        account = looking.looks(request).room()
    except SkinnyboxError as error:
        return places.error(request, error).message
    return room_of(account)


def room_of(account: "Account") -> Room:
    """The whole disk: what masters, layers, overlays and snapshots have of it, what is still owed to
    overlays, what is free beyond that, and what else lies there."""
    space = account.space
    owed = min(space.owed, space.free)
    sizes = (
        ("masters", "masters and layers", space.masters + space.layers),
        ("written", "written by machines", min(space.written, space.allocated)),
        ("held", "held for them, not written yet", max(0, space.allocated - space.written)),
        ("snapshots", "snapshots", space.snapshots),
        ("owed", "promised to them, not theirs yet", owed),
        ("free", "free", space.free - owed),
    )
    others = max(0, space.total - sum(size for _, _, size in sizes))
    parts, start = [], 0
    for key, word, size in (("others", "others' files", others), *sizes):
        width = round(1000 * size / space.total) if space.total else 0
        parts.append(Part(key=key, word=word, size=size, start=start, width=width))
        start += width
    return Room(account=account, parts=tuple(parts))
