"""What a machine's stack shows, master and layers together: images, names, and what is in a file."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.masters import catalogue
from skinnybox.masters.catalogue import INDEX
from skinnybox.model import Content, Instance, Layer, Master, Stack

if TYPE_CHECKING:
    from skinnybox.delta.promote.lower import Lower
    from skinnybox.delta.rebase.masters import Files
    from skinnybox.fleet.context import Context


def indexes(folder: Path, stack: Stack) -> list[Path]:
    """Of its layers, from the lowest up. `folder` is the state folder. NotFound when one is gone."""
    if not stack.layers:
        return []
    from skinnybox.masters.layers.catalogue import layers_of

    store = folder / "layers"
    return [catalogue.folder(store, layer) / INDEX for layer, _ in layers_of(store, stack)]


def images(folder: Path, stack: Stack) -> list[Path]:
    """Of its layers, from the lowest up, those that its machine has. NotFound when one is gone."""
    if not stack.layers:
        return []
    from skinnybox.masters.layers.catalogue import layers_of

    store = folder / "layers"
    return [catalogue.folder(store, layer) / image.file for layer, image in layers_of(store, stack)]


@contextmanager
def all_images(context: "Context", instance: Instance) -> Iterator[tuple[Path, ...]]:
    """The files of its master's and its layers', the topmost first; nobody removes them meanwhile. Of a
    master's image that is there no more in its own form another form of the same tree. NotFound."""
    stack = instance.stack
    with context.masters.kept(stack.master.removeprefix("sha256:")) as master, context.layers.held():
        own = master.image(stack.images[0]) or master.images[0]
        above = images(context.folder, stack)
        yield (*reversed(above), context.masters.folder(master) / own.file)


@contextmanager
def index_of(folder: Path, sealed: Path, stack: Stack) -> Iterator[Path]:
    """One index of all that it shows, to be opened in the block. `sealed` is its master's folder."""
    above = indexes(folder, stack)
    if not above:
        yield sealed / INDEX
        return
    from skinnybox.masters.layers.stacked import write_stacked

    with tempfile.TemporaryFile(dir=folder) as file:
        write_stacked([sealed / INDEX, *above], file)
        yield Path(f"/proc/self/fd/{file.fileno()}")


@contextmanager
def opened(folder: Path, master: Master, stack: Stack) -> Iterator["Files"]:
    """What confined readers are handed of it; nobody removes the master meanwhile. It may be another than the
    stack's: the layers are those of the stack."""
    from skinnybox.delta.rebase import masters

    store = folder / "masters"
    with ExitStack() as held:
        index = held.enter_context(index_of(folder, catalogue.folder(store, master), stack))
        above = images(folder, stack)
        yield held.enter_context(masters.opened(store, master, folder, index=index, layers=above))


@contextmanager
def lower(folder: Path, master: Master, stack: Stack) -> Iterator["Lower"]:
    """The same for who reads all that is in it."""
    from skinnybox.delta.promote.lower import Lower

    trees: list[Master | Layer] = [master]
    if stack.layers:
        from skinnybox.masters.layers.catalogue import layers_of

        trees += (layer for layer, _ in layers_of(folder / "layers", stack))
    with opened(folder, master, stack) as files:
        yield Lower(
            files=files,
            tree_size=sum(tree.tree_size for tree in trees),
            entries=sum(tree.entries for tree in trees),
        )


def contents(
    folder: Path, master: Master, stack: Stack, paths: Sequence[bytes], limit: int
) -> Iterator[Content | None]:
    """What is in each of these paths; None where it has no such file. Corrupt, NotFound, Unsupported."""
    from skinnybox.delta.content import images
    from skinnybox.masters.layers.catalogue import layers_of

    own = master.image(stack.images[0]) or master.images[0]
    trees = [(catalogue.folder(folder / "masters", master), own)]
    if stack.layers:
        trees += [
            (catalogue.folder(folder / "layers", layer), image)
            for layer, image in layers_of(folder / "layers", stack)
        ]
    seen = _seen([at / INDEX for at, _ in trees], paths)
    return images([at / image.file for at, image in trees], [(path, seen.get(path)) for path in paths], limit)


def content(folder: Path, master: Master, stack: Stack, path: bytes, limit: int) -> Content | None:
    """The same of one."""
    [found] = contents(folder, master, stack, [path], limit)
    return found


def _seen(indexes: Sequence[Path], paths: Sequence[bytes]) -> dict[bytes, int]:
    """Of each the number of the topmost tree of which it is seen. All are looked for in a master alone."""
    if len(indexes) == 1:
        return dict.fromkeys(paths, 0)
    from skinnybox.masters.layers.stacked import stacked

    wanted = frozenset(paths)
    return {line.path: number for number, line in stacked(indexes) if line.path in wanted}
