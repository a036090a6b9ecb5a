"""layer build: what a recipe makes on top of a stack becomes a layer."""

import argparse
from typing import TYPE_CHECKING

from skinnybox.cli import options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import shown
from skinnybox.fleet import present_layers, present_promotion
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.present import Record
    from skinnybox.model import Layer

_COLUMNS = ("reason", "what", "path", "files", "size")


def add_to(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "build", _build, "seal what a recipe makes on top of a master as a layer",
        "Its copies are made and its scripts run in a private tree of the master and of the layers below, "
        "shut in with that; what they alter or add is the layer. Packages and accounts belong into a master.",
    )  # fmt: skip
    add = parser.add_argument
    add("name", metavar="NAME[:VERSION]", help="the version defaults to today's date")
    add("recipe", metavar="RECIPE", type=options.path, help="a YAML file with `copy` and `scripts`")
    ask_for(
        add("--for", dest="above", metavar="MASTER", required=True,
            help="the master it lies above; it goes with every version of that name"),
        "masters",
    )  # fmt: skip
    ask_for(
        add("--layer", dest="layers", action="append", default=[], metavar="LAYER",
            help="a layer that lies between, which its scripts need; may repeat, the lowest first"),
        "layers",
    )  # fmt: skip
    add("--only", action="store_true", help="it goes with that very version of the master and no other")
    add("--network", action="store_true", help="its scripts have the network of this computer; else none")
    add("--dry-run", action="store_true", help="run it, and only say what would be in the layer")
    options.add_format(parser)


def _build(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.making import LayerRecipe

    recipe = LayerRecipe(
        file=arguments.recipe, layers=tuple(arguments.layers), only=arguments.only, network=arguments.network
    )
    with options.fleet(arguments) as fleet:
        if arguments.dry_run:
            with shown(arguments.quiet) as operation:
                found = fleet.layers.would_build(
                    arguments.name, recipe, above=arguments.above, operation=operation
                )
            _emit(arguments, present_promotion.contents(found))
            return 0
        with shown(arguments.quiet) as operation:
            layer = fleet.layers.build(arguments.name, recipe, above=arguments.above, operation=operation)
        record = present_layers.layer(fleet.layers, layer, ())
    if arguments.format == "table":
        report.done(sealed(layer))
    else:
        render.emit([record], tuple(record), arguments.format, headers=not arguments.no_headers, one=True)
    return 0


def _emit(arguments: argparse.Namespace, records: "list[Record]") -> None:
    if arguments.format == "table":
        records = [{**record, "size": format_size(record["size"])} for record in records]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)


def sealed(layer: "Layer") -> str:
    """The line that tells of a new one."""
    return f"{layer.reference}: sealed for {made_for(layer)}, {sizes_of(layer)}, {layer.id[:19]}"


def made_for(layer: "Layer") -> str:
    """Above which versions it goes."""
    return layer.made_for if layer.only else layer.made_for.partition(":")[0]


def sizes_of(layer: "Layer") -> str:
    """Of its images."""
    return " + ".join(format_size(image.size) for image in layer.images)
