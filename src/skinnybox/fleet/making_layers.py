"""What is to be a layer, made: see making, which the orders are of. `store` is that of layers, beside the one
of masters."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skinnybox.errors import Corrupt
from skinnybox.fleet.making import BuildLayer, ImportLayer, OfLayer, PromoteLayer
from skinnybox.layout import MASTERS
from skinnybox.masters.system.source import bytes_of, text_of
from skinnybox.model import Layer, parse_reference
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from skinnybox.masters.layers.sealing import Above
    from skinnybox.model.promotion import LayerContents


def made_layer(store: Path, order: OfLayer, operation: Operation) -> Layer:
    match order:
        case ImportLayer():
            return _layer(store, order, operation)
        case PromoteLayer():
            return _promoted_layer(store, order, operation)
        case BuildLayer():
            return _built(store, order, operation)


def would_build(store: Path, order: BuildLayer, operation: Operation) -> "LayerContents":
    """What would be in it. Raises as making it does."""
    from skinnybox.delta.recipe import built

    with _ready(store, order) as ready:
        return built.would_build(**ready, operation=operation)


def rows_of(contents: "LayerContents") -> "Iterator[list[Any]]":
    """As JSON has them, for `contents_of`."""
    for each in contents.going:
        yield [None, text_of(each.path), each.files, each.size]
    for row in contents.left_out:
        yield [row.reason, text_of(row.path), row.files, row.size]


def contents_of(rows: "list[list[Any]]") -> "LayerContents":
    """Corrupt for rows that are none: programs of a tree ran beside who told them."""
    from skinnybox.model.promotion import Going, LayerContents, LeftOut

    going, left_out = list[Going](), list[LeftOut]()
    for row in rows:
        match row:
            case [None, str(path), int(files), int(size)]:
                going.append(Going(path=bytes_of(path), files=files, size=size))
            case [str(reason), str(path), int(files), int(size)]:
                left_out.append(
                    LeftOut(reason=reason, path=bytes_of(path), part=False, files=files, size=size)
                )
            case _:
                raise Corrupt("what builds layers gave no proper answer")
    return LayerContents(going=tuple(going), left_out=tuple(left_out))


def _built(store: Path, order: BuildLayer, operation: Operation) -> Layer:
    from skinnybox.delta.recipe import built

    name, version = _named(store, order.reference)
    with _ready(store, order) as ready:
        return built.build_layer(**ready, name=name, version=version, operation=operation)


@contextmanager
def _ready(store: Path, order: BuildLayer) -> Iterator[dict[str, Any]]:
    from skinnybox.fleet import stack_files
    from skinnybox.masters import catalogue, recipe

    found = recipe.said(order.recipe_file, order.text, layer=True)
    above = _above(store, order.stack.master, only=order.only)
    sealed = catalogue.folder(store.with_name(MASTERS), above.master)
    with (
        stack_files.lower(store.parent, above.master, order.stack) as lower,
        stack_files.index_of(store.parent, sealed, order.stack) as index,
    ):
        yield {
            "recipe": found, "lower": lower, "index": index, "store": store, "above": above,
            "network": order.network,
        }  # fmt: skip


def _layer(store: Path, order: ImportLayer, operation: Operation) -> Layer:
    from skinnybox.masters.layers.sealing import import_layer

    name, version = _named(store, order.reference)
    return import_layer(
        order.source, store=store, name=name, version=version, above=_above(store, order.master, order.only),
        at=order.at, operation=operation,
    )  # fmt: skip


def _named(store: Path, reference: str) -> tuple[str, str]:
    """Of a layer: without a version it gets one by today's date."""
    from skinnybox.masters import seal
    from skinnybox.masters.layers import catalogue

    name, version = parse_reference(reference, "a layer")
    taken = {layer.version for layer in catalogue.layers(store) if layer.name == name}
    return name, version or seal.dated_version(taken)


def _above(store: Path, master: str, only: bool) -> "Above":
    from skinnybox.masters import catalogue
    from skinnybox.masters.layers.sealing import Above

    masters = store.with_name(MASTERS)
    found = catalogue.find(masters, master.removeprefix("sha256:"))
    return Above(master=found, index=catalogue.folder(masters, found) / catalogue.INDEX, only=only)


def _promoted_layer(store: Path, order: PromoteLayer, operation: Operation) -> Layer:
    from skinnybox.delta.promote import promoted, whose
    from skinnybox.fleet import stack_files

    name, version = _named(store, order.reference)
    above = _above(store, order.stack.master, only=False)
    with stack_files.lower(store.parent, above.master, order.stack) as lower:
        return promoted.as_layer(
            order.overlay, lower, whose.decode(order.whose.encode()), store=store, name=name,
            version=version, above=above, subject=order.machine, operation=operation,
        )  # fmt: skip
