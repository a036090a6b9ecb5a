"""Systems with filesystems of their own in what people bring: put together, or refused by what is missing.

Requirements: mke2fs, sfdisk, qemu-img, xz; root, or root of a namespace.
"""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Unsupported
from skinnybox.masters import namespace
from skinnybox.masters.archives.bring import brought
from skinnybox.masters.mounts import Brought
from skinnybox.operation import Operation
from tests.image import archives
from tests.image.disks import SECTOR, as_ext4, write_system
from tests.image.test_masters_mounts import UUIDS, folder, partitioned

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
FSTAB = f"UUID={UUIDS[1]} / ext4\nPARTLABEL=var /var ext4\nPARTUUID={UUIDS[3]} /srv ext4\n"


def bring(source: Path, work: Path, *leave_out: str) -> tuple[Path, Brought]:
    work.mkdir()
    return brought(source, work, Operation(), leave_out=leave_out)


def system(tree: Path, fstab: str) -> Path:
    write_system(tree)
    (tree / "etc/fstab").write_text(fstab)
    return tree


def disk_of(folder_: Path, fstab: str = FSTAB) -> Path:
    """With the root, and /var and /srv as partitions of their own."""
    folder_.mkdir()
    images = [
        as_ext4(folder_ / "system.img", system(folder_ / "root", fstab), "-U", UUIDS[1]),
        as_ext4(folder_ / "var.img", folder(folder_ / "var", own="of its own"), size="4M"),
        as_ext4(folder_ / "srv.img", folder(folder_ / "srv", www="served"), size="4M"),
    ]
    return partitioned(folder_ / "disk.raw", images)


@pytest.mark.parametrize("kind", ["ova", "xva", "xz", "tar", "copy"])
def test_a_disk_in_an_archive_is_put_together(tmp_path: Path, kind: str) -> None:
    disk = disk_of(tmp_path / "made")
    if kind == "copy":  # of the table, which has the names as well
        with disk.open("r+b") as out:
            out.seek(SECTOR)
            out.write(bytes(33 * SECTOR))
    source = {
        "ova": lambda: archives.ova_of(tmp_path / "box.ova", disk),
        "xva": lambda: archives.xva_of(tmp_path / "box.xva", disk),
        "xz": lambda: archives.packed(disk, "xz"),
        "tar": lambda: archives.tar_with(tmp_path / "box.tar", {"disk.raw": disk}),
        "copy": lambda: disk,
    }[kind]()
    tree, found = bring(source, tmp_path / "work")
    assert (tree / "var/own").read_text() == "of its own"
    assert (tree / "srv/www").read_text() == "served"
    assert found.placed == ("/srv", "/var")
    assert found.left_out == (("1 more disk",) if kind == "xva" else ())
    assert (tree / "etc/fstab").read_text() == f"UUID={UUIDS[1]} / ext4\n"


def test_what_lies_on_another_disk_of_an_export_is_named(tmp_path: Path) -> None:
    disk = disk_of(tmp_path / "made", f"{FSTAB}UUID={UUIDS[8]} /data ext4\n/dev/xvdb1 /more ext4\n")
    source = archives.xva_of(tmp_path / "box.xva", disk)
    where = "is not on the disk that boots, the only one of 2 that is read"
    with pytest.raises(
        Unsupported, match=f"/data: UUID={UUIDS[8]} {where}; /more: /dev/xvdb1 {where}"
    ) as caught:
        bring(source, tmp_path / "work")
    assert caught.value.hint is not None and "--leave-out /data --leave-out /more" in caught.value.hint
    tree, found = bring(source, tmp_path / "other", "/data", "/more")
    assert found == Brought(placed=("/srv", "/var"), left_out=("/data", "/more", "1 more disk"))
    assert (tree / "etc/fstab").read_text() == f"UUID={UUIDS[1]} / ext4\n"


def test_a_partition_of_a_kind_that_is_not_read_is_named_with_the_others(tmp_path: Path) -> None:
    fstab = f"LABEL=odd /odd ext4\nUUID={UUIDS[8]} /data ext4\n"
    odd = as_ext4(
        tmp_path / "odd.img", folder(tmp_path / "odd", x="x"), "-L", "odd", "-b", "1024", "-O", "bigalloc"
    )
    disk = partitioned(
        tmp_path / "disk", [as_ext4(tmp_path / "a.img", system(tmp_path / "root", fstab)), odd]
    )
    with pytest.raises(Unsupported, match=r"/odd: partition 2: .*bigalloc.*; /data: UUID"):
        bring(disk, tmp_path / "work")
    left_out = bring(disk, tmp_path / "other", "/odd", "/data")[1].left_out
    assert left_out == ("/data", "/odd")


@pytest.mark.parametrize("kind", ["tar", "xz", "folder", "layers", "layout", "squashfs"])
def test_a_packed_tree_has_what_its_fstab_mounts_or_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "squashfs" and not (run.find("sqfs2tar") and run.find("tar2sqfs")):
        pytest.skip("no squashfs-tools-ng")
    tree = system(tmp_path / "golden", "UUID=1 / xfs\nUUID=2 /srv xfs\nnas:/x /data nfs\n")
    folder(tree / "srv", data="data")
    (tree / "data").mkdir()
    source = _packed(tmp_path, tree, kind)
    with pytest.raises(Unsupported, match=r"what it mounts cannot be brought: /data: nas:/x") as caught:
        bring(source, tmp_path / "work")
    assert caught.value.hint is not None and "--leave-out /data" in caught.value.hint
    found, parts = bring(source, tmp_path / "other", "/data")
    assert parts == Brought(placed=("/srv",), left_out=("/data",))
    assert (found / "srv/data").read_text() == "data"
    assert (found / "etc/fstab").read_text() == "UUID=1 / xfs\n"


def _packed(tmp_path: Path, tree: Path, kind: str) -> Path:
    file = archives.tar_of(tmp_path / "t", tree)
    if kind == "xz":
        return archives.packed(file, "xz")
    if kind == "folder":
        run.run(["tar", "-cf", file, "-C", tmp_path, "golden"])
    elif kind == "layers":
        return archives.docker_of(tmp_path / "image", [archives.layer_of(tmp_path, "1.tar", tree)])
    elif kind == "layout":
        return archives.oci_of(tmp_path / "image", [archives.layer_of(tmp_path, "1.tar", tree)], bytes)
    elif kind == "squashfs":
        with file.open("rb") as content:
            run.run(["tar2sqfs", "-q", tmp_path / "s"], stdin=content)
        return tmp_path / "s"
    return file
