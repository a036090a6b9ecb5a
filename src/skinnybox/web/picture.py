"""All machines as one picture: a square for each, whose colour is its condition and whose filling its
overlay.

Two thousand squares are made here and not by a template, which takes ten times as long.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from skinnybox.fleet.view import MachineView
from skinnybox.web import words
from skinnybox.web.listing import overlay_used
from skinnybox.web.rows import tone

SIDE = 14
"""Of a square with the room around it."""
_FEW, _COLUMNS, _MORE_COLUMNS = 400, 40, 80
_STEPS = 10
"""Of a square's filling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMap:
    """`tones` counts the machines by how they look; `columns` and `rows` of squares."""

    count: int
    columns: int
    rows: int
    tones: dict[str, int]
    squares: Markup


def map_of(machines: Sequence[MachineView], toned: Callable[[MachineView], str] = tone) -> FleetMap:
    """In the order in which they come; wider, where there are many. `toned` says how each looks."""
    columns = _COLUMNS if len(machines) <= _FEW else _MORE_COLUMNS
    tones = [toned(machine) for machine in machines]
    places = (divmod(number, columns) for number in range(len(machines)))
    squares = map(_square, machines, tones, places)
    return FleetMap(
        count=len(machines), columns=columns, rows=max(1, -(-len(machines) // columns)),
        tones=dict(Counter(tones)), squares=Markup("\n").join(squares),
    )  # fmt: skip


def _square(machine: MachineView, tone: str, place: tuple[int, int]) -> Markup:
    """What it says, whoever does not see it, or stops at it, is told as well."""
    full = words.percent(overlay_used(machine), machine.instance.overlay.size)
    row, column = place
    name, told = escape(machine.name), escape(f"{machine.name}: {machine.told}, {full} %")
    filled = f'<use xlink:href="#f{-(-full * _STEPS // 100)}"/>' if full else ""
    where = f"translate({column * SIDE + 1} {row * SIDE + 1})"
    return Markup(
        f'<a href="/machines/{name}" class="{tone}" transform="{where}"><title>{told}</title>'
        f'<use xlink:href="#sq"/>{filled}</a>'
    )
