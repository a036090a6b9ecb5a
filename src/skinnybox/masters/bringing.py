"""What is sealed in one store, brought to another, of this computer or not: file by file, read there to
the last byte, and published as what is sealed there is. Killed at any instant, it is there whole or not at
all."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from skinnybox import private
from skinnybox.errors import Conflict, Corrupt
from skinnybox.layout import SYSTEM
from skinnybox.masters import catalogue, seal
from skinnybox.masters.layers import catalogue as layers
from skinnybox.masters.layers import manifest as layer_manifest
from skinnybox.masters.layers import sealing
from skinnybox.masters.manifest import FILE, FILE_NAME, from_manifest
from skinnybox.masters.plain_disk import need
from skinnybox.masters.workspace import workspace
from skinnybox.model import Layer, Master
from skinnybox.operation import Operation
from skinnybox.overlays.copy import copy_data

S = TypeVar("S", Master, Layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sort(Generic[S]):
    """What masters and layers do not do alike."""

    known: Callable[[Path], list[S]]
    read: Callable[[Path], tuple[S, str]]
    verify: Callable[[Path, S, Operation], None]
    publish: Callable[[Path, Path, S], S]
    noun: str
    files: tuple[str, ...]
    beside: tuple[str, ...]


_MASTERS: _Sort[Master] = _Sort(
    known=catalogue.masters, read=from_manifest, verify=catalogue.verify_in, publish=seal.publish,
    noun="master", files=(FILE, catalogue.INDEX, catalogue.KERNEL, catalogue.INITRD), beside=(SYSTEM,),
)  # fmt: skip
_LAYERS: _Sort[Layer] = _Sort(
    known=layers.layers, read=layer_manifest.from_manifest, verify=layers.verify_in,
    publish=sealing.publish, noun="layer", files=(FILE, catalogue.INDEX), beside=(),
)  # fmt: skip


def bring_master(
    source: Path, store: Path, master: Master, held: AbstractContextManager[object], operation: Operation
) -> None:
    """Idempotent. Conflict where the store has another of its NAME:VERSION; Corrupt where it is not what was
    sealed; NoSpace. Within `held`, which is entered when its turn comes, nobody removes it at its source: two
    who bring each other something must not wait for each other."""
    _bring(_MASTERS, source, store, master, held, operation)


def bring_layer(
    source: Path, store: Path, layer: Layer, held: AbstractContextManager[object], operation: Operation
) -> None:
    """The same."""
    _bring(_LAYERS, source, store, layer, held, operation)


def may_be_called(name: str) -> bool:
    """Whether a file of what is sealed may: it lies in its folder and nowhere else."""
    return FILE_NAME.fullmatch(name) is not None


def has_master(store: Path, identity: str, reference: str) -> bool:
    """Conflict where another of its NAME:VERSION is in the store."""
    return _is_there(_MASTERS, store, identity, reference)


def has_layer(store: Path, identity: str, reference: str) -> bool:
    """The same."""
    return _is_there(_LAYERS, store, identity, reference)


def files_of(store: Path, sealed: Master | Layer) -> dict[str, Path]:
    """Those that it consists of, its manifest first."""
    where = catalogue.folder(store, sealed)
    return {name: where / name for name in _names(where, sealed)}


def receive(
    store: Path, noun: str, manifest: bytes, fill: Callable[[Path], None], operation: Operation
) -> None:
    """What is sealed elsewhere: `fill` puts the files beside its manifest into a folder. Raises as above;
    what is no manifest is Corrupt."""
    if noun == _MASTERS.noun:
        _receive(_MASTERS, store, manifest, fill, operation)
    else:
        _receive(_LAYERS, store, manifest, fill, operation)


def _receive(
    sort: _Sort[S], store: Path, manifest: bytes, fill: Callable[[Path], None], operation: Operation
) -> None:
    private.make_folder(store)
    with workspace(store, "sealing") as work:
        (work / FILE).write_bytes(manifest)
        sealed, _ = sort.read(work / FILE)
        if _is_there(sort, store, sealed.id, sealed.reference):
            return
        fill(work)
        strange = {each.name for each in work.iterdir()} - set(_names(work, sealed))
        if strange:
            raise Corrupt(f"{sealed.reference} has no file {min(strange)!r:.100}")
        _finish(sort, store, work, sealed, operation)


def _bring(
    sort: _Sort[S], source: Path, store: Path, sealed: S, held: AbstractContextManager[object],
    operation: Operation,
) -> None:  # fmt: skip
    if _is_there(sort, store, sealed.id, sealed.reference):
        return
    with workspace(store, "sealing") as work:
        with held:
            _copy(files_of(source, sealed), work, sealed, operation)
        _finish(sort, store, work, sealed, operation)


def _finish(sort: _Sort[S], store: Path, work: Path, sealed: S, operation: Operation) -> None:
    try:
        sort.verify(work, sealed, operation)
    except Corrupt as error:
        raise Corrupt(
            f"{sealed.reference} is not what was sealed, and is not brought to {store}",
            hint=f"`skinnybox {sort.noun} verify {sealed.reference}` says what of it",
        ) from error
    seal.finish(work)
    sort.publish(store, work, sealed)


def _is_there(sort: _Sort[S], store: Path, identity: str, reference: str) -> bool:
    known = sort.known(store)
    if any(other.id == identity for other in known):
        return True
    for other in known:
        if other.reference == reference:
            raise Conflict(
                f"in {store} {reference} is another {sort.noun}, {other.id}, and here {identity}",
                hint=f"a {sort.noun} is never called otherwise: remove that one there, or rebase the machine",
            )
    return False


def _copy(files: Mapping[str, Path], work: Path, sealed: Master | Layer, operation: Operation) -> None:
    for name, old in files.items():
        new = work / name
        with old.open("rb", buffering=0) as source, new.open("xb", buffering=0) as target:
            size = old.stat().st_size
            need(work, size)
            operation.step(task="bring", detail=f"{sealed.reference}: {name}")
            target.truncate(size)
            copy_data(source.fileno(), target.fileno(), operation)


def _names(where: Path, sealed: Master | Layer) -> Iterator[str]:
    always, perhaps = _parts(sealed)
    yield from always
    for image in sealed.images:
        yield image.file
    for name in perhaps:
        if (where / name).exists():
            yield name


def _parts(sealed: Master | Layer) -> tuple[Iterable[str], Iterable[str]]:
    sort = _MASTERS if isinstance(sealed, Master) else _LAYERS
    return sort.files, sort.beside
