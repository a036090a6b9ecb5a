"""archive show."""

import argparse

from skinnybox.cli import options, render
from skinnybox.fleet import present_archive
from skinnybox.sizes import format_size

_COLUMNS = ("file", "id", "since", "machine", "made", "consistent", "holds", "size", "master")
_SIZES = ("size", "overlay", "data_disk")


def add_to(commands: options.Commands) -> None:
    nouns = options.group(commands, "archive", "look at what `export` wrote")
    parser = options.command(
        nouns, "show", _show, "show what an archive says of itself",
        "Its id, the id of the one that an increment needs before it, its machine, master and layers. Only "
        "its first part is read: `create --from` finds out whether all of it is whole.",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", type=options.path, help="what `export` wrote")
    options.add_format(parser)


def _show(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        record = present_archive.archive(fleet.deltas.archive(arguments.file))
    if arguments.format != "table":
        render.emit([record], _COLUMNS, arguments.format, headers=not arguments.no_headers, one=True)
        return 0
    sizes = {key: None if record[key] is None else format_size(record[key]) for key in _SIZES}
    how = {"consistent": "as after a power cut"} if record["consistent"] == "crash" else {}
    since = record["since"] or "nothing: it is a whole one"
    render.pairs({**record, **sizes, **how, "since": since, "holds": ", ".join(record["holds"])})
    return 0
