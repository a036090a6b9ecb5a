"""A tree as an ext4: nothing of it is lost, it has the same bytes whoever makes it, and e2fsck mends nothing.

Requirements: e2fsprogs, mkfs.erofs; root for what a mount shows.
"""

import contextlib
import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, NoSpace, Unsupported
from skinnybox.ext4 import open_volume
from skinnybox.masters import catalogue, ext4_image, images
from skinnybox.masters.ext4_writer import layout, records, write
from skinnybox.masters.index import Entry, scan
from skinnybox.masters.seal import seal
from skinnybox.masters.survey import survey
from skinnybox.model import Image, ImageFormat, ImageKind, Master
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.image.test_masters_seal import NEWEST, ROOT, odd_tree, root_only

pytestmark = pytest.mark.image


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """With what only some filesystems keep, besides what odd_tree has."""
    made = odd_tree(tmp_path / "tree")
    os.link(made / "broken", made / "dir/broken too", follow_symlinks=False)
    (made / "lost+found").mkdir(mode=0o700)
    many = made / "many"
    many.mkdir()
    for number in range(700):
        (many / f"{number}-{'n' * (number % 240)}").touch()
    (many / ("a" * 255)).touch()  # which mkfs.erofs 1.5 cannot take
    os.setxattr(many / "0-", "user.large", bytes(range(256)) * 12)
    os.setxattr(many / "4-nnnn", "user.empty", b"")
    os.setxattr(many / "5-nnnnn", "user.empty", b"")
    os.setxattr(many / "5-nnnnn", "user.more", b"m" * 300)
    for name in ("1-n", "2-nn", "3-nnn"):
        os.setxattr(many / name, "user.shared", b"shared" * 100)
    with (made / "holes").open("wb") as file:
        for number in range(800):  # two levels of extents
            file.seek(number * 2 * records.BLOCK)
            file.write(b"%d" % number)
    for path in (made / "broken", made / "many", made / "lost+found", made / "holes", made):
        os.utime(path, ns=(1, NEWEST * 10**9 + 123_456_789), follow_symlinks=False)
    made.chmod(0o750)
    return made


def _made(tree: Path, folder: Path) -> tuple[Path, Image]:
    folder.mkdir()
    with images.making(tree, folder, ImageKind.EXT4, newest=survey(tree).newest, operation=Operation()):
        pass
    image = images.stamped(folder, ImageKind.EXT4)
    return folder / image.file, image


def _read(file: Path) -> Iterator[Entry]:
    """What our own reader finds, as the index tells it."""
    first: dict[int, bytes] = {}
    with open_volume(file) as volume:
        assert volume.superblock.clean
        for path, node in volume.walk(b""):
            content = hashlib.sha256(b"".join(volume.read(node))).hexdigest() if node.type == "-" else None
            linked = node.links > 1 and node.type != "d"
            yield Entry(
                path=path, type=node.type, mode=node.mode, uid=node.uid, gid=node.gid,
                mtime_ns=node.mtime_ns, size=node.size if node.type in "-l" else 0,
                rdev=os.makedev(*node.rdev) if node.type in "cb" else 0,
                digest=content and f"sha256:{content}",
                target=volume.target(node) if node.type == "l" else None,
                xattrs=tuple(sorted(volume.xattrs(node).items())),
                link=first.setdefault(node.inode, path) if linked else None,
            )  # fmt: skip


def _check(file: Path) -> None:
    """Neither anything to be mended, nor anything but the system's own."""
    said = run.run(["e2fsck", "-fn", file]).stdout.decode()
    assert "fix" not in said.lower(), said


def test_nothing_of_a_tree_is_lost(tree: Path, tmp_path: Path) -> None:
    file, _ = _made(tree, tmp_path / "made")
    assert list(_read(file)) == list(scan(tree, Operation()))
    _check(file)


@root_only
def test_the_kernel_sees_what_was_indexed(tree: Path, tmp_path: Path) -> None:
    file, _ = _made(tree, tmp_path / "made")
    mounted, known = tmp_path / "mnt", tmp_path / "known"
    mounted.mkdir()
    run.run(["mke2fs", "-q", "-t", "ext4", known, "8M"])
    try:  # so that only a kernel that mounts none is an excuse
        run.run(["mount", "-t", "ext4", "-o", "ro,noload,loop", known, mounted])
    except CommandFailed as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    run.run(["umount", mounted])
    run.run(["mount", "-t", "ext4", "-o", "ro,noload,loop", file, mounted])
    try:
        assert list(scan(mounted, Operation())) == list(scan(tree, Operation()))
    finally:
        run.run(["umount", mounted])


def test_nothing_in_it_is_newer_than_linux_2_6_28(tree: Path, tmp_path: Path) -> None:
    """Nor is there a journal: the kernel would have to be told not to replay it."""
    file, _ = _made(tree, tmp_path / "made")
    said = run.run(["dumpe2fs", "-h", file]).stdout.decode()
    features = said.partition("Filesystem features:")[2].partition("\n")[0].split()
    known = "ext_attr filetype extent flex_bg sparse_super large_file dir_nlink extra_isize"
    assert set(features) == set(known.split())
    assert "Default mount options:    user_xattr acl" in said


def test_attributes_come_in_one_order_whatever_order_they_were_set_in(tmp_path: Path) -> None:
    found = []
    for number, names in enumerate((["user.b", "user.a", "user.abc"], ["user.abc", "user.a", "user.b"])):
        tree = tmp_path / f"tree-{number}"
        tree.mkdir()
        (tree / "file").touch()
        for path in (tree, tree / "file"):
            for name in names:
                os.setxattr(path, name, b"1" * 30)
        for path in (tree / "file", tree):
            os.utime(path, ns=(number, 10**18))
        found.append(_made(tree, tmp_path / str(number))[1])
    assert found[0] == found[1]


def test_a_large_file_lies_around_what_groups_begin_with(tmp_path: Path) -> None:
    """Those copies have the image's UUID as well: e2fsck compares them."""
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "large").open("wb") as file:
        for number in range(280):
            file.write(random.Random(number).randbytes(MIB))
    image, made = _made(tree, tmp_path / "made")
    assert list(_read(image)) == list(scan(tree, Operation()))
    _check(image)
    images.check(image.parent, made)
    uuid = run.run(["dumpe2fs", "-h", "-o", "superblock=32768", "-o", "blocksize=4096", image])
    assert str(made.uuid) in uuid.stdout.decode()
    assert image.stat().st_size < 281 * MIB


def test_more_inodes_than_a_group_can_have_take_more_groups(tmp_path: Path) -> None:
    space = layout.Space(1)
    list(space.take(10))
    groups = layout.divided(space, 70_000)
    assert (len(groups.tables), groups.inodes) == (3, 23_344)
    assert groups.blocks > 2 * layout.GROUP
    file = tmp_path / "image"
    with file.open("wb") as image:
        layout.finish(image, space, groups, bytearray(256 * 10), [], date=1)
    with open_volume(file) as volume:
        assert volume.superblock.inodes == 3 * 23_344


def test_a_tree_of_many_empty_files(tmp_path: Path) -> None:
    """Their inodes take a second group, in which nothing else is but its copy of the superblock."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(33_000):
        (tree / f"{number}").touch()
    file, _ = _made(tree, tmp_path / "made")
    _check(file)
    with open_volume(file) as volume:
        assert volume.superblock.groups == 2
        assert sum(1 for _ in volume.walk(b"")) == 33_001


def test_one_flipped_bit_is_found_and_named(tree: Path, tmp_path: Path) -> None:
    file, made = _made(tree, tmp_path / "made")
    data = file.read_bytes()
    choice = random.Random(5)
    header = [1024 + at for at in (0, 4, 0x38, 0x68, 0x77, 0x100)]
    for position in [*header, 0, len(data) - 1, *(choice.randrange(len(data)) for _ in range(20))]:
        file.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        with pytest.raises(Corrupt, match=r"root\.ext4"):
            images.check(file.parent, made)
    for wrong in (data[:-1], data + b"\0", b"", data[:2000]):
        file.write_bytes(wrong)
        with pytest.raises(Corrupt, match=r"root\.ext4"):
            images.check(file.parent, made)
    file.write_bytes(data)
    images.check(file.parent, made)
    assert ext4_image.stamp(file) == made.digest
    assert file.read_bytes() == data


def _seal(tree: Path, store: Path, image_format: ImageFormat, version: str = "6.1") -> Master:
    kernel = store.parent / f"vmlinuz-{version}"
    kernel.write_bytes(b"kernel")
    return seal(
        tree, store=store, name="odd", version="1", kernel=kernel, initrd=kernel, operation=Operation(),
        image_format=image_format,
    )  # fmt: skip


def test_its_id_is_that_of_the_same_tree_as_erofs(tree: Path, tmp_path: Path) -> None:
    """So it is one master with two images, of which the one that was asked for last comes first."""
    store = tmp_path / "masters"
    (tree / "many" / ("a" * 255)).unlink()
    first = _seal(tree, store, ImageFormat.AUTO)
    both = _seal(tree, store, ImageFormat.EXT4)
    assert [image.kind for image in first.images] == [ImageKind.EROFS_LZ4HC]
    assert [image.kind for image in both.images] == [ImageKind.EXT4, ImageKind.EROFS_LZ4HC]
    assert both.id == first.id
    assert catalogue.find(store, "odd") == both
    assert both.disk == both.images[0]
    catalogue.verify(store, both, Operation())
    assert _seal(tree, store, ImageFormat.AUTO) == both


def test_what_no_ext4_keeps_is_refused_by_its_name(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir/date").touch()
    os.utime(tree / "dir/date", (13_000_000_000, 13_000_000_000))
    with pytest.raises(Unsupported, match=r"^/dir/date: .*2378"):
        _seal(tree, tmp_path / "masters", ImageFormat.EXT4)
    assert [path.name for path in (tmp_path / "masters").iterdir()] == [catalogue.LOCK]


def test_attributes_that_are_too_many_for_a_block_are_refused() -> None:
    few = [("user.a", b"x" * 4000)]
    inside, block = records.attributes(few)
    assert (inside, len(block)) == (b"", records.BLOCK)
    with pytest.raises(Unsupported, match="4 KiB"):
        records.attributes([*few, ("user.b", b"x" * 100)])


def test_so_many_share_a_block_of_attributes_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel shares one among 1024, and e2fsck mends one that more have."""
    monkeypatch.setattr(write, "_SHARED", 2)
    tree, file = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    for name in "abcde":
        (tree / name).touch()
        os.setxattr(tree / name, "user.shared", b"shared" * 100)
    with file.open("xb") as image:
        write.write(tree, image, date=1)
    _check(file)
    with open_volume(file) as volume:
        blocks = [node.attributes for path, node in volume.walk(b"") if path]
    assert [blocks.count(block) for block in blocks] == [2, 2, 2, 2, 1]


def test_a_file_that_is_written_to_meanwhile_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 5000)
    with pytest.raises(Corrupt, match="changed while it was read"):
        list(write.blocks_of(os.fsencode(file), 5001))


@pytest.mark.skipif(not ROOT, reason="needs root: a small filesystem")
def test_a_full_disk_is_told_and_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    run.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", small])
    try:
        with pytest.raises(NoSpace), contextlib.chdir(tmp_path):
            _seal(tree, small / "masters", ImageFormat.EXT4)
        assert [path.name for path in (small / "masters").iterdir()] == [catalogue.LOCK]
    finally:
        run.run(["umount", small])
