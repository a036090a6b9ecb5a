"""top: what machines that run take, again and again on a terminal, once for everybody else."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from skinnybox.cli import numbers, options, render, terminal
from skinnybox.fleet import present, present_load
from skinnybox.fleet.power import running
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.view import MachineView

Records = Sequence[present.Record]

_COLUMNS = ("name", "state", "cpu", "memory", "overlay", "read", "write", "up")
_PLAIN = (
    "name", "state", "cpu", "cpus", "memory_used", "memory", "overlay_used", "overlay_written", "overlay",
    "disk_read", "disk_write", "since",
)  # fmt: skip
_ONCE, _AGAIN = 1.0, 2.0
"""Seconds between two looks."""
_AROUND = 3
"""Lines that are no machine's."""
_BY = {
    "cpu": ("cpu",), "memory": ("memory_used",), "overlay": ("overlay_used",),
    "disk": ("disk_read", "disk_write"), "name": (),
}  # fmt: skip


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "top", _top, "show what running machines take: processors, memory, disk",
        "On a terminal again and again, until Ctrl-C. Percent are of one processor, on average between two "
        "looks. Memory is what is there for the machine alone; a master that is mapped belongs to all.",
    )  # fmt: skip
    options.add_machines(parser, "*")
    options.add_format(parser)
    add = parser.add_argument
    add("--once", action="store_true", help="once, as without a terminal and for programs")
    add("--interval", metavar="SECONDS", type=_interval, help="between two looks (default 2; once: 1)")
    add("--sort", choices=tuple(_BY), default="cpu", help="the largest first, or by name (default cpu)")


def _interval(text: str) -> float:
    """Not so little that looking is all that the computer does."""
    return max(0.1, numbers.seconds(text))


def _top(arguments: argparse.Namespace) -> int:
    again = not arguments.once and arguments.format == "table" and sys.stdout.isatty()
    seconds = arguments.interval or (_AGAIN if again else _ONCE)
    with options.fleet(arguments) as fleet:
        looks = _looks(fleet, arguments.names or ["*"], seconds)
        if not again:
            _show(_sorted(next(looks), arguments.sort), arguments)
            return 0
        try:
            for records in looks:
                _paint(_sorted(records, arguments.sort))
        except KeyboardInterrupt:  # the way to end it: nothing was cut short
            print()
    return 0


def _looks(fleet: "Fleet", names: Sequence[str], seconds: float) -> Iterator[Records]:
    """How much in each interval, one after the other."""

    def look() -> "list[MachineView]":
        return [machine for machine in fleet.machines(names) if running(machine)]

    machines = look()
    before, since = fleet.upkeep.usage(machines), time.monotonic()
    while True:
        if machines:
            time.sleep(seconds)
            machines = look()
        now, at = fleet.upkeep.usage(machines), time.monotonic()
        yield [present_load.load(m, before.get(m.name), now.get(m.name), at - since) for m in machines]
        before, since = now, at
        if not machines:
            time.sleep(seconds)
            machines = look()


def _sorted(records: Records, by: str) -> Records:
    def key(record: present.Record) -> float:
        return -sum(record[field] or 0 for field in _BY[by])

    return sorted(records, key=key)  # those that are alike stay in the order of their names


def _show(records: Records, arguments: argparse.Namespace) -> None:
    people = arguments.format == "table"
    shown = [_readable(record) for record in records] if people else records
    columns = _COLUMNS if people else _PLAIN
    render.emit(shown, columns, arguments.format, headers=not arguments.no_headers)


def _readable(record: present.Record) -> present.Record:
    return {
        "name": record["name"],
        "state": record["state"],
        "cpu": None if record["cpu"] is None else f"{record['cpu']:.0f}%",
        "memory": f"{_size(record['memory_used'])}/{_size(record['memory'])}",
        "overlay": f"{_size(record['overlay_used'])}/{_size(record['overlay'])}",
        "read": _rate(record["disk_read"]),
        "write": _rate(record["disk_write"]),
        "up": _up(record["since"]),
    }


def _size(size: int | None) -> str:
    return "-" if size is None else format_size(size)


def _rate(size: int | None) -> str | None:
    return None if size is None else f"{format_size(size)}/s"


def _up(since: str | None) -> str | None:
    if since is None:
        return None
    minutes = max(0, int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days}d {hours}h" if days else f"{hours}h {minutes % 60:02}m"


def _paint(records: Records) -> None:
    """In place, and nothing that would have to be taken back when this process is killed."""
    room = max(1, terminal.height() - _AROUND)
    rows = [_readable(record) for record in records[:room]]
    lines = [
        _sum(records, terminal.width()),
        *render.lines([[render.plain(r[c]) for c in _COLUMNS] for r in rows], _COLUMNS),
    ]
    if len(records) > room:
        lines.append(f"and {len(records) - room} more")
    home, end, rest = ("", "", "") if os.environ.get("TERM") == "dumb" else ("\x1b[H", "\x1b[K", "\x1b[J")
    print(home + "".join(f"{line}{end}\n" for line in lines) + rest, end="", flush=True)


def _sum(records: Records, width: int | None) -> str:
    cpu = sum(record["cpu"] or 0 for record in records)
    memory = sum(record["memory_used"] or 0 for record in records)
    said = f"{len(records)} running, {cpu:.0f}% of a processor, {format_size(memory)} of memory; Ctrl-C ends"
    return said if width is None else terminal.cut(said, width)
