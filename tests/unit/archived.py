"""Disks with anything on them, and archives of them, for the tests of who writes and who reads one."""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from skinnybox import run
from skinnybox.delta.archive import exported, writing
from skinnybox.delta.archive.form import INDEX
from skinnybox.delta.archive.manifest import Manifest, Since, Stack, end_of, manifest_text
from skinnybox.delta.archive.members import Out
from skinnybox.ext4 import Volume, open_volume
from skinnybox.model import Consistency, DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from tests.unit.rebased_disk import Tree, overlay

MACHINE = UUID(int=7)
IMAGE = "sha256:" + "1" * 64
BASE = f"skinnybox-base 1\nimage {IMAGE} 2\nend\n".encode()


def manifest(since: Since | None = None, disks: tuple[DiskKind, ...] = (DiskKind.OVERLAY,)) -> Manifest:
    return Manifest(
        id=uuid4(), made=datetime(2026, 11, 27, tzinfo=UTC), by="0", consistency=Consistency.STOPPED,
        disks=disks, machine={"name": "web", "uuid": str(MACHINE)}, since=since,
        stack=Stack(master="sha256:" + "0" * 64, reference="web:1", images=(IMAGE,)),
    )  # fmt: skip


def disk(path: Path, cache: Path, upper: Tree, orders: Iterable[str] = ()) -> Path:
    """An overlay that holds that, and what debugfs is told then, from its root."""
    overlay(path, cache, upper, base=BASE)
    if script := "".join(f"{order}\n" for order in orders):
        file = path.with_suffix(".orders")
        file.write_text(script)
        said = run.run(["debugfs", "-w", "-f", file, path])
        assert said.stderr.count(b"\n") <= 1, said.stderr
        edit.settled(path)
    return path


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
        exported.export({DiskKind.OVERLAY: disk}, about, target.fileno(), folder, Operation(), before)
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
