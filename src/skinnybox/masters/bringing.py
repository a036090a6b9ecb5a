"""What is sealed in one store, brought to another: file by file, read there to the last byte, and published
as what is sealed there is. Killed at any instant, it is there whole or not at all."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from skinnybox.errors import Conflict, Corrupt
from skinnybox.layout import SYSTEM
from skinnybox.masters import catalogue, seal
from skinnybox.masters.layers import catalogue as layers
from skinnybox.masters.layers import sealing
from skinnybox.masters.manifest import FILE
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
    verify: Callable[[Path, S, Operation], None]
    publish: Callable[[Path, Path, S], S]
    noun: str
    files: tuple[str, ...]
    beside: tuple[str, ...]


_MASTERS: _Sort[Master] = _Sort(
    known=catalogue.masters, verify=catalogue.verify_in, publish=seal.publish, noun="master",
    files=(FILE, catalogue.INDEX, catalogue.KERNEL, catalogue.INITRD), beside=(SYSTEM,),
)  # fmt: skip
_LAYERS: _Sort[Layer] = _Sort(
    known=layers.layers, verify=layers.verify_in, publish=sealing.publish, noun="layer",
    files=(FILE, catalogue.INDEX), beside=(),
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


def _bring(
    sort: _Sort[S], source: Path, store: Path, sealed: S, held: AbstractContextManager[object],
    operation: Operation,
) -> None:  # fmt: skip
    known = sort.known(store)
    if any(other.id == sealed.id for other in known):
        return
    _refuse_named(sort, known, store, sealed)
    with workspace(store, "sealing") as work:
        with held:
            _copy(sort, catalogue.folder(source, sealed), work, sealed, operation)
        try:
            sort.verify(work, sealed, operation)
        except Corrupt as error:
            raise Corrupt(
                f"{sealed.reference} is not what was sealed, and is not brought to {store}",
                hint=f"`skinnybox {sort.noun} verify {sealed.reference}` says what of it",
            ) from error
        seal.finish(work)
        sort.publish(store, work, sealed)


def _refuse_named(sort: _Sort[S], known: Iterable[S], store: Path, sealed: S) -> None:
    for other in known:
        if other.reference == sealed.reference:
            raise Conflict(
                f"in {store} {sealed.reference} is another {sort.noun}, {other.id}, and here {sealed.id}",
                hint=f"a {sort.noun} is never called otherwise: remove that one there, or rebase the machine",
            )


def _copy(sort: _Sort[S], where: Path, work: Path, sealed: S, operation: Operation) -> None:
    for name in _names(where, sealed, sort.files, sort.beside):
        old, new = where / name, work / name
        with old.open("rb", buffering=0) as source, new.open("xb", buffering=0) as target:
            size = old.stat().st_size
            need(work, size)
            operation.step(task="bring", detail=f"{sealed.reference}: {name}")
            target.truncate(size)
            copy_data(source.fileno(), target.fileno(), operation)


def _names(
    where: Path, sealed: Master | Layer, always: Iterable[str], perhaps: Iterable[str]
) -> Iterator[str]:
    yield from always
    for image in sealed.images:
        yield image.file
    for name in perhaps:
        if (where / name).exists():
            yield name
