"""Requirements: mkfs.erofs, fsck.erofs; root for what a mount shows."""

import contextlib
import os
import random
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, Conflict, Corrupt, NoSpace
from skinnybox.layout import SYSTEM
from skinnybox.masters import catalogue, erofs, images, workspace
from skinnybox.masters.index import Entry, read_index, scan
from skinnybox.masters.seal import seal
from skinnybox.masters.survey import survey
from skinnybox.model import Image, ImageKind, Master
from skinnybox.operation import Operation

pytestmark = pytest.mark.image
ROOT = os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split()[2] == "4294967295"
root_only = pytest.mark.skipif(not ROOT, reason="needs root: owners, capabilities, mount")
NEWEST = 1_700_000_000


def odd_tree(tree: Path) -> Path:
    (tree / "dir/deep").mkdir(parents=True)
    (tree / "dir/text").write_text("text\n" * 5000)
    (tree / "dir/random").write_bytes(random.Random(1).randbytes(100_001))
    (tree / "empty").touch()
    (tree / "setuid").write_text("x")
    (tree / "setuid").chmod(0o4755)
    (tree / "link").hardlink_to(tree / "dir/text")
    (tree / "broken").symlink_to("/no/where")
    (tree / ("long" * 60)).symlink_to("x" * 1000)
    (tree / "new\nline\\ \t'\"").write_text("1")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\x80")).write_text("2")
    os.mkfifo(tree / "fifo")
    with (tree / "sparse").open("wb") as file:
        file.truncate(3 << 20)
    os.setxattr(tree / "empty", "user.note", b"\0\xff" * 50)
    if ROOT:
        os.chown(tree / "dir", 70_000, 12)
        run.run(["setcap", "cap_net_bind_service+ep", tree / "setuid"])
        run.run(["setfacl", "-m", "u:1234:rwx", "-m", "d:u:99:r", tree / "dir"])
        os.setxattr(tree / "dir", "trusted.test", b"t")
        os.mknod(tree / "device", 0o640 | stat.S_IFCHR, os.makedev(259, 300))
    for number, entry in enumerate(list(scan(tree, Operation()))):
        name = os.fsencode(tree) + b"/" + entry.path
        os.utime(name, ns=(1, (NEWEST - number * 1000) * 10**9 + number), follow_symlinks=False)
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return odd_tree(tmp_path / "tree")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "masters"


def _seal(tree: Path, store: Path, name: str = "odd", version: str = "1") -> Master:
    boot = store.parent / "vmlinuz-6.1"
    boot.write_bytes(b"kernel")
    return seal(
        tree, store=store, name=name, version=version, kernel=boot, initrd=boot, operation=Operation()
    )


def _made(tree: Path, folder: Path, kind: ImageKind) -> Image:
    """An image in a new folder."""
    folder.mkdir()
    with images.making(tree, folder, kind, newest=survey(tree).newest, operation=Operation()):
        pass
    return images.stamped(folder, kind)


def _image(store: Path, master: Master) -> Path:
    return catalogue.folder(store, master) / master.images[0].file


@contextlib.contextmanager
def _mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    try:
        run.run(["mount", "-t", "erofs", "-o", "ro,loop", image, at])
    except CommandFailed as error:
        if "unknown filesystem type" not in error.stderr and "loop device" not in error.stderr:
            raise  # no excuse of the kernel's, but our image
        pytest.skip(f"cannot mount EROFS here: {error}")
    try:
        yield at
    finally:
        run.run(["umount", at])


def _hidden(store: Path) -> list[str]:
    return [item.name for item in store.iterdir() if item.name.startswith(".") and item.name != ".lock"]


def test_a_sealed_master_is_whole_read_only_and_verifies(tree: Path, store: Path) -> None:
    master = _seal(tree, store)
    place = catalogue.folder(store, master)
    files = {item.name: stat.S_IMODE(item.stat().st_mode) for item in place.iterdir()}
    closed = dict.fromkeys(["root.erofs", "manifest.json", "index.jsonl.gz", "system.jsonl.gz"], 0o400)
    assert (
        files == {**closed, "kernel": 0o444, "initrd": 0o444} and stat.S_IMODE(place.stat().st_mode) == 0o700
    )
    assert list(read_index(place / "index.jsonl.gz")) == list(scan(tree, Operation()))
    assert (master.kernel_version, master.entries, master.reference) == ("6.1", survey(tree).entries, "odd:1")
    assert catalogue.masters(store) == [master]
    assert _hidden(store) == []
    catalogue.verify(store, master, Operation())
    run.run(["fsck.erofs", _image(store, master)])


@root_only
def test_the_kernel_mounts_it_and_sees_every_entry_as_indexed(
    tree: Path, store: Path, tmp_path: Path
) -> None:
    master = _seal(tree, store)
    with _mounted(_image(store, master), tmp_path / "mnt") as mounted:
        assert list(scan(mounted, Operation())) == list(scan(tree, Operation()))


@root_only
def test_a_plain_image_holds_the_same_tree(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "plain.erofs"
    erofs.make(tree, image, ImageKind.EROFS_PLAIN, newest=survey(tree).newest, operation=Operation())
    erofs.stamp(image)
    assert image.stat().st_size % (2 << 20) == 0
    with _mounted(image, tmp_path / "mnt") as mounted:
        assert list(scan(mounted, Operation())) == list(scan(tree, Operation()))


@pytest.mark.parametrize("kind", list(ImageKind))
def test_two_seals_from_other_filesystems_are_the_same_bytes(
    tree: Path, tmp_path: Path, kind: ImageKind
) -> None:
    other = Path("/dev/shm") / f"skinnybox-{os.getpid()}"
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm")
    found = []
    try:
        run.run(["cp", "-a", tree, other])
        for number, source in enumerate((tree, other)):
            assert list(scan(source, Operation())) == list(scan(tree, Operation()))
            made = _made(source, tmp_path / str(number), kind)
            found.append((made, (tmp_path / str(number) / made.file).read_bytes()))
    finally:
        run.run(["rm", "-rf", "--", other])
    assert found[0] == found[1]


def test_two_images_of_one_tree_never_share_a_uuid(tree: Path, tmp_path: Path) -> None:
    uuids = set()
    for kind in ImageKind:
        made = _made(tree, tmp_path / kind, kind)
        dump = ["dumpe2fs", "-h"] if kind is ImageKind.EXT4 else ["dump.erofs"]
        assert str(made.uuid) in run.run([*dump, tmp_path / kind / made.file]).stdout.decode()
        uuids.add(made.uuid)
    assert len(uuids) == len(ImageKind)


def test_stamping_is_idempotent_and_does_not_change_the_digest(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    erofs.make(tree, image, ImageKind.EROFS_LZ4HC, newest=NEWEST, operation=Operation())
    before = erofs.image_digest(image)
    assert erofs.stamp(image) == before
    once = image.read_bytes()
    assert (erofs.stamp(image), image.read_bytes()) == (before, once)


def test_one_flipped_bit_anywhere_is_found_and_named(tree: Path, store: Path) -> None:
    master = _seal(tree, store)
    for file in sorted(catalogue.folder(store, master).iterdir()):
        if file.name == SYSTEM:  # derived: made again instead, see test_masters_system
            continue
        data = file.read_bytes()
        header = range(1024, 1152) if file.name == "root.erofs" else range(10)
        chosen = [*header, 0, len(data) - 1, *random.Random(2).sample(range(len(data)), min(6, len(data)))]
        for position in {place for place in chosen if place < len(data)}:
            file.chmod(0o644)
            file.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
            with pytest.raises(Corrupt, match=file.name):
                catalogue.verify(store, master, Operation())
        file.write_bytes(data)
    catalogue.verify(store, master, Operation())


def test_a_forged_header_with_a_good_checksum_is_found(tree: Path, store: Path) -> None:
    master = _seal(tree, store)
    image = _image(store, master)
    image.chmod(0o644)
    block = bytearray(image.read_bytes())
    block[1024 + 24] ^= 1
    image.write_bytes(block)
    erofs.stamp(image)
    with pytest.raises(Corrupt, match="build time"):
        catalogue.verify(store, master, Operation())


def test_a_cut_a_longer_and_a_missing_file_are_found(tree: Path, store: Path) -> None:
    master = _seal(tree, store)
    image = _image(store, master)
    image.chmod(0o644)
    data = image.read_bytes()
    for wrong in (data[:-1], data + b"\0", b""):
        image.write_bytes(wrong)
        with pytest.raises(Corrupt, match=r"root\.erofs"):
            catalogue.verify(store, master, Operation())
    image.unlink()
    with pytest.raises(Corrupt, match=r"root\.erofs is missing"):
        catalogue.verify(store, master, Operation())


def test_the_same_content_again_is_the_same_master(tree: Path, store: Path) -> None:
    first = _seal(tree, store)
    inode = _image(store, first).stat().st_ino
    assert _seal(tree, store) == first
    assert _image(store, first).stat().st_ino == inode
    assert _hidden(store) == []


def test_one_content_has_one_reference_and_one_reference_one_content(tree: Path, store: Path) -> None:
    _seal(tree, store)
    with pytest.raises(Conflict, match="sealed as odd:1"):
        _seal(tree, store, version="2")
    (tree / "empty").write_text("not any more")
    with pytest.raises(Conflict, match="odd:1 is sealed already"):
        _seal(tree, store)
    assert len(catalogue.masters(store)) == 1
    assert _hidden(store) == []


@root_only
def test_a_full_disk_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    run.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", small])
    try:
        with pytest.raises(NoSpace):
            _seal_in(tree, small / "masters", tmp_path)
        assert _hidden(small / "masters") == []
    finally:
        run.run(["umount", small])


def _seal_in(tree: Path, store: Path, elsewhere: Path) -> Master:
    boot = elsewhere / "boot"
    boot.write_bytes(b"kernel")
    return seal(tree, store=store, name="x", version="1", kernel=boot, initrd=boot, operation=Operation())


_PROGRAM = """
import sys
from pathlib import Path
from skinnybox.masters.seal import seal
from skinnybox.operation import Operation
tree, store, boot = map(Path, sys.argv[1:])
seal(tree, store=store, name="odd", version="1", kernel=boot, initrd=boot, operation=Operation())
"""


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1, 0.2])
def test_killed_at_any_instant_it_is_there_whole_or_not_at_all(
    tree: Path, store: Path, tmp_path: Path, delay: float
) -> None:
    (tmp_path / "boot").write_bytes(b"kernel")
    with run.start([sys.executable, "-c", _PROGRAM, tree, store, tmp_path / "boot"]) as child:
        while child.poll() is None and not (store.exists() and _hidden(store)):
            time.sleep(0.002)
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    # A program that was being started just then has the lock until it begins.
    ends = time.monotonic() + 10
    while any(workspace.alive(store / name) for name in _hidden(store)) and time.monotonic() < ends:
        time.sleep(0.01)
    found = catalogue.masters(store)
    for master in found:
        catalogue.verify(store, master, Operation())
    assert len(found) <= 1
    master = _seal(tree, store)
    catalogue.verify(store, master, Operation())
    assert _hidden(store) == []


def test_a_program_that_is_no_image_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x" * 8192)
    for action in (erofs.image_digest, erofs.stamp):
        with pytest.raises(Corrupt, match="not an EROFS image"):
            action(tmp_path / "image")


def test_index_and_image_agree_without_root(tree: Path, store: Path, tmp_path: Path) -> None:
    master = _seal(tree, store)
    out = tmp_path / "out"
    run.run(["fsck.erofs", f"--extract={out}", "--overwrite", _image(store, master)], ok=(0, 1))
    wanted: dict[bytes, Entry] = {entry.path: entry for entry in scan(tree, Operation())}
    for entry in scan(out, Operation()):
        if entry.type in "-l":
            assert (entry.digest, entry.target) == (wanted[entry.path].digest, wanted[entry.path].target)
