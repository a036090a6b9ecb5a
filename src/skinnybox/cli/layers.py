"""layer import, build, list, show, verify, remove."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from skinnybox.cli import layer_build, options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.layer_build import made_for, sealed, sizes_of
from skinnybox.cli.options import path
from skinnybox.cli.progress import shown
from skinnybox.fleet import present_layers
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.model import Layer

_COLUMNS = ("layer", "id", "master", "image", "tree", "machines", "created")


def add_to(commands: options.Commands) -> None:
    nouns = options.group(commands, "layer", "seal, list, verify and remove layers, which lie above a master")
    _add_import(nouns)
    layer_build.add_to(nouns)
    options.add_format(options.command(nouns, "list", _list, "list layers"))
    options.add_format(_about_one(nouns, "show", _show, "show all that is known of a layer"))
    _about_one(nouns, "verify", _verify, "read every byte of a layer and compare it with what was sealed")
    _about_one(nouns, "remove", _remove, "remove a layer that no machine needs")


def _about_one(nouns: options.Commands, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    parser = options.command(nouns, name, run, summary)
    ask_for(parser.add_argument("layer", metavar="LAYER", help="NAME, NAME:VERSION or an id"), "layers")
    return parser


def _add_import(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "import", _import, "seal a directory or a tar as a layer that machines share",
        "For data: a site, a model, a tree of tools. Packages and accounts belong into a master.",
    )  # fmt: skip
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=path,
        help="a directory, or a tar, packed or not: paths as in a guest",
    )
    parser.add_argument("layer", metavar="NAME[:VERSION]", help="the version defaults to today's date")
    ask_for(
        parser.add_argument(
            "--for", dest="above", metavar="MASTER", required=True,
            help="the master it lies above; it goes with every version of that name",
        ),
        "masters",
    )  # fmt: skip
    parser.add_argument("--only", action="store_true", help="it goes with that very version and no other")
    parser.add_argument(
        "--at", metavar="PATH", help="the source's own root is this folder in a machine, as in /srv/site"
    )


def _import(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        layer = fleet.layers.import_tree(
            arguments.source,
            arguments.layer,
            above=arguments.above,
            only=arguments.only,
            at=arguments.at,
            operation=operation,
        )
    report.done(sealed(layer))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        make = _brief if arguments.format == "table" else partial(present_layers.layer, fleet.layers)
        need = fleet.layers.dependants()
        records = [make(layer, need.get(layer.id, ())) for layer in fleet.layers.all()]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _brief(layer: "Layer", machines: "Sequence[str]") -> dict[str, Any]:
    return {
        "layer": layer.reference,
        "id": layer.id.removeprefix("sha256:")[:12],
        "master": made_for(layer),
        "image": sizes_of(layer),
        "tree": format_size(layer.tree_size),
        "machines": len(machines),
        "created": f"{layer.created:%Y-%m-%d %H:%M}",
    }


def _show(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        layer = fleet.layers.find(arguments.layer)
        record = present_layers.layer(fleet.layers, layer, fleet.layers.dependants().get(layer.id, ()))
    if arguments.format != "table":
        render.emit([record], _COLUMNS, arguments.format,
                    headers=not arguments.no_headers, one=True)  # fmt: skip
        return 0
    images = [f"{i['file']}  {format_size(i['size'])}  {i['uuid']}  {i['digest']}" for i in record["images"]]
    del record["image"]  # it is the first of all of them
    render.pairs({**record, "tree": format_size(record["tree"]), "images": images})
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        layer = fleet.layers.verify(arguments.layer, operation)
    report.done(f"{layer.reference}: every byte is as it was sealed")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        layer = fleet.layers.remove(arguments.layer)
    report.done(f"{layer.reference}: removed")
    return 0
