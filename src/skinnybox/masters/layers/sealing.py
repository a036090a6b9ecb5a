"""Where a layer is sealed: a tree becomes images that many machines share, in one step or not at all."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from skinnybox.durable import sync
from skinnybox.errors import Conflict
from skinnybox.masters import images
from skinnybox.masters.catalogue import INDEX, deleting, folder, locked
from skinnybox.masters.index import file_digest, scan, write_index
from skinnybox.masters.layers.catalogue import layers
from skinnybox.masters.layers.fitting import fit
from skinnybox.masters.layers.identity import content_id
from skinnybox.masters.layers.manifest import to_manifest
from skinnybox.masters.layers.taking import taken
from skinnybox.masters.manifest import FILE
from skinnybox.masters.seal import finish
from skinnybox.masters.survey import Survey, survey
from skinnybox.masters.workspace import workspace
from skinnybox.model import ImageKind, Layer, Master
from skinnybox.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Above:
    """The master that a layer is made for, and its index; `only` that very one, else all of its name."""

    master: Master
    index: Path
    only: bool = False


def import_layer(
    source: Path, *, store: Path, name: str, version: str, above: Above, at: str | None, operation: Operation
) -> Layer:
    """Seal a directory or a tar as a layer, with paths as in the guest, or with its root `at` a place there.

    It has an image of each kind that its master has. Killed at any instant, it is there whole or not at all.
    Idempotent: the same content for the same master under the same NAME:VERSION returns what is there;
    Conflict when either is taken by another. Unsupported, naming the path, for what no layer can hold (see
    fitting); NoSpace, Corrupt, UsageError, with nothing left behind. The source is only read.
    """
    with workspace(store, "work") as work:
        tree = taken(source, work, at, operation)
        return sealed(tree, store=store, name=name, version=version, above=above, operation=operation)


def sealed(tree: Path, *, store: Path, name: str, version: str, above: Above, operation: Operation) -> Layer:
    """The same of a private tree, which is altered and spent."""
    with ExitStack() as beside:
        for line in fit(tree, above.index, above.master.reference):
            operation.note(line)
        with workspace(store, "sealing") as sealing:
            known = survey(tree)
            kinds = tuple(dict.fromkeys(image.kind for image in above.master.images))
            _write(tree, sealing, kinds, known, above.master.kernel_version, operation)
            beside.enter_context(deleting(tree))
            layer = _made(sealing, kinds, known, above, name, version)
            operation.step(task="seal", detail=layer.reference)
            (sealing / FILE).write_bytes(to_manifest(layer, index=file_digest(sealing / INDEX)))
            finish(sealing)
            return publish(store, sealing, layer)


def _write(
    tree: Path, work: Path, kinds: tuple[ImageKind, ...], known: Survey, linux: str, operation: Operation
) -> None:
    """The index is made beside the first image, which another process writes."""
    for number, kind in enumerate(kinds):
        made = images.making(tree, work, kind, newest=known.newest, operation=operation, linux=linux)
        with made:
            if number == 0:
                write_index(scan(tree, operation, known), work / INDEX)


def _made(
    work: Path, kinds: tuple[ImageKind, ...], known: Survey, above: Above, name: str, version: str
) -> Layer:
    """Of what has been written."""
    master = above.master
    return Layer(
        id=content_id(work / INDEX, master.reference, only=above.only, master=master.id),
        name=name,
        version=version,
        images=tuple(images.stamped(work, kind) for kind in kinds),
        master=master.id,
        made_for=master.reference,
        only=above.only,
        architecture=master.architecture,
        kernel_version=master.kernel_version,
        tree_size=known.size,
        entries=known.entries,
        created=datetime.now(UTC),
    )


def publish(store: Path, work: Path, layer: Layer) -> Layer:
    """What is finished in a workspace is a layer from now on. Conflict as import_layer() says."""
    with locked(store, exclusive=True):
        for other in layers(store):
            if other.id == layer.id and other.reference == layer.reference:
                return other
            if other.id == layer.id:
                raise Conflict(
                    f"this very content is sealed as {other.reference}",
                    hint=f"use {other.reference}, or remove it first",
                )
            if other.reference == layer.reference:
                raise Conflict(
                    f"{layer.reference} is sealed already, with other content",
                    hint="give another version: a sealed layer never changes",
                )
        work.rename(folder(store, layer))
        sync(store)
        sync(store.parent)  # which has it by a name that the first layer made
    return layer
