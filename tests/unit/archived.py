"""Disks with anything on them, archives of them as their writer writes them, and disks made of archives: for
the tests of who writes and who reads one."""

import io
import json
import stat
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from skinnybox import run
from skinnybox.delta.archive import restored, writing
from skinnybox.delta.archive.content import content_sum
from skinnybox.delta.archive.exported import export
from skinnybox.delta.archive.form import END, INDEX, TREES
from skinnybox.delta.archive.manifest import Manifest, Since, Stack, end_of, manifest_text
from skinnybox.delta.archive.members import Out
from skinnybox.delta.archive.walking import walked
from skinnybox.ext4 import Volume, open_volume
from skinnybox.hosts.record import to_record
from skinnybox.model import Allocation, Consistency, DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.edits import Creation, Edit, Link
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB
from tests.samples import an_instance
from tests.unit.rebased_disk import Tree, creations, stretch, whole, without_confinement

IMAGE = "sha256:" + "1" * 64
BASE = f"skinnybox-base 1\nimage {IMAGE} 2\nend\n".encode()
TOPS = {DiskKind.OVERLAY: b"upper", DiskKind.DATA: b"folders"}


def fresh(path: Path, cache: Path, kind: DiskKind = DiskKind.OVERLAY, size: int = 64 * MIB) -> Path:
    """As a host makes it."""
    path.unlink(missing_ok=True)
    make(template(cache, size, kind=kind), path, base=BASE, seed=b"s\n", allocation=Allocation.SPARSE)
    return path


def filled(
    disk: Path,
    tree: Tree,
    kind: DiskKind = DiskKind.OVERLAY,
    links: Mapping[bytes, bytes] | None = None,
    direct: Tree | None = None,
) -> Path:
    """As a guest would have; `links` are further names."""
    top = TOPS[kind]
    with ExitStack() as held:
        contents = held.enter_context(tempfile.TemporaryFile())
        with open_volume(disk) as volume:
            inode = volume.lookup(top).inode
        edits = list[Edit](creations(whole(tree), inode, top, contents))
        for path, of in (links or {}).items():
            folder, _, name = path.rpartition(b"/")
            below = tuple(folder.split(b"/")) if folder else ()
            edits.append(
                Link(folder=inode, below=below, name=name, path=top + b"/" + path, of=top + b"/" + of)
            )
        if direct is not None:
            edits += _direct(whole(direct), contents)
        contents.flush()
        edit.edited(disk, edits, contents.fileno(), Operation())
    edit.settled(disk)
    return disk


def _direct(tree: Tree, contents: Any) -> list[Edit]:
    """The folder beside the upper directory, which the guest part makes."""
    top = tree[b""]
    xattrs = tuple((key, stretch(contents, value)) for key, value in top.xattrs.items())
    made = Creation(
        folder=2, name=b"direct", path=b"direct", mode=stat.S_IFDIR | top.mode, uid=top.uid, gid=top.gid,
        mtime_ns=top.mtime_ns, xattrs=xattrs,
    )  # fmt: skip
    others = {path: thing for path, thing in tree.items() if path}
    below = [each for each in creations(others, 2, b"direct", contents) if isinstance(each, Creation)]
    return [made, *(_in(each, b"direct") for each in below)]


def _in(edit: Creation, folder: bytes) -> Creation:
    return replace(edit, below=(folder, *edit.below))


def disk(path: Path, cache: Path, upper: Tree, orders: Iterable[str] = ()) -> Path:
    """An overlay that holds that, and what debugfs is told then, from its root."""
    filled(fresh(path, cache), upper)
    if script := "".join(f"{order}\n" for order in orders):
        file = path.with_suffix(".orders")
        file.write_text(script)
        said = run.run(["debugfs", "-w", "-f", file, path])
        assert said.stderr.count(b"\n") <= 1, said.stderr
        edit.settled(path)
    return path


def manifest(since: Since | None = None, disks: tuple[DiskKind, ...] = (DiskKind.OVERLAY,)) -> Manifest:
    instance = an_instance("web")
    return Manifest(
        id=uuid4(), made=datetime.now(UTC), by="1", consistency=Consistency.STOPPED, disks=disks,
        machine=to_record(instance), since=since,
        stack=Stack(master=instance.stack.master, reference="web:1", images=(IMAGE,)),
    )  # fmt: skip


def exporting(folder: Path, disk: Path, earlier: bytes | None = None, about: Manifest | None = None) -> Path:
    """As the parent has it written, confined and compressed."""
    archive = folder / f"{uuid4()}.tar.zst"
    about = about or manifest()
    with archive.open("xb") as target, ExitStack() as held:
        before = None
        if earlier is not None:
            before = held.enter_context(tempfile.TemporaryFile())
            before.write(earlier)
            before.flush()
        export({DiskKind.OVERLAY: disk}, about, target.fileno(), folder, Operation(), before)
    return archive


def told(disk: Path, earlier: bytes | None = None, about: Manifest | None = None) -> bytes:
    """The tar alone, by this process."""
    with open_volume(disk) as volume:
        return told_of({DiskKind.OVERLAY: volume}, earlier, about)


def told_of(
    volumes: Mapping[DiskKind, Volume], earlier: bytes | None = None, about: Manifest | None = None
) -> bytes:
    target = io.BytesIO()
    before = None if earlier is None else io.BytesIO(earlier)
    end = writing.tell(manifest_text(about or manifest()), volumes, Out(target), io.BytesIO(), before)
    assert end_of(end).members == len(opened(target.getvalue()).getmembers()) - 1
    return target.getvalue()


@dataclass(frozen=True)
class Exported:
    """`file` is packed."""

    file: Path
    tar: bytes
    manifest: Manifest
    digest: str
    index: bytes


def exported(file: Path, disks: Mapping[DiskKind, Path], since: Exported | None = None) -> Exported:
    """The same of several disks, packed, and what is asked of it."""
    before = None if since is None else Since(id=since.manifest.id, digest=since.digest)
    about = manifest(before, tuple(disks))
    with ExitStack() as held:
        volumes = {kind: held.enter_context(open_volume(disk)) for kind, disk in disks.items()}
        tar = told_of(volumes, None if since is None else since.index, about)
    end = end_of(content(tar, END.decode()))
    return Exported(packed(file, tar), tar, about, end.digest, index(tar))


def packed(file: Path, tar: bytes) -> Path:
    """A file that holds a tar, compressed."""
    plain = file.with_suffix(".tar")
    plain.write_bytes(tar)
    run.run(["zstd", "-q", "-f", "--rm", plain, "-o", file])
    return file


def restore(
    folder: Path, cache: Path, files: Sequence[Path], kind: DiskKind = DiskKind.OVERLAY, size: int = 64 * MIB
) -> Path:
    """A new disk, as `create --from` fills it."""
    archives = restored.looked(files, folder)
    new = fresh(folder / f"new-{kind}.img", cache, kind, size)
    with restored.read(archives, size, folder, Operation()) as chain:
        restored.build(chain, kind, new, Operation())
    return new


def index_of(disks: Mapping[DiskKind, Path]) -> bytes:
    """What the index of an archive of them says."""
    found = list[bytes]()
    for tree in TREES:
        if tree.disk in disks:
            with open_volume(disks[tree.disk]) as volume:
                for each in walked(volume, tree):
                    is_file = each.node.type == "-" and not each.again
                    found.append(each.text(content_sum(volume, each.node) if is_file else ""))
    return b"".join(found)


def without_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who read archives are called here, which are plain tars then: what they raise that is no error of
    ours comes out."""
    without_confinement(monkeypatch)

    @contextmanager
    def inquire(module: str, arguments: Sequence[str], **_: object) -> Iterator[Iterator[Any]]:
        told: list[Iterator[Any]] = []
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[module], "answer", lambda values, **_: told.append(values))
            sys.modules[module].main(arguments)
        yield (json.loads(json.dumps(value)) for value in told[0])

    def ask(module: str, arguments: Sequence[str], **_: object) -> Any:
        with inquire(module, arguments) as answers:
            [found] = answers
        return found

    monkeypatch.setattr(restored, "inquire", inquire)
    monkeypatch.setattr(restored, "ask", ask)
    monkeypatch.setattr(restored, "kind_of", lambda *_: "tar")


def unpacked(archive: Path) -> bytes:
    return run.run(["zstd", "-dcq", archive]).stdout


def opened(tar: bytes) -> tarfile.TarFile:
    """By another reader than ours."""
    return tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape")


def content(tar: bytes, name: str) -> bytes:
    file = opened(tar).extractfile(name)
    assert file is not None
    return file.read()


def index(tar: bytes) -> bytes:
    return content(tar, INDEX.decode())
