"""The ext4 reader against what mke2fs and the kernel wrote, judged by the kernel's own view of the tree."""

import ast
import hashlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, NotFound
from skinnybox.ext4 import Volume, open_volume

pytestmark = pytest.mark.image
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an image needs root")

LETTERS = {"d": stat.S_ISDIR, "-": stat.S_ISREG, "l": stat.S_ISLNK, "c": stat.S_ISCHR, "b": stat.S_ISBLK,
           "p": stat.S_ISFIFO, "s": stat.S_ISSOCK}  # fmt: skip
# user::rw- user:1000:r-- group::r-- mask::r-- other::---, as getxattr gives it
ACL = bytes.fromhex(
    "02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000400ffffffff 20000000ffffffff".replace(
        " ", ""
    )
)
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
KERNEL_FORMATS = {
    "1k": ["-b", "1024"],
    "2k-64bit": ["-b", "2048", "-O", "64bit"],
    "4k-no-checksums": ["-b", "4096", "-O", "^metadata_csum,^64bit"],
    "4k-inline": ["-b", "4096", "-O", "inline_data"],
    "1k-inline-large": ["-b", "1024", "-I", "512", "-O", "inline_data"],
    "map-1k": ["-b", "1024", "-O", "^extent,^64bit"],
    "map-4k": ["-b", "4096", "-O", "^extent,^64bit"],
    "meta_bg": ["-b", "1024", "-O", "meta_bg,^resize_inode,^flex_bg"],
    "sparse_super2": ["-b", "1024", "-O", "sparse_super2,meta_bg,^resize_inode"],
    "no-filetype": ["-b", "4096", "-O", "^filetype"],
}


def describe(tree: Path) -> dict[bytes, tuple[Any, ...]]:
    """What the kernel says of every path below, without lost+found."""
    paths = {os.fsencode(path.relative_to(tree)): path for path in tree.rglob("*")}
    found = {
        short: _described(path) for short, path in paths.items() if short.split(b"/")[0] != b"lost+found"
    }
    return {b"": _described(tree), **found}


def _described(path: Path) -> tuple[Any, ...]:
    info = path.lstat()
    letter = next(letter for letter, holds in LETTERS.items() if holds(info.st_mode))
    names = os.listxattr(path, follow_symlinks=False)
    return (
        letter, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid,
        info.st_size if letter in "-l" else 0,
        info.st_mtime_ns,
        (os.major(info.st_rdev), os.minor(info.st_rdev)) if letter in "bc" else (0, 0),
        info.st_nlink,
        os.fsencode(path.readlink()) if letter == "l" else b"",
        {name: os.getxattr(path, name, follow_symlinks=False) for name in names},
        _digest(_pieces(path)) if letter == "-" else "",
    )  # fmt: skip


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as source:
        while piece := source.read(1 << 20):
            yield piece


def as_read(volume: Volume, top: bytes = b"") -> dict[bytes, tuple[Any, ...]]:
    """The same by our reader."""
    return {
        path: (
            node.type, node.mode, node.uid, node.gid, node.size if node.type in "-l" else 0, node.mtime_ns,
            node.rdev, node.links, volume.target(node) if node.type == "l" else b"", volume.xattrs(node),
            _digest(volume.read(node)) if node.type == "-" else "",
        )
        for path, node in volume.walk(top)
        if path.split(b"/")[0] != b"lost+found"
    }  # fmt: skip


def _digest(pieces: Iterator[bytes]) -> str:
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


def fill(tree: Path, *, root: bool) -> None:
    """Everything that is awkward, as far as the caller may make it."""
    many = tree / "many"
    many.mkdir()
    for number in range(5000):
        (many / f"name-{number:05}-{'x' * (number % 40)}").touch()
    _names(tree / "names")
    _files(tree / "files")
    _links(tree)
    if root:
        _as_root(tree / "root")


def _names(folder: Path) -> None:
    folder.mkdir()
    for name in (
        b"new\nline",
        b"\xff\xfe not utf-8",
        b"-",
        b" ",
        b"a" * 255,
        b"back\\slash",
        "ü".encode(),
        b"a-b",
        b"a",
    ):
        (folder / os.fsdecode(name)).write_bytes(name)
    deep = folder
    for level in range(30):
        deep /= f"level-{level}"
        deep.mkdir()
    (folder / "a.d").mkdir()
    (folder / "a.d" / "z").touch()


def _files(folder: Path) -> None:
    folder.mkdir()
    for size in (0, 1, 59, 60, 61, 100, 150, 300, 1023, 1024, 4096, 70000, 3 << 20):
        (folder / f"of-{size}").write_bytes(os.urandom(size))
    with (folder / "sparse").open("wb") as sparse:
        for offset in (5 << 20, 20 << 20, 70 << 20):
            sparse.seek(offset)
            sparse.write(b"here")
        sparse.truncate(80 << 20 | 12345)
    with (folder / "combed").open("wb") as combed:
        for number in range(3000):
            combed.seek(number * 8192)
            combed.write(number.to_bytes(4, "little") * 256)
    with (folder / "preallocated").open("wb") as allocated, suppress(OSError):
        os.posix_fallocate(allocated.fileno(), 0, 1 << 20)
        os.pwrite(allocated.fileno(), b"in the middle", 500_000)
    for name, when in (("old", -86400 * 365 * 20), ("far", 86400 * 365 * 130)):
        (folder / name).touch()
        with suppress(OverflowError):
            os.utime(folder / name, ns=(0, when * 1_000_000_000 + 123_456_789))
    (folder / "of-1").chmod(0o4755)


def _links(tree: Path) -> None:
    for length in (1, 59, 60, 61, 199, 999):
        (tree / f"link-{length}").symlink_to((("t" * 49 + "/") * 20)[:length])
    os.link(tree / "files" / "of-100", tree / "hard")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tree / "socket"))


def _as_root(folder: Path) -> None:
    folder.mkdir()
    file = folder / "attributes"
    file.write_bytes(b"some")
    file.chmod(0o640)
    for name, value in (
        ("user.small", b"v"), ("user.empty", b""), ("trusted.overlay.origin", b"\0\xfb" * 10),
        ("security.capability", CAPABILITY), ("system.posix_acl_access", ACL), ("user.large", b"L" * 600),
    ):  # fmt: skip
        os.setxattr(file, name, value)
    os.setxattr(folder, "trusted.overlay.opaque", b"y")
    os.setxattr(folder, "system.posix_acl_default", ACL)
    os.mknod(folder / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(folder / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    os.chown(file, 100_000, 2_000_000)


def make_image(image: Path, *options: str | Path, size: str = "48M") -> Path:
    run.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard", *options, image, size])
    return image


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tree")
    fill(made, root=False)
    return made


@pytest.fixture(scope="module")
def image(tree: Path) -> Path:
    return make_image(tree.with_name("image"), "-i", "2048", "-d", tree, size="192M")


@needs_root
@pytest.mark.parametrize("options", KERNEL_FORMATS.values(), ids=KERNEL_FORMATS.keys())
def test_what_the_kernel_wrote_is_read_as_the_kernel_reads_it(tmp_path: Path, options: list[str]) -> None:
    image, mount = make_image(tmp_path / "image", "-i", "2048", *options, size="192M"), tmp_path / "mount"
    mount.mkdir()
    inside = 'mount -o loop "$1" "$2"; "$3" "$4" fill "$2"; "$3" "$4" describe "$2"; umount "$2"'
    done = run.run(["unshare", "-m", "sh", "-ec", inside, "sh", image, mount, sys.executable, __file__])
    wanted = ast.literal_eval(done.stdout.decode())
    with open_volume(image) as volume:
        assert as_read(volume) == wanted
        assert volume.superblock.clean


@pytest.mark.parametrize("block", [1024, 2048, 4096])
def test_a_tree_that_mke2fs_copied_in(tmp_path: Path, tree: Path, block: int) -> None:
    image = make_image(tmp_path / "image", "-b", str(block), "-i", "2048", "-d", tree, size="192M")
    wanted = describe(tree)
    with open_volume(image) as volume:
        found = as_read(volume)
    assert found.keys() == wanted.keys()
    for path, (letter, mode, *_, target, xattrs, digest) in wanted.items():
        if path:
            got = found[path]
            assert (got[0], got[1], *got[8:]) == (letter, mode, target, xattrs, digest), path


def test_the_walk_is_in_canonical_order(image: Path) -> None:
    with open_volume(image) as volume:
        paths = [path for path, _ in volume.walk(b"")]
        below = [path for path, _ in volume.walk(b"names")]
    assert paths == sorted(paths, key=lambda path: path.split(b"/") if path else [])
    assert [path[len(b"names/") :] for path in paths if path.startswith(b"names/")] == below[1:]


def test_looking_up_and_reading(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"0123456789" * 1000)
    (tmp_path / "tree" / "link").symlink_to("file")
    image = make_image(tmp_path / "image", "-d", tmp_path / "tree", "-L", "named", size="8M")
    with open_volume(image) as volume:
        node = volume.lookup(b"/file")
        assert (node.type, node.size) == ("-", 10_000)
        assert b"".join(volume.read(node, 15)) == b"012345678901234"
        ((logical, physical, length),) = volume.extents(node)
        assert (logical, length) == (0, 10_000)
        assert image.read_bytes()[physical : physical + length] == b"0123456789" * 1000
        assert volume.superblock.label == "named"
        assert 0 < volume.free_bytes < volume.size <= 8 << 20
        for path in (b"none", b"file/below", b"link/below"):
            with pytest.raises(NotFound, match="not on this volume"):
                volume.lookup(path)


@pytest.mark.parametrize(
    ("at", "value", "clean", "mounted", "errors"),
    [
        (None, 0, True, False, False),
        (0x3A, 0, False, False, False),  # it was not unmounted
        (0x3A, 1 | 2, False, False, True),
        (0x3A, 1 | 4, False, False, False),  # files without a name
        (0x3A, 2, False, False, True),
        (0x60, 0x42 | 4, False, True, False),  # a journal that was not replayed
        (0xE8, 12, False, False, False),  # a file that was to be deleted
        (0x66, 1, False, False, False),  # files without a name, in a file of their own
        (0x2C, 1, True, True, False),
        (0x34, 1, True, True, False),
        (0x34, 256, True, True, False),
    ],
)
def test_only_what_needs_no_repair_is_clean(
    tmp_path: Path, at: int | None, value: int, clean: bool, mounted: bool, errors: bool
) -> None:
    options = ("-b", "4096", "-O", "^metadata_csum,^64bit,^flex_bg")
    image = make_image(tmp_path / "image", *options, size="1M")
    if at is not None:
        with image.open("r+b") as raw:
            raw.seek(1024 + at)
            raw.write(value.to_bytes(2, "little"))
    with open_volume(image) as volume:
        found = volume.superblock
    assert (found.clean, found.mounted, found.has_errors) == (clean, mounted, errors)


def test_a_file_beyond_4_gib_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "huge").open("wb") as huge:
        huge.seek(9 << 30)
        huge.write(b"end")
    image = make_image(tmp_path / "image", "-d", tmp_path / "tree", size="8M")
    with open_volume(image) as volume:
        node = volume.lookup(b"huge")
        assert node.size == (9 << 30) + 3
        ((logical, physical, length),) = volume.extents(node)
        assert (logical, length) == (9 << 30, 3)
        assert next(volume.read(node)) == bytes(1 << 20)
    with image.open("rb") as raw:
        raw.seek(physical)
        assert raw.read(3) == b"end"


def test_what_is_no_volume_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such disk"), open_volume(tmp_path / "none"):
        pass
    with pytest.raises(Corrupt, match="neither a file nor"), open_volume(tmp_path):
        pass
    for content in (b"", bytes(100), bytes(1 << 20), os.urandom(1 << 20)):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(Corrupt, match="no ext4 volume"), open_volume(tmp_path / "file"):
            pass


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(Path(sys.argv[2]), root=True)
    else:
        print(describe(Path(sys.argv[2])))
