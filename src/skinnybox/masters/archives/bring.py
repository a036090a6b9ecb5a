"""A private copy of what is to be sealed, from whatever somebody has: the file's own bytes say what it is.

| it is | then |
|---|---|
| a directory | copied; if it is an image of containers, its layers are laid on each other |
| packed (gz, xz, zst, bz2) | unpacked on the way |
| a tar of a root filesystem, or of one folder with one | extracted |
| a tar with one disk image in it (an OVA, disk.raw) | that disk |
| an XVA | its disk that boots |
| squashfs | extracted |
| anything else | a disk image, or nothing that we know |

Whatever it was, the tree is held to what its own fstab mounts (see mounts).
"""

import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skinnybox import run
from skinnybox.errors import Corrupt, NotFound, Unsupported, UsageError
from skinnybox.masters import namespace
from skinnybox.masters.archives.held import Held, held_in, kind_of
from skinnybox.masters.archives.magic import PACKED
from skinnybox.masters.archives.unpacking import (
    Bytes,
    answers_of,
    asked,
    improper,
    into_file,
    piped,
    reading,
    tar_in,
)
from skinnybox.masters.disk_header import LARGEST
from skinnybox.masters.disk_image import unpacked_disk
from skinnybox.masters.mount_points import settled
from skinnybox.masters.mounts import Brought
from skinnybox.masters.plain_disk import need, taken_out
from skinnybox.masters.tree import extracted, is_tar_name, unpacked
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.printable import printable

_XVA = "skinnybox.masters.archives.xva"
_MOST_DISKS = 1000
_UNPACK = {"zip": "unzip", "lz4": "lz4 -d", "7z": "7z x", "rar": "unrar x", "lzip": "lzip -d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One import. `taken` is a folder for what is taken out of the source on the way; the last four are as
    brought has them."""

    source: Path
    work: Path
    taken: Path
    operation: Operation
    format: str | None
    partition: int | None
    devices: bool
    leave_out: Sequence[str]


def brought(
    source: Path,
    work: Path,
    operation: Operation,
    *,
    format: str | None = None,
    partition: int | None = None,
    devices: bool = True,
    leave_out: Sequence[str] = (),
) -> tuple[Path, Brought]:
    """Copy or extract what `source` holds to `work`/tree, losing nothing. The source is only read.

    `format` and `partition` are a disk image's; `devices` False leaves out what is below /dev, `leave_out`
    are places that the system mounts, and whose files are not to come (see mounts). Raises
    Unsupported for what cannot be read, by name and with what helps, and for who is not root; Corrupt for
    what is damaged or cut off; NoSpace; UsageError.
    """
    if not source.exists():
        raise NotFound(f"{source} does not exist")
    if is_tree(source, format, partition):
        tree = unpacked(source, work, operation)
        return tree, settled(tree, leave_out, str(source))
    namespace.require_root()
    with tempfile.TemporaryDirectory(dir=work, prefix="taken-") as taken:
        job = Job(
            source=source, work=work, taken=Path(taken), operation=operation, format=format,
            partition=partition, devices=devices, leave_out=leave_out,
        )  # fmt: skip
        if _is_directory(source, format, partition):
            return work / "tree", _layers(job, _packed_up(job))
        return work / "tree", _file(job, Bytes(file=source, source=source))


def is_tree(source: Path, format: str | None, partition: int | None) -> bool:
    """Whether it is a directory that holds a system as it is."""
    return _is_directory(source, format, partition) and not _is_layout(source)


def _is_directory(source: Path, format: str | None, partition: int | None) -> bool:
    return source.is_dir() and format is None and partition is None


def _is_layout(folder: Path) -> bool:
    return (folder / "oci-layout").is_file() and (folder / "index.json").is_file()


def _packed_up(job: Job) -> Path:
    archive = job.taken / "layout.tar"
    need(job.work, sum(file.lstat().st_blocks * 512 for file in job.source.rglob("*")))
    run.run(["tar", "--create", "--file", archive, "--directory", job.source.absolute(), "."])
    return archive


def _file(job: Job, found: Bytes) -> Brought:
    kind = "disk" if job.format is not None else kind_of(found, job.work)
    if kind in _UNPACK:
        raise Unsupported(
            f"{job.source} is packed as {kind}",
            hint=f"`{_UNPACK[kind]} {shlex.quote(job.source.name)}` unpacks it",
        )
    if kind == "tar":
        return _tar(job, found)
    if kind in PACKED and found.packing:
        raise Unsupported(
            f"{job.source} is packed more than once", hint=f"unpack it with {found.packing}, and import that"
        )
    if kind in PACKED:
        return _file(job, replace(_ours(job, found) if kind == "squashfs" else found, packing=kind))
    return _disk(job, found)


def _ours(job: Job, found: Bytes) -> Bytes:
    """In a file of ours, which may be given to who unpacks it."""
    if found.file != job.source:
        return found
    taken_out(job.source, job.taken / "source", job.operation)
    return replace(found, file=job.taken / "source")


def _disk(job: Job, found: Bytes) -> Brought:
    file = found.file
    if found.packing:
        file = job.taken / "disk"
        into_file(found, file, job.operation, LARGEST, ["whole"])
    elif file == job.source and is_tar_name(file) and job.format is None:
        raise Corrupt(
            f"{file} cannot be read whole: it is no tar", hint="is it complete, and the right file?"
        )
    _, parts = unpacked_disk(
        job.source, job.work, job.operation,
        format=job.format, partition=job.partition, devices=job.devices, leave_out=job.leave_out,
        taken=None if file == job.source else file, beside=found.beside,
    )  # fmt: skip
    return parts


def _tar(job: Job, found: Bytes) -> Brought:
    job.operation.step(task="look", detail=job.source.name)
    held = held_in(found, job.work)
    if held.holds in ("disk", "xva", "squashfs"):
        return _inside(job, found, held)
    if held.holds == "disks":
        raise _several(job.source, held.names)
    if job.partition is not None:
        raise UsageError(
            f"{job.source} is no disk: it has no partitions", hint="import it without --partition"
        )
    if held.holds == "containers":
        return _layers(job, _plain(job, found))
    pieces = tar_in(found, job.work, "relay", held.prefix.hex())
    return _extract(job, pieces, held.prefix)


def _extract(job: Job, pieces: Iterator[bytes], prefix: bytes = b"") -> Brought:
    tree = job.work / "tree"
    extracted(pieces, tree, job.source, job.operation, devices=job.devices, prefix=prefix, dated=True)
    return settled(tree, job.leave_out, str(job.source))


def _several(source: Path, names: tuple[str, ...]) -> Unsupported:
    return Unsupported(
        f"{source} holds several disks: {', '.join(names)}",
        hint=f"`tar -xf {shlex.quote(source.name)} {shlex.quote(names[0])}` takes out one, to be imported",
    )


def _inside(job: Job, found: Bytes, held: Held) -> Brought:
    """What the archive is for: one file in it."""
    if not found.left:
        raise Unsupported(
            f"{job.source} holds archives in archives", hint="unpack it, and import what is inside"
        )
    inner, beside = job.taken / f"inside-{found.left}", found.beside
    if held.holds == "xva":
        beside += _xva(job, found, inner)
    else:
        _member(job, found, inner, held.name, held.size)
    if found.file != job.source:
        found.file.unlink()
    return _file(job, Bytes(file=inner, source=job.source, left=found.left - 1, beside=beside))


def _member(job: Job, found: Bytes, target: Path, name: bytes, size: int) -> dict[str, Any]:
    return into_file(found, target, job.operation, size, ["member", name.hex()])


def _xva(job: Job, found: Bytes, target: Path) -> int:
    """Take out its disk that boots; how many others it has."""
    with reading(found, job.work) as (descriptor, _):
        answers = answers_of(_XVA, job.source, ["disk", str(descriptor)], [descriptor], job.work)
    match answers:
        case [{"disk": str(disk), "size": int(size), "disks": int(disks)}] if (
            0 < size <= LARGEST and len(disk) < 64 and 0 < disks <= _MOST_DISKS
        ):
            into_file(found, target, job.operation, size, ["copy", disk], reader=_XVA)
            return disks - 1
    raise improper(job.source)


def _plain(job: Job, found: Bytes) -> Path:
    """Unpacked: an image's description may lie behind its layers."""
    if not found.packing:
        return found.file
    plain = job.taken / "image.tar"
    into_file(found, plain, job.operation, LARGEST, ["whole"])
    return plain


def _layers(job: Job, archive: Path) -> Brought:
    answers = asked(Bytes(file=archive, source=job.source), job.work, "layers")
    files = [
        _layer(job, archive, job.taken / f"layer-{number}", name, digest)
        for number, (name, digest) in enumerate(_named(job, answers))
    ]
    if not files:
        raise improper(job.source)
    with ExitStack() as undo:
        descriptors = [undo.enter_context(opened(file)) for file in files]
        words = ["merge", *map(str, descriptors)]
        return _extract(job, piped(job.source, words, descriptors, job.work))


def _layer(job: Job, archive: Path, target: Path, name: str, digest: str) -> Path:
    """Take one out, unpacked; checked when its name is its digest."""
    raw = name.encode("utf-8", "surrogateescape")
    found = _member(job, Bytes(file=archive, source=job.source), target, raw, LARGEST)
    if digest and found.get("sha256") != digest:
        raise Corrupt(
            f"{job.source}: {printable(name)} is not what its name says", hint="copy the whole of it again"
        )
    kind = kind_of(Bytes(file=target, source=job.source), job.work)
    if kind not in PACKED:
        return target
    plain = target.with_suffix(".tar")
    into_file(Bytes(file=target, source=job.source, packing=kind), plain, job.operation, LARGEST, ["whole"])
    target.unlink()
    return plain


def _named(job: Job, answers: list[Any]) -> Iterator[tuple[str, str]]:
    for layer in answers:
        match layer:
            case {"name": str(name), "sha256": str(digest)} if len(name) < 300:
                yield name, digest
            case _:
                raise improper(job.source)
