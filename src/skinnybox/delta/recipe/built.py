"""A layer built by a recipe on top of a stack."""

from pathlib import Path

from skinnybox.delta.promote.lower import Lower
from skinnybox.delta.recipe import steps
from skinnybox.delta.recipe.own import Before, newest, own
from skinnybox.delta.recipe.stack_tar import pieces_of
from skinnybox.masters import namespace
from skinnybox.masters.layers.fitting import fit
from skinnybox.masters.layers.sealing import Above, sealed
from skinnybox.masters.plain_disk import need
from skinnybox.masters.recipe import Recipe
from skinnybox.masters.tree import extracted
from skinnybox.masters.workspace import workspace
from skinnybox.model import Layer
from skinnybox.model.promotion import LayerContents
from skinnybox.operation import Operation
from skinnybox.printable import printable_path


def build_layer(
    recipe: Recipe,
    lower: Lower,
    index: Path,
    *,
    store: Path,
    name: str,
    version: str,
    above: Above,
    network: bool,
    operation: Operation,
) -> Layer:
    """Seal what the recipe alters in the tree of a stack, of which `index` tells, to the store of layers.

    The same stack and the same recipe give the same layer, unless its scripts make something else each time.
    Killed at any instant, it is there whole or not at all, and nothing that it began runs on. UsageError for
    a recipe of a master, or one that fails; Unsupported, naming the path, for what no layer can hold, such
    as packages; else as the import of a layer.
    """
    with workspace(store, "work") as work:
        contents = _worked(recipe, lower, index, work, above, operation, network=network)
        for line in told(contents):
            operation.note(line)
        return sealed(
            work / "tree", store=store, name=name, version=version, above=above, operation=operation
        )


def would_build(
    recipe: Recipe,
    lower: Lower,
    index: Path,
    *,
    store: Path,
    above: Above,
    network: bool,
    operation: Operation,
) -> LayerContents:
    """The same without sealing it: what would be in it. Refused as that is."""
    with workspace(store, "work") as work:
        contents = _worked(recipe, lower, index, work, above, operation, network=network)
        fit(work / "tree", above.index, above.master.reference)
        return contents


def _worked(
    recipe: Recipe,
    lower: Lower,
    index: Path,
    work: Path,
    above: Above,
    operation: Operation,
    *,
    network: bool,
) -> LayerContents:
    steps.refuse_of_masters(recipe)
    namespace.require_root()
    need(work, lower.tree_size)
    subject = above.master.reference
    tree = work / "tree"
    with pieces_of(lower, subject) as pieces:
        extracted(pieces, tree, Path(subject), operation, devices=False)
    dated = max(newest(index), steps.newest_source(recipe))
    before = Before(index=index, name=f"what lies below it, {subject}", since=_now(work))
    steps.done(recipe, tree, operation, network=network, dated=dated)
    operation.step(task="compare", detail=subject)
    return own(tree, before, dated)


def _now(work: Path) -> int:
    """By the filesystem's clock, which lags behind ours."""
    mark = work / "mark"
    mark.touch()
    return mark.stat().st_ctime_ns


def told(contents: LayerContents) -> list[str]:
    """Lines about what does not go into the layer, by reason."""
    found: dict[str, list[str]] = {}
    for row in contents.left_out:
        found.setdefault(row.reason, []).append(f"/{printable_path(row.path)}")
    return [f"not in the layer ({reason}): {_few(paths)}" for reason, paths in found.items()]


def _few(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"
