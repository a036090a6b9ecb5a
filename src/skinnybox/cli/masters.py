"""master build, import, list, show, verify, remove."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skinnybox.cli import options, render
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import shown
from skinnybox.model import Master, Progress
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.masters import Masters
    from skinnybox.fleet.service import Fleet

_COLUMNS = ("master", "id", "os", "image", "tree", "machines", "created")


def add_to(commands: options.Commands) -> None:
    nouns = options.group(commands, "master", "make, list, verify and remove masters")
    parser = options.command(
        nouns, "build", _build, "build a master from packages",
        "Without a recipe: this machine's own distribution, from its own package sources.",
    )  # fmt: skip
    parser.add_argument("master", metavar="NAME[:VERSION]", help="the version defaults to today's date")
    parser.add_argument("--recipe", metavar="FILE", type=Path, help="YAML: packages, scripts, files to copy")
    parser.add_argument("--suite", help="release to build, as bookworm")
    parser.add_argument(
        "--package", action="append", default=[], metavar="NAME", help="one more package; may repeat"
    )

    parser = options.command(nouns, "import", _import, "seal a directory or a tar as a master")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="a directory, or a tar")
    parser.add_argument("master", metavar="NAME[:VERSION]", help="the version defaults to today's date")
    parser.add_argument(
        "--as-is", action="store_true", help="change nothing: the guest part is in it already"
    )
    parser.add_argument("--kernel", metavar="FILE", type=Path, help="instead of the newest in its /boot")
    parser.add_argument("--initrd", metavar="FILE", type=Path, help="instead of the one beside its kernel")

    parser = options.command(nouns, "list", _list, "list masters")
    options.add_format(parser)

    for name, run, summary in (
        ("show", _show, "show all that is known of a master"),
        ("verify", _verify, "read every byte of a master and compare it with what was sealed"),
        ("remove", _remove, "remove a master that no machine needs"),
    ):
        parser = options.command(nouns, name, run, summary)
        ask_for(
            parser.add_argument("master", metavar="MASTER", help="NAME, NAME:VERSION or an id"), "masters"
        )
        if run is _show:
            options.add_format(parser)


def _build(arguments: argparse.Namespace) -> int:
    def make(masters: "Masters", progress: Progress) -> Master:
        return masters.build(
            arguments.master,
            arguments.recipe,
            suite=arguments.suite,
            packages=tuple(arguments.package),
            progress=progress,
        )

    return _made(arguments, make)


def _import(arguments: argparse.Namespace) -> int:
    def make(masters: "Masters", progress: Progress) -> Master:
        return masters.import_tree(
            arguments.source,
            arguments.master,
            as_is=arguments.as_is,
            kernel=arguments.kernel,
            initrd=arguments.initrd,
            progress=progress,
        )

    return _made(arguments, make)


def _made(arguments: argparse.Namespace, make: "Callable[[Masters, Progress], Master]") -> int:
    # Said aloud: root of a namespace would look for the state folder of the whole machine.
    state = str(options.settings(arguments).state)
    again = [sys.executable, "-m", "skinnybox", "--state", state, *sys.argv[1:]]
    with options.fleet(arguments) as fleet:
        code = fleet.masters.as_namespace_root(again)
        if code is not None:
            return code
        with shown(arguments.quiet) as progress:
            master = make(fleet.masters, progress)
    print(f"{master.reference}: sealed, {format_size(master.images[0].size)}, {master.id[:19]}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        masters = fleet.masters.all()
        brief = arguments.format == "table"
        records = [_brief(fleet, m) if brief else _record(fleet, m) for m in masters]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _brief(fleet: "Fleet", master: Master) -> dict[str, Any]:
    return {
        "master": master.reference,
        "id": master.id.removeprefix("sha256:")[:12],
        "os": master.os,
        "image": format_size(master.images[0].size),
        "tree": format_size(master.tree_size),
        "machines": len(fleet.masters.dependants(master)),
        "created": f"{master.created:%Y-%m-%d %H:%M}",
    }


def _record(fleet: "Fleet", master: Master) -> dict[str, Any]:
    image = master.images[0]
    return {
        "master": master.reference,
        "id": master.id,
        "os": master.os,
        "architecture": master.architecture,
        "kernel": master.kernel_version,
        "image": image.size,
        "image_kind": str(image.kind),
        "image_digest": image.digest,
        "image_uuid": str(image.uuid),
        "tree": master.tree_size,
        "entries": master.entries,
        "machines": fleet.masters.dependants(master),
        "created": master.created.isoformat(timespec="seconds"),
        "folder": str(fleet.masters.folder(master)),
    }


def _show(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        record = _record(fleet, fleet.masters.find(arguments.master))
    if arguments.format != "table":
        render.emit([record], _COLUMNS, arguments.format, one=True)
        return 0
    render.pairs({**record, "image": format_size(record["image"]), "tree": format_size(record["tree"])})
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as progress:
        master = fleet.masters.verify(arguments.master, progress)
    print(f"{master.reference}: every byte is as it was sealed")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        master = fleet.masters.remove(arguments.master)
    print(f"{master.reference}: removed")
    return 0
