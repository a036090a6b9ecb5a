"""master build, import, list, verify, disk, remove, gc; the rest is master_edit.py's and master_look.py's."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skinnybox.cli import master_edit, master_look, numbers, options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.options import path
from skinnybox.cli.progress import shown
from skinnybox.fleet import present
from skinnybox.model import Image, ImageFormat, ImageKind, Master
from skinnybox.operation import Operation
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.masters import Masters
    from skinnybox.fleet.service import Fleet

_DISKS = ("qcow2", "raw", "vdi", "vhd", "vhdx", "vmdk")
_SAID = {ImageKind.EROFS_PLAIN: " dax", ImageKind.EXT4: " ext4"}
"""What is told of an image beside its size."""
_COLUMNS = ("master", "id", "os", "image", "tree", "machines", "created")


def add_to(commands: options.Commands) -> None:
    nouns = options.group(commands, "master", "make, list, verify and remove masters")
    _add_build(nouns)
    _add_import(nouns)
    master_edit.add_to(nouns)
    options.add_format(options.command(nouns, "list", _list, "list masters"))
    _add_gc(nouns)
    for name, run, summary in (
        ("verify", _verify, "read every byte of a master and compare it with what was sealed"),
        ("remove", _remove, "remove a master that no machine needs"),
    ):
        parser = options.command(nouns, name, run, summary)
        ask_for(
            parser.add_argument("master", metavar="MASTER", help="NAME, NAME:VERSION or an id"), "masters"
        )
    master_look.add_to(nouns)
    _add_disk(nouns)


def _add_build(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "build", _build, "build a master from packages",
        "Without a recipe: this machine's own distribution, from its own package sources.",
    )  # fmt: skip
    parser.add_argument("master", metavar="NAME[:VERSION]", help="the version defaults to today's date")
    parser.add_argument("--recipe", metavar="FILE", type=path, help="YAML: packages, scripts, files to copy")
    parser.add_argument("--suite", help="release to build, as bookworm")
    parser.add_argument(
        "--package", action="append", default=[], metavar="NAME", help="one more package; may repeat"
    )
    _add_dax(parser)
    _add_image_format(parser)
    _add_lineage(parser)


def _add_import(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "import", _import, "seal a directory, an archive or a disk image as a master",
        "What it is its own bytes tell: a root filesystem or a disk in a tar, packed or not, an OVA, an XVA, "
        "an image of containers, a disk of another hypervisor.",
    )  # fmt: skip
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=path,
        help="a directory, a tar, a disk image with a root of ext4, or one of these packed",
    )
    parser.add_argument("master", metavar="NAME[:VERSION]", help="the version defaults to today's date")
    parser.add_argument(
        "--as-is", action="store_true", help="change nothing: the guest part is in it already"
    )
    parser.add_argument("--kernel", metavar="FILE", type=path, help="instead of the newest in its /boot")
    parser.add_argument("--initrd", metavar="FILE", type=path, help="instead of one made for that kernel")
    parser.add_argument(
        "--format", choices=_DISKS, help="of a disk image; its header tells when this is not given"
    )
    parser.add_argument(
        "--partition",
        metavar="N",
        type=numbers.count_or_none,
        help="of a disk image, when several hold a system; 0: the whole disk",
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="PATH",
        help="do without the filesystem that its fstab mounts there; may repeat",
    )
    _add_dax(parser)
    _add_image_format(parser)
    _add_lineage(parser)


def _add_gc(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "gc", _collect, "remove masters that no machine needs, and what dead work left",
        "The newest version of each name stays.",
    )  # fmt: skip
    parser.add_argument(
        "--keep", metavar="N", type=numbers.count_or_none, default=1, help="this many of each name stay (1)"
    )
    parser.add_argument(
        "--all", dest="keep", action="store_const", const=0, help="also the newest of each name: as --keep 0"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    options.add_yes(parser)


def _add_disk(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "disk", _disk, "write a master as a disk that boots under UEFI, for other hypervisors",
        "Attach it read-only to any number of machines; `seed-disk` makes what tells each who it is.",
    )  # fmt: skip
    ask_for(parser.add_argument("master", metavar="MASTER", help="NAME, NAME:VERSION or an id"), "masters")
    parser.add_argument("file", metavar="FILE", type=path, help="the disk, raw; must not exist yet")


def _add_dax(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dax",
        action="store_true",
        help="add an uncompressed image that guests map from this machine's memory; new machines get it",
    )


def _add_image_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image-format",
        choices=[str(word) for word in ImageFormat],
        default=str(ImageFormat.AUTO),
        help="what its image is: erofs, where its kernel has that (Linux 5.4 and later), else ext4 (auto)",
    )


def _add_lineage(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    ask_for(
        choice.add_argument(
            "--after",
            metavar="MASTER",
            help="keep the numbers of users and groups of this one, instead of the newest of the same name",
        ),
        "masters",
    )
    choice.add_argument(
        "--unrelated",
        action="store_true",
        help="keep no other master's numbers: machines cannot move between the two",
    )


def _build(arguments: argparse.Namespace) -> int:
    def make(masters: "Masters", operation: Operation) -> Master:
        return masters.build(
            arguments.master,
            arguments.recipe,
            suite=arguments.suite,
            packages=tuple(arguments.package),
            dax=arguments.dax,
            image_format=ImageFormat(arguments.image_format),
            after=arguments.after,
            unrelated=arguments.unrelated,
            operation=operation,
        )

    return _made(arguments, make)


def _import(arguments: argparse.Namespace) -> int:
    def make(masters: "Masters", operation: Operation) -> Master:
        return masters.import_tree(
            arguments.source,
            arguments.master,
            as_is=arguments.as_is,
            kernel=arguments.kernel,
            initrd=arguments.initrd,
            dax=arguments.dax,
            image_format=ImageFormat(arguments.image_format),
            format=arguments.format,
            partition=arguments.partition,
            leave_out=tuple(arguments.leave_out),
            after=arguments.after,
            unrelated=arguments.unrelated,
            operation=operation,
        )

    return _made(arguments, make)


def _made(arguments: argparse.Namespace, make: "Callable[[Masters, Operation], Master]") -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        master = make(fleet.masters, operation)
    _tell_places(master)
    report.done(f"{master.reference}: sealed, {_sizes(master)}, {master.id[:19]}")
    return 0


def _tell_places(master: Master) -> None:
    told = (("put in place", master.placed), ("left out", master.left_out))
    words = "; ".join(f"{what}: {', '.join(places)}" for what, places in told if places)
    if words:
        report.note(f"{master.reference}: {words}")


def _list(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        masters = fleet.masters.all()
        brief = arguments.format == "table"
        records = [_brief(fleet, m) if brief else present.master(fleet.masters, m) for m in masters]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _brief(fleet: "Fleet", master: Master) -> dict[str, Any]:
    return {
        "master": master.reference,
        "id": master.id.removeprefix("sha256:")[:12],
        "os": master.os,
        "image": _sizes(master),
        "tree": format_size(master.tree_size),
        "machines": len(fleet.masters.dependants(master)),
        "created": f"{master.created:%Y-%m-%d %H:%M}",
    }


def _sizes(master: Master) -> str:
    """Of each image, what new machines get first."""
    return " + ".join(_sized(image) for image in master.images)


def _sized(image: Image) -> str:
    return format_size(image.size) + _SAID.get(image.kind, "")


def _verify(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        master = fleet.masters.verify(arguments.master, operation)
    report.done(f"{master.reference}: every byte is as it was sealed")
    return 0


def _disk(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        master = fleet.masters.disk(arguments.master, arguments.file.absolute())
    size = format_size(arguments.file.stat().st_size)
    report.done(f"{master.reference}: written to {arguments.file}, {size}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        master = fleet.masters.remove(arguments.master)
    report.done(f"{master.reference}: removed")
    return 0


def _collect(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        found = fleet.masters.garbage(keep=arguments.keep)
        total = format_size(sum(item.size for item in found))
        if not found:
            report.done("nothing to remove")
            return 0
        sizes = [f"{item.name}: {format_size(item.size)}" for item in found]
        if arguments.dry_run:
            print("\n".join([*sizes, f"{total} would be free"]))
            return 0
        options.confirm(arguments, f"remove these {len(found)}, {total}", sizes)
        gone = fleet.masters.collect(found)
    for item in gone:
        report.done(f"{item.name}: removed, {format_size(item.size)}")
    left = [item for item in found if item not in gone]
    for item in left:
        report.warn(f"{item.name}: not removed, it is in use or somebody else's")
    return 1 if left else 0
