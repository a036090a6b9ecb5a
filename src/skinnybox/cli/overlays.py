"""grow, snapshot create, list, restore, delete, flatten, seed-disk."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from skinnybox.cli import numbers, options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.options import path
from skinnybox.cli.progress import shown
from skinnybox.fleet import asked, present
from skinnybox.model import Consistency, DiskKind, Snapshot
from skinnybox.printable import printable
from skinnybox.sizes import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.grow import Grown
    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.view import MachineView
    from skinnybox.model import Instance

_COLUMNS = ("name", "label", "taken", "consistent", "overlay", "written", "good_for")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "grow", _grow, "give machines a larger overlay",
        "What they made their own stays. An overlay never shrinks. One that runs (under QEMU) gets a larger "
        "disk at once, and its guest makes its filesystem larger; what is said of that is the guest's word.",
    )  # fmt: skip
    options.add_machines(parser)
    parser.add_argument("size", metavar="SIZE", help="2G, or +1G for so much more")
    parser.add_argument("--data", action="store_true", help="their data disks, and not the overlays")
    parser.epilog = "Of one that is off a new image takes the old one's place, so both fit for a moment."
    _add_snapshot(commands)
    parser = options.command(
        commands, "flatten", _flatten, "make an ordinary disk of a machine",
        "It boots by itself under UEFI, and no Skinnybox is in it: the way out. The machine stays as it is.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument("file", metavar="FILE", type=path, help="the disk; must not exist yet")
    parser.add_argument("--format", choices=("raw", "qcow2"), help="default: by FILE's ending, else raw")
    parser.add_argument(
        "--size",
        metavar="SIZE",
        type=numbers.size,
        help="of the disk (default: what it holds, and some room)",
    )
    _add_seed_disk(commands)


def _add_seed_disk(commands: options.Commands) -> None:
    parser = options.command(
        commands, "seed-disk", _seed_disk, "write the small disk that tells a machine who it is",
        "For a hypervisor that Skinnybox does not drive, beside the disk of `master disk` and the overlay.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument("file", metavar="FILE", type=path, help="the disk, raw; must not exist yet")
    parser.add_argument(
        "--master-disk", metavar="DISK", default="skinny-master", help="serial or device of the master's disk"
    )
    parser.add_argument(
        "--overlay-disk", metavar="DISK", default="skinny-overlay", help="serial or device of the overlay"
    )
    parser.add_argument(
        "--data-disk", metavar="DISK", default="skinny-data", help="serial or device of the data disk, if any"
    )
    parser.add_argument("--blank", action="store_true", help="order the machine to format its disks if blank")


def _add_snapshot(commands: options.Commands) -> None:
    nouns = options.group(commands, "snapshot", "keep overlays as they are now, and put them back")
    parser = options.command(
        nouns, "create", _create, "keep the overlay of each machine as it is now",
        "Of a running machine it is what a power cut would leave: what was not written yet is not in it.",
    )  # fmt: skip
    options.add_machines(parser)
    parser.add_argument("--label", metavar="LABEL", help="its name (default: the time, in UTC)")
    parser.add_argument("--data", action="store_true", help="the data disks, too, just after the overlays")
    parser = options.command(nouns, "list", _list, "list the snapshots of these machines, or of all")
    options.add_machines(parser, "*")
    options.add_format(parser)
    for name, run, summary in (
        ("restore", _restore, "put the overlay of stopped machines back"),
        ("delete", _delete, "delete a snapshot"),
    ):
        parser = options.command(nouns, name, run, summary)
        label = parser.add_argument("label", metavar="LABEL", help="the snapshot's name, see `snapshot list`")
        ask_for(label, "labels")
        options.add_machines(parser)
        options.add_yes(parser)
        if run is _restore:
            parser.add_argument("--with-data", action="store_true", help="the data disks, too, of a snapshot "
                "that has them; else they stay as they are")  # fmt: skip


def _seed_disk(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        fleet.overlays.seed_disk(
            arguments.name,
            arguments.file.absolute(),
            master_disk=arguments.master_disk,
            overlay_disk=arguments.overlay_disk,
            data_disk=arguments.data_disk,
            blank=arguments.blank,
        )
    report.done(f"{arguments.name}: written to {arguments.file}")
    return 0


def _grow(arguments: argparse.Namespace) -> int:
    text, by = arguments.size, arguments.size.startswith("+")
    size = parse_size(text[1:] if by else text)
    disk = DiskKind.DATA if arguments.data else DiskKind.OVERLAY
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.overlays.grow(arguments.names, size, by=by, disk=disk, operation=operation)
    return report.outcomes(results, _grown)


def _grown(grown: "Grown") -> str:
    if grown.before == grown.after:
        said = f"has {format_size(grown.after)} already"
    else:
        said = f"grown from {format_size(grown.before)} to {format_size(grown.after)}"
    if not grown.live:
        return said
    if grown.followed:
        return f"{said}; its guest says that its filesystem fills it"
    why = printable(grown.why or "its guest has said nothing of it")
    return f"{said}; its filesystem is smaller still, as far as is known: {why}"


def _create(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.overlays.snapshot(arguments.names, arguments.label, operation, data=arguments.data)
    return report.outcomes(results, _taken)


def _taken(snapshot: Snapshot) -> str:
    how = ", as after a power cut" if snapshot.consistent is Consistency.CRASH else ""
    data = " with its data" if snapshot.data else ""
    return f"snapshot {snapshot.label}{data}, {format_size(snapshot.written)}{how}"


def _list(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        found = fleet.overlays.snapshots(arguments.names or ["*"])
    records = [present.snapshot(machine, snapshot) for machine, snapshot in found]
    if arguments.format == "table":
        records = [_readable(record, snapshot) for record, (_, snapshot) in zip(records, found, strict=True)]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _readable(record: "present.Record", snapshot: Snapshot) -> "present.Record":
    sizes = {key: format_size(record[key]) for key in ("overlay", "written")}
    return {**record, **sizes, "taken": f"{snapshot.taken:%Y-%m-%d %H:%M:%S}"}


def _restore(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        machines, label, data = fleet.machines(arguments.names), arguments.label, arguments.with_data
        names = [machine.name for machine in machines]
        would = asked.passing(machines, lambda machine: fleet.overlays.restorable(machine, label, data=data))
        what = f"throw away what {{}} made since snapshot {label}"
        if data:
            _tell_age([m for m in machines if m.name in would], fleet, label)
            what += ", with all the data written since"
        options.confirm_for(arguments, would, what)
        with shown(arguments.quiet) as operation:
            results = fleet.overlays.restore(names, label, operation, data=data)
    return report.outcomes(results, lambda made: _restored(made, label, data))


def _tell_age(machines: "Sequence[MachineView]", fleet: "Fleet", label: str) -> None:
    """What is written to data is seldom made again."""
    for machine in machines:
        taken = fleet.overlays.kept(machine, label).taken
        old = _age((datetime.now(UTC) - taken).total_seconds())
        report.note(f"{machine.name}: its data become those of {taken:%Y-%m-%d %H:%M:%S} UTC, {old} ago")


def _age(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def _restored(instance: "Instance", label: str, data: bool) -> str:
    said = f"is as it was at snapshot {label}"
    if instance.data is None:
        return said
    return f"{said}, with its data" if data else f"{said}; its data stayed as they are"


def _delete(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        machines, label = fleet.machines(arguments.names), arguments.label
        names = [machine.name for machine in machines]
        would = asked.passing(machines, lambda machine: fleet.overlays.kept(machine, label))
        options.confirm_for(arguments, would, f"delete snapshot {label} of {{}}")
        with shown(arguments.quiet) as operation:
            results = fleet.overlays.delete_snapshot(names, label, operation)
    return report.outcomes(results, lambda _: f"snapshot {label} deleted")


def _flatten(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.flatten import FlatDisk

    ending = "qcow2" if arguments.file.suffix == ".qcow2" else "raw"
    wanted = FlatDisk(
        file=arguments.file.absolute(),
        format=arguments.format or ending,
        size=arguments.size,
    )
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        made = fleet.overlays.flatten(arguments.name, wanted, operation)
    taken = made.stat().st_blocks * 512
    report.done(f"{arguments.name}: flattened to {arguments.file}, {format_size(taken)}")
    return 0
