"""Disk images of strangers: what was on them arrives whole, whoever imports them.

Requirements: mke2fs, qemu-img; root, or root of a namespace; mounting needs the real root.
"""

import ast
import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

import skinnybox
from skinnybox import run
from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.masters import catalogue, namespace
from skinnybox.model import ImageFormat
from skinnybox.operation import Operation
from tests.image import disks
from tests.image.disks import REAL_ROOT, as_ext4, describe, fill, seal, unpack, with_gpt, write_system

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
needs_root = pytest.mark.skipif(not REAL_ROOT, reason="mounting an image needs the real root")

INSIDE = """
mount -o loop "$1" "$2"; "$3" "$4" fill "$2"; "$3" "$4" describe "$2"
[ $# -lt 5 ] || { sync; cp --sparse=always "$1" "$5"; }
umount "$2"
"""


def by_the_kernel(
    folder: Path, *options: str, crashed: Path | None = None
) -> tuple[Path, dict[bytes, tuple[Any, ...]]]:
    """An image that the kernel wrote, and what it said of it; a copy taken before it was unmounted."""
    image, mount = folder / "disk.raw", folder / "mount"
    mount.mkdir()
    run.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard", *options, image, "96M"])
    words: list[str | Path] = [
        "sh",
        image,
        mount,
        sys.executable,
        disks.__file__,
        *([crashed] if crashed else []),
    ]
    done = run.run(["unshare", "-m", "sh", "-ec", INSIDE, *words])
    return image, ast.literal_eval(done.stdout.decode())


@needs_root
@pytest.mark.parametrize(
    "options", [[], ["-b", "1024", "-O", "inline_data,^extent,^64bit"]], ids=["usual", "other"]
)
def test_nothing_is_lost(tmp_path: Path, options: list[str]) -> None:
    image, wanted = by_the_kernel(tmp_path, *options)
    tree = unpack(image, tmp_path / "work")
    found = describe(tree)
    assert found.keys() == wanted.keys()
    assert [path for path in wanted if found[path] != wanted[path]] == []
    assert sum(path.lstat().st_blocks for path in tree.rglob("*")) * 512 < 60 << 20


@needs_root
def test_an_unclean_journal_is_replayed_on_a_copy(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed.raw"
    _, wanted = by_the_kernel(tmp_path, crashed=crashed)
    disk = with_gpt(tmp_path / "disk.gpt", {3: crashed.read_bytes()})
    before = hashlib.sha256(disk.read_bytes()).hexdigest()
    assert describe(unpack(disk, tmp_path / "work")) == wanted
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == before


IN_NAMESPACE = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from skinnybox.masters.imports import import_tree
from skinnybox.masters import catalogue
from skinnybox.operation import Operation
from skinnybox.model import ImageFormat
store = Path(sys.argv[3])
for image_format in ImageFormat.AUTO, ImageFormat.EXT4:
    master = import_tree(Path(sys.argv[2]), store=store, name="x", version="1", as_is=True, kernel=None,
                         initrd=None, operation=Operation(), image_format=image_format)
print(master.id, *(image.digest for image in master.images))
"""


@needs_root
@pytest.mark.usefixtures("for_everyone")
def test_an_ordinary_user_imports_the_same(tmp_path: Path, theirs: Path) -> None:
    """As root of a namespace, which cannot make devices and trusted.* attributes: those are refused."""
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("no python3 that everyone may run")
    tree = tmp_path / "tree"
    fill(tree, devices=False)
    (tree / "huge").unlink()
    (tree / "names" / ("a" * 255)).unlink()  # mkfs.erofs 1.5 cannot take the longest of names
    image, disk = as_ext4(tmp_path / "disk.raw", tree, size="64M"), theirs / "disk.qcow2"
    run.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, disk])
    source = Path(skinnybox.__file__).parent.parent
    words: list[str | Path] = [python, "-I", "-c", IN_NAMESPACE, source]
    seal(disk, tmp_path / "masters")
    ours = seal(disk, tmp_path / "masters", image_format=ImageFormat.EXT4)
    identity, *digests = in_namespace([*words, disk, theirs / "masters"]).split()
    assert (identity, len(digests)) == (ours.id, 2)
    assert digests == [image.digest for image in ours.images]
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with_device = as_ext4(theirs / "device.raw", tree, size="64M")
    said = in_namespace([*words, with_device, theirs / "masters"], fails=True)
    assert "what cannot be kept here" in said


def in_namespace(argv: list[str | Path], *, fails: bool = False) -> str:
    """Run as root of a user namespace of 65536 ids; what it printed, or its last words."""
    script = 'read go; exec setpriv --reuid=0 --regid=0 --clear-groups "$@"'
    words: list[str | Path] = ["unshare", "--user", "--keep-caps", "sh", "-c", script, "sh", *argv]
    with run.start(words, stdin=-1, stdout=-1, stderr=-1) as child:
        own = Path("/proc/self/ns/user").readlink()
        while Path(f"/proc/{child.pid}/ns/user").readlink() == own:
            pass
        for file in ("uid_map", "gid_map"):
            Path(f"/proc/{child.pid}/{file}").write_text("0 100000 65536\n")
        out, said = child.communicate(b"go\n", timeout=120)
        assert bool(child.returncode) == fails, said.decode()
    return (said if fails else out).decode()


FORMATS = {
    "qcow2": ("qcow2", []), "old qcow2": ("qcow2", ["-o", "compat=0.10"]), "raw": ("raw", []),
    "zstd": ("qcow2", ["-o", "compression_type=zstd", "-c"]), "vhd": ("vpc", []),
    "fixed vhd": ("vpc", ["-o", "subformat=fixed"]), "vmdk": ("vmdk", []),
    "stream vmdk": ("vmdk", ["-o", "subformat=streamOptimized"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_told_by_its_header(tmp_path: Path, plain: Path, name: str) -> None:
    driver, options = FORMATS[name]
    image = tmp_path / "image"
    run.run(["qemu-img", "convert", "-f", "raw", "-O", driver, *options, plain, image])
    image.chmod(0o600)
    wanted = describe(unpack(plain, tmp_path / "plain"))
    told = {"vpc": "vhd"}.get(driver, driver)
    assert describe(unpack(image, tmp_path / "found")) == wanted
    assert describe(unpack(image, tmp_path / "told", format=told)) == wanted
    with pytest.raises(SkinnyboxError):
        unpack(image, tmp_path / "mistold", format="vmdk" if told == "qcow2" else "qcow2")


def test_an_imported_disk_is_a_sealed_master(tmp_path: Path, plain: Path) -> None:
    store = tmp_path / "masters"
    master = seal(plain, store)
    catalogue.verify(store, master, Operation())
    assert (master.os, master.kernel_version) == ("Test 1", "6.1")
    assert {item.name for item in store.iterdir()} == {".lock", master.id.removeprefix("sha256:")}
    assert seal(plain, store) == master
    with pytest.raises(Conflict):
        seal(as_ext4(tmp_path / "other.img", write_system(tmp_path / "tree")), store)
