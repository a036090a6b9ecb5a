"""Systems with filesystems of their own for /var, /srv ...: put into their places, or refused by name.

Requirements: mke2fs, sfdisk; root, or root of a namespace.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skinnybox
from skinnybox import run
from skinnybox.errors import Corrupt, SkinnyboxError, Unsupported
from skinnybox.ext4 import open_volume
from skinnybox.masters import catalogue, disk_image, namespace
from skinnybox.masters.disk_image import unpacked_disk
from skinnybox.masters.imports import import_tree
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.sandbox import reader
from tests.image.disks import (
    CONFIGURATION,
    REAL_ROOT,
    SECTOR,
    as_ext4,
    describe,
    fill,
    signed,
    unpack,
    write_system,
)
from tests.image.test_masters_disk import IN_NAMESPACE, in_namespace

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
UUIDS = [f"{number:08d}-1111-2222-3333-444444444444" for number in range(9)]
FSTAB = f"""\
# /etc/fstab
UUID={UUIDS[1]} / ext4 errors=remount-ro 0 1
LABEL=old\\040boot /boot ext2 defaults 0 2
UUID={UUIDS[3].upper()} /srv ext4 nosuid,nodev 0 2
PARTLABEL=log /var/log ext3 defaults 0 2
PARTUUID={UUIDS[5]} /var ext4 defaults,nofail 0 2
tmpfs /tmp tmpfs nosuid
"""
KEPT = f"""\
# /etc/fstab
UUID={UUIDS[1]} / ext4 errors=remount-ro 0 1
tmpfs /tmp tmpfs nosuid
/srv /srv none bind,nosuid,nodev 0 0
"""


def partitioned(disk: Path, images: list[Path]) -> Path:
    """A GPT disk by sfdisk, partitions from 1; each is named as its image's file."""
    starts, position = [], 2048
    layout = "label: gpt\n"
    for number, image in enumerate(images, start=1):
        size = image.stat().st_size // SECTOR
        layout += f"start={position}, size={size}, uuid={UUIDS[number]}, name={image.stem}\n"
        starts.append(position)
        position += -(-size // 2048) * 2048
    with disk.open("wb") as out:
        out.truncate((position + 2048) * SECTOR)
    run.run(["sfdisk", "--quiet", disk], stdin=layout.encode())
    with disk.open("r+b") as out:
        for start, image in zip(starts, images, strict=True):
            out.seek(start * SECTOR)
            out.write(image.read_bytes())
    return disk


def listed(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir())


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system without what its fstab mounts, and with what nobody saw below it."""
    tree = write_system(tmp_path / "root", without="boot")
    folder(tree / "boot", old="hidden by what is mounted there")
    folder(tree / "var/log", old="hidden twice")
    (tree / "etc/fstab").write_text(FSTAB)
    os.chown(tree / "etc/fstab", 7, 8)
    (tree / "etc/fstab").chmod(0o640)
    for path in (tree / "etc/fstab", tree / "etc", tree):
        os.utime(path, (1_500_000_000, 1_500_000_000))
    return tree


@pytest.fixture
def disk(tmp_path: Path, root: Path) -> Path:
    boot = folder(tmp_path / "trees/boot", **{"vmlinuz-6.1": "kernel", "config-6.1": CONFIGURATION})
    srv, log = tmp_path / "trees/srv", folder(tmp_path / "trees/log", syslog="of its own")
    srv.mkdir()
    fill(srv, devices=REAL_ROOT)
    (srv / "etc/os-release").unlink()  # no second system
    for name in ("huge", "names/" + "a" * 255):  # too long for mkfs.erofs 1.5, and for a quick test
        (srv / name).unlink()
    folder(srv / "dev", **{"not-a-device": "content"})
    srv.chmod(0o2751)
    os.chown(srv, 33, 34)
    os.utime(srv, (1_400_000_000, 1_400_000_000))
    var = folder(tmp_path / "trees/var", own="of its own")
    folder(var / "log")
    return partitioned(
        tmp_path / "disk.raw",
        [
            as_ext4(tmp_path / "system.img", root, size="16M"),
            as_ext4(tmp_path / "boot.img", boot, "-t", "ext2", "-L", "old boot", size="4M"),
            as_ext4(tmp_path / "srv.img", srv, "-U", UUIDS[3], size="64M"),
            as_ext4(tmp_path / "log.img", log, "-t", "ext3", size="4M"),
            as_ext4(tmp_path / "var.img", var, size="4M"),
        ],
    )


def test_each_filesystem_is_put_in_its_place_whole(tmp_path: Path, disk: Path) -> None:
    alone = tmp_path / "alone.raw"
    alone.write_bytes((tmp_path / "srv.img").read_bytes())
    wanted = describe(unpack(alone, tmp_path / "alone", partition=0))
    tree, brought = unpacked_disk(
        disk, work_of(tmp_path), Operation(), format=None, partition=None, devices=False
    )
    found = describe(tree / "srv")
    assert found.keys() == wanted.keys()
    assert [path for path in wanted if found[path] != wanted[path]] == []
    assert brought.placed == ("/boot", "/srv", "/var", "/var/log")
    assert listed(tree / "var") == ["log", "own"]
    assert listed(tree / "var/log") == ["syslog"]
    assert listed(tree / "boot") == ["config-6.1", "vmlinuz-6.1"]
    info = (tree / "etc/fstab").stat()
    assert (tree / "etc/fstab").read_text() == KEPT
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777, info.st_mtime) == (7, 8, 0o640, 1_500_000_000)
    assert (tree / "etc").stat().st_mtime == 1_500_000_000
    with open_volume(tmp_path / "system.img") as volume:  # where /srv was not
        assert tree.stat().st_mtime_ns == volume.lookup(b"").mtime_ns


def work_of(tmp_path: Path, name: str = "work") -> Path:
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name


def sealed(source: Path, store: Path, *leave_out: str, **options: Any) -> Master:
    return import_tree(
        source,
        store=store,
        name="x",
        version="1",
        as_is=True,
        kernel=None,
        initrd=None,
        operation=Operation(),
        leave_out=leave_out,
        **options,
    )


def test_the_master_says_what_it_was_put_together_of(tmp_path: Path, disk: Path) -> None:
    master = sealed(disk, tmp_path / "masters", "/var/log")
    assert (master.placed, master.left_out) == (("/boot", "/srv", "/var"), ("/var/log",))
    assert catalogue.masters(tmp_path / "masters") == [master]
    again = sealed(disk, tmp_path / "others", "/var/log")
    assert again.id == master.id
    assert sealed(disk, tmp_path / "whole").id != master.id


@pytest.mark.skipif(not REAL_ROOT, reason="making a namespace of many ids needs the real root")
@pytest.mark.usefixtures("for_everyone")
def test_an_ordinary_user_puts_them_in_the_same_places(tmp_path: Path, root: Path) -> None:
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("no python3 that everyone may run")
    (root / "boot/vmlinuz-6.1").write_text("kernel")
    (root / "boot/config-6.1").write_text(CONFIGURATION)
    (root / "etc/fstab").write_text("PARTLABEL=www /srv/www ext4 nosuid\n")
    www = folder(tmp_path / "www", index="index")
    os.chown(www / "index", 33, 34)
    images = [as_ext4(tmp_path / "system.img", root), as_ext4(tmp_path / "www.img", www, size="4M")]
    source = Path(skinnybox.__file__).parent.parent
    with tempfile.TemporaryDirectory() as name:
        theirs = Path(name)
        os.chown(theirs, 100_000, 100_000)  # the root of that namespace
        disk = partitioned(theirs / "disk.raw", images)
        words: list[str | Path] = [python, "-I", "-c", IN_NAMESPACE, source, disk, theirs / "masters"]
        identity, *_ = in_namespace(words).split()
        assert identity == sealed(disk, tmp_path / "masters").id


def test_what_is_left_out_leaves_what_lay_below_it(tmp_path: Path, disk: Path) -> None:
    tree = unpack(disk, tmp_path / "work", leave_out=["/srv", "/var", "/var/log"], only_tree=False)
    assert (tree / "var/log/old").read_text() == "hidden twice"
    assert not (tree / "srv").exists()
    assert "/var" not in (tree / "etc/fstab").read_text()


def test_a_filesystem_that_is_no_ext4_is_refused_before_anything_is_read(tmp_path: Path, root: Path) -> None:
    (root / "etc/fstab").write_text("PARTLABEL=data /srv xfs defaults 0 2\nnas:/home /home nfs\n")
    (tmp_path / "data.img").write_bytes(signed("xfs"))
    (tmp_path / "lvm.img").write_bytes(signed("LVM"))
    images = [as_ext4(tmp_path / "system.img", root), tmp_path / "data.img", tmp_path / "lvm.img"]
    disk = partitioned(tmp_path / "disk.raw", images)
    work = work_of(tmp_path)
    with pytest.raises(Unsupported, match=r"/srv: partition 2 holds xfs.*/home: nas:/home .nfs. lies"):
        unpacked_disk(disk, work, Operation(), format=None, partition=None, devices=True)
    assert list(work.iterdir()) == []


def test_a_journal_with_something_in_it_is_replayed_first(tmp_path: Path, root: Path) -> None:
    """Of the volume to be placed: what its superblock says of it before is only where it lies."""
    (root / "etc/fstab").write_text(f"UUID={UUIDS[2]} /srv ext4\n")
    srv = as_ext4(tmp_path / "srv.img", folder(tmp_path / "srv", a="a"), "-U", UUIDS[2], size="8M")
    run.run(["debugfs", "-w", "-R", "feature needs_recovery", srv])
    disk = partitioned(tmp_path / "disk.raw", [as_ext4(tmp_path / "system.img", root), srv])
    assert (unpack(disk, tmp_path / "work") / "srv/a").read_text() == "a"


@pytest.mark.parametrize("above", ["srv", "srv/www"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_nothing_is_put_where_a_link_leads(tmp_path: Path, root: Path, above: str, kind: str) -> None:
    (root / "etc/fstab").write_text("PARTLABEL=www /srv/www ext4\n")
    outside = folder(tmp_path / "outside", mine="mine")
    place = root / above
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside) if kind == "link" else place.touch()
    www = as_ext4(tmp_path / "www.img", folder(tmp_path / "www", theirs="theirs"), size="4M")
    disk = partitioned(tmp_path / "disk.raw", [as_ext4(tmp_path / "system.img", root), www])
    with pytest.raises(Unsupported, match=f"/{above}, where its /etc/fstab mounts something"):
        unpack(disk, tmp_path / "work")
    assert listed(outside) == ["mine"]


def awkward(tree: Path, kind: str) -> Path:
    path = tree / "etc/fstab"
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to("/proc/self/mounts")
    elif kind == "long":
        path.write_text("#" * (1 << 16) + "\n")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    return tree


@pytest.mark.parametrize(("kind", "words"), [("link", "is a symlink"), ("long", "has more than 65536 bytes")])
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, root: Path, kind: str, words: str) -> None:
    awkward(root, kind)
    with pytest.raises(Unsupported, match=words):
        unpack(as_ext4(tmp_path / "disk.raw", root), tmp_path / "work")
    with pytest.raises(Unsupported, match=words):
        sealed(root, tmp_path / "masters")


@pytest.mark.parametrize("kind", ["fifo", "folder", "none"])
def test_what_is_no_file_mounts_nothing(tmp_path: Path, kind: str) -> None:
    tree = awkward(write_system(tmp_path / "tree"), kind)
    unpack(as_ext4(tmp_path / "disk.raw", tree), tmp_path / "work")
    assert sealed(tree, tmp_path / "masters").placed == ()


@pytest.mark.parametrize("packed", [False, True])
def test_a_tree_has_what_its_fstab_mounts_or_is_refused(tmp_path: Path, packed: bool) -> None:
    tree = write_system(tmp_path / "tree")
    folder(tree / "srv", data="data")
    (tree / "data").mkdir()
    (tree / "etc/fstab").write_text("UUID=1 / xfs\nUUID=2 /srv xfs\n/dev/vg/data /data ext4\nnas:/x /x nfs\n")
    source = tree
    if packed:
        source = tmp_path / "tree.tar"
        run.run(["tar", "-cf", source, "-C", tree, "."])
    with pytest.raises(SkinnyboxError, match=r"/data: /dev/vg/data was not packed.*/x: nas:/x") as caught:
        sealed(source, tmp_path / "masters")
    assert caught.value.hint is not None
    assert "--leave-out /data --leave-out /x" in caught.value.hint
    master = sealed(source, tmp_path / "masters", "/data", "/x")
    assert (master.placed, master.left_out) == (("/srv",), ("/data", "/x"))
    assert (tree / "etc/fstab").read_text().startswith("UUID=1")  # the source is only read


UNIT = "[Mount]\nWhat=LABEL=www\nWhere=/srv/www\n[Install]\nWantedBy=multi-user.target\n"


def with_unit(tree: Path, unit: str = UNIT) -> Path:
    system = folder(tree / "etc/systemd/system", **{"srv-www.mount": unit, "off.mount": UNIT})
    (system / "masked.mount").symlink_to("/dev/null")
    wants = folder(system / "multi-user.target.wants")
    folder(system / os.fsdecode(b"\xff.wants"))
    for name in ("srv-www.mount", "masked.mount", "other.service"):
        (wants / name).symlink_to(f"../{name}")
    (tree / "etc/fstab").unlink(missing_ok=True)
    return tree


def test_mount_units_are_read_too(tmp_path: Path, root: Path) -> None:
    www = as_ext4(tmp_path / "www.img", folder(tmp_path / "www", a="a"), "-L", "www", size="4M")
    images = [as_ext4(tmp_path / "system.img", with_unit(root)), www]
    tree = unpack(partitioned(tmp_path / "disk.raw", images), tmp_path / "work")
    assert (tree / "srv/www/a").read_text() == "a"
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    assert listed(wants) == ["masked.mount", "other.service"]
    with pytest.raises(Unsupported, match="/srv/www: LABEL=www was not packed"):
        sealed(with_unit(write_system(tmp_path / "tree")), tmp_path / "masters")
    assert sealed(tmp_path / "tree", tmp_path / "masters", "/srv/www").left_out == ("/srv/www",)


@pytest.mark.parametrize(
    "answers", [[], ["eA=="], ["eA==", 1], ["eA==", "?"], ["eA==", "", "a.mount"], ["", "", "../x.mount", ""],
                ["", "", "srv.mount", None], ["", "", *["a.mount", ""] * 257], ["AAAA" * (1 << 15), ""]]
)  # fmt: skip
def test_a_reader_that_was_taken_over_says_nothing_else(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Any]
) -> None:
    @contextlib.contextmanager
    def taken_over(module: str, words: list[str], **options: Any) -> Iterator[Iterator[Any]]:
        with reader.inquire(module, words, **options) as found:
            yield iter(answers) if words[1] == "tables" else found

    monkeypatch.setattr(disk_image, "inquire", taken_over)
    with pytest.raises(Corrupt, match="no proper answer"):
        unpack(plain, tmp_path / "work")


def test_a_unit_that_is_too_long_is_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(Unsupported, match=r"srv-www.mount has more than 16384 bytes"):
        unpack(as_ext4(tmp_path / "disk.raw", with_unit(root, UNIT + "#" * 16384)), tmp_path / "work")


def test_what_no_line_names_is_told(tmp_path: Path, root: Path) -> None:
    (root / "etc/fstab").write_text("PARTLABEL=later /later ext4 noauto\nPARTLABEL=srv /srv ext4\n")
    images = [as_ext4(tmp_path / "system.img", root)]
    for name, content in (("lvm", signed("LVM")), ("loader", b"boot loader"), ("xfs", signed("xfs"))):
        images.append(tmp_path / f"{name}.img")
        images[-1].write_bytes(content.ljust(1 << 20, b"\0"))
    for name in ("later", "srv"):
        images.append(as_ext4(tmp_path / f"{name}.img", folder(tmp_path / name), size="4M"))
    disk = partitioned(tmp_path / "disk.raw", images)
    options: dict[str, Any] = {"format": None, "partition": None, "devices": True}
    _, brought = unpacked_disk(disk, work_of(tmp_path), Operation(), **options)
    assert brought.left_out == ("partition 2", "partition 4", "partition 5")
    _, brought = unpacked_disk(disk, work_of(tmp_path, "b"), Operation(), leave_out=["/srv"], **options)
    assert brought.left_out == ("/srv", "partition 2", "partition 4", "partition 5")


def test_what_had_to_be_made_is_the_same_each_time_whatever_the_umask(tmp_path: Path, root: Path) -> None:
    www = as_ext4(tmp_path / "www.img", folder(tmp_path / "www", a="a"), "-L", "www", size="4M")
    unit = UNIT.replace("[Install]", "Options=nosuid\n[Install]")
    disk = partitioned(tmp_path / "disk.raw", [as_ext4(tmp_path / "system.img", with_unit(root, unit)), www])
    before = os.umask(0o077)
    try:
        strict = describe(unpack(disk, tmp_path / "strict"))
        os.umask(0)
        assert describe(unpack(disk, tmp_path / "loose")) == strict
    finally:
        os.umask(before)
    assert strict[b"srv"][0] & 0o7777 == 0o755
    assert strict[b"etc/fstab"][0] & 0o7777 == 0o644
