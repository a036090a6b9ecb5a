"""What a master or a layer is to be made of, as a value that another process of ours can be handed; and
making it."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from skinnybox.model import ImageFormat, Layer, Master, Stack, parse_reference
from skinnybox.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """From a recipe (a file, or its `text`), or of this machine's own distribution. What is said beside the
    recipe wins over it, or adds to it."""

    reference: str
    recipe_file: Path | None = None
    text: str | None = None
    suite: str | None = None
    packages: tuple[str, ...] = ()
    dax: bool = False
    image_format: ImageFormat = ImageFormat.AUTO
    after: str | None = None
    unrelated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Of a directory, an archive or a disk image: see masters.imports."""

    source: Path
    reference: str
    as_is: bool
    kernel: Path | None = None
    initrd: Path | None = None
    dax: bool = False
    image_format: ImageFormat = ImageFormat.AUTO
    format: str | None = None
    partition: int | None = None
    leave_out: tuple[str, ...] = ()
    after: str | None = None
    unrelated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLayer:
    """Of a directory or a tar, above the master of that id: see masters.layers.sealing."""

    source: Path
    reference: str
    master: str
    only: bool = False
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Of a machine's disk, which stays as it is meanwhile, and of its stack: see delta.promote. `whose` is as
    delta.promote.whose encodes it."""

    overlay: Path
    stack: Stack
    whose: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteLayer:
    """The same as a layer above its master: of what is the machine's own alone."""

    machine: str
    overlay: Path
    stack: Stack
    whose: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecipe:
    """What somebody says of a layer that is to be built: a recipe (a file, or its `text`) that runs on top
    of a master and of `layers`, from the lowest up. With `network` its scripts have this computer's; `only`:
    it goes with that very version of the master."""

    file: Path | None = None
    text: str | None = None
    layers: tuple[str, ...] = ()
    only: bool = False
    network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLayer:
    """As a LayerRecipe says, on top of its stack: see delta.recipe."""

    reference: str
    stack: Stack
    recipe_file: Path | None = None
    text: str | None = None
    only: bool = False
    network: bool = False


OfMaster = Build | Import | Promote
OfLayer = ImportLayer | PromoteLayer | BuildLayer
Order = OfMaster | OfLayer
_KINDS: dict[str, type[Order]] = {
    "build": Build,
    "import": Import,
    "promote": Promote,
    "layer": ImportLayer,
    "promote-layer": PromoteLayer,
    "build-layer": BuildLayer,
}
_PATHS = ("recipe_file", "source", "kernel", "initrd", "overlay")
_TUPLES = ("packages", "leave_out")


def made(store: Path, order: Order, operation: Operation) -> Master | Layer:
    """Make it, and seal, in this very process, which has to be root, of a namespace at least. Raises as
    masters.build, masters.imports, delta.promote, delta.recipe and masters.layers.sealing do."""
    match order:
        case Build():
            return _built(store, order, operation)
        case Import():
            return _imported(store, order, operation)
        case Promote():
            return _promoted(store, order, operation)
        case _:
            from skinnybox.fleet.making_layers import made_layer

            return made_layer(store, order, operation)


def _built(store: Path, order: Build, operation: Operation) -> Master:
    from skinnybox.masters import build, recipe, seal

    name, version = parse_reference(order.reference)
    chosen = recipe.said(order.recipe_file, order.text)
    as_said = chosen.image_format if order.image_format is ImageFormat.AUTO else order.image_format
    return build.build(
        replace(
            chosen,
            suite=chosen.suite if order.suite is None else order.suite,
            packages=(*chosen.packages, *order.packages),
            dax=order.dax or chosen.dax,
            image_format=as_said,
            after=order.after or (None if order.unrelated else chosen.after),
            unrelated=order.unrelated or (chosen.unrelated and not order.after),
        ),
        store=store,
        name=name,
        version=version or seal.default_version(store, name),
        operation=operation,
    )


def _imported(store: Path, order: Import, operation: Operation) -> Master:
    from skinnybox.masters import imports, seal

    name, version = parse_reference(order.reference)
    return imports.import_tree(
        order.source, store=store, name=name, version=version or seal.default_version(store, name),
        as_is=order.as_is, kernel=order.kernel, initrd=order.initrd, dax=order.dax,
        image_format=order.image_format, format=order.format, partition=order.partition,
        leave_out=order.leave_out, after=order.after, unrelated=order.unrelated, operation=operation,
    )  # fmt: skip


def _promoted(store: Path, order: Promote, operation: Operation) -> Master:
    from skinnybox.delta.promote import promoted, whose
    from skinnybox.fleet import stack_files
    from skinnybox.masters import catalogue, seal

    name, version = parse_reference(order.reference)
    source = catalogue.find(store, order.stack.master.removeprefix("sha256:"))
    with stack_files.lower(store.parent, source, order.stack) as lower:
        return promoted.promoted(
            order.overlay, source, lower, whose.decode(order.whose.encode()), store=store, name=name,
            version=version or seal.default_version(store, name), operation=operation,
        )  # fmt: skip


def written(store: Path, order: Order, *, only_look: bool = False) -> str:
    """As one line, for `read`, and for `is_look`."""
    kind = next(word for word, each in _KINDS.items() if isinstance(order, each))
    return json.dumps(
        {"store": str(store), "kind": kind, "words": asdict(order), "look": only_look}, default=str
    )


def _stack(words: dict[str, Any]) -> Stack:
    told: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in words.items()}
    return Stack(**told)


def is_look(line: str) -> bool:
    """Whether nothing is to be sealed."""
    return bool(json.loads(line)["look"])


def read(line: str) -> tuple[Path, Order]:
    """What `written` wrote. ValueError, KeyError or TypeError for anything else."""
    found = json.loads(line)
    words: dict[str, Any] = found["words"]
    for key, value in words.items():
        if key in _PATHS and value is not None:
            words[key] = Path(value)
        elif key in _TUPLES:
            words[key] = tuple(value)
        elif key == "stack":
            words[key] = _stack(value)
        elif key == "image_format":
            words[key] = ImageFormat(value)
    return Path(found["store"]), _KINDS[found["kind"]](**words)
