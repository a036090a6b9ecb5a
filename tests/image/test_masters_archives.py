"""What people bring arrives as the tree it came from, or is refused by name.

Requirements: mke2fs, qemu-img, xz, zstd, gzip; root, or root of a namespace.
"""

import contextlib
import gzip
import os
import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, NoSpace, Unsupported, UsageError
from skinnybox.masters import namespace, plain_disk
from skinnybox.masters.archives.bring import brought
from skinnybox.operation import Operation
from tests.image import archives
from tests.image.disks import REAL_ROOT, describe, fill, unpack, with_gpt, write_system

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]


def bring(source: Path, work: Path, **options: object) -> Path:
    work.mkdir()
    tree, _ = brought(source, work, Operation(), **options)  # type: ignore[arg-type]
    assert [item.name for item in work.iterdir()] == ["tree"]
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("brought") / "tree"
    fill(tree, devices=REAL_ROOT)
    (tree / "fifo-again").unlink()  # tar itself makes two of one with two names
    return tree


@pytest.mark.parametrize("form", ["gnu", "pax"])
@pytest.mark.parametrize("packing", ["", "gzip", "xz", "zstd", "bzip2"])
def test_a_tar_by_any_name(tmp_path: Path, tree: Path, packing: str, form: str) -> None:
    options = ["--sparse", *(["--format=gnu", "--no-xattrs", "--no-acls"] if form == "gnu" else [])]
    file = tmp_path / "t"
    run.run(
        [
            "tar",
            "--xattrs",
            "--xattrs-include=*",
            "--acls",
            "--numeric-owner",
            *options,
            "-cf",
            file,
            "-C",
            tree,
            ".",
        ]
    )
    if packing:
        file = archives.packed(file, packing)
    found, wanted = describe(bring(file, tmp_path / "work")), describe(tree)
    if form == "pax":
        assert found == wanted
    else:  # without attributes, and in whole seconds
        assert {path: what[:4] + what[5:9] + what[10:] for path, what in found.items()} == {
            path: what[:4] + what[5:9] + what[10:] for path, what in wanted.items()
        }


@pytest.mark.parametrize("before", ["golden", "./golden", "rootfs", "./rootfs"])
def test_a_system_in_one_folder(tmp_path: Path, before: str) -> None:
    tree = write_system(tmp_path / before.removeprefix("./"))
    os.link(tree / "etc/os-release", tree / "usr/lib/os-release")
    (tree / "dev").mkdir()
    (tree / "dev/null").touch()
    (tree / "opt/dev").mkdir(parents=True)
    (tree / "opt/dev/kept").touch()
    (tmp_path / "metadata.yaml").write_text("architecture: x86_64\n")
    beside = ["metadata.yaml"] if "rootfs" in before else []
    run.run(["tar", "-cf", tmp_path / "t", "-C", tmp_path, *beside, before])
    found = bring(tmp_path / "t", tmp_path / "work", devices=False)
    assert not list((found / "dev").iterdir())
    (tree / "dev/null").unlink()
    assert describe(found).keys() == describe(tree).keys()
    assert (found / "usr/lib/os-release").samefile(found / "etc/os-release")
    run.run(["tar", "-rf", tmp_path / "t", "-C", "/etc", "passwd"])
    with pytest.raises(Unsupported, match="passwd"):
        bring(tmp_path / "t", tmp_path / "other")


@pytest.mark.parametrize(
    "kind", ["raw.xz", "raw.gzip", "raw.zstd", "qcow2.xz", "tar", "sparse", "tar.xz", "ova", "incus"]
)
def test_a_disk_in_what_it_came_in(tmp_path: Path, plain: Path, kind: str) -> None:
    disk = with_gpt(tmp_path / "disk.raw", {1: plain.read_bytes()})
    if kind == "qcow2.xz":
        run.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, tmp_path / "d"])
        file = archives.packed(tmp_path / "d", "xz")
    elif kind.startswith("raw"):
        file = archives.packed(disk, kind.partition(".")[2])
    elif kind == "ova":
        file = archives.ova_of(tmp_path / "box.ova", disk)
    elif kind == "incus":
        run.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, tmp_path / "d"])
        file = archives.tar_with(tmp_path / "t", {"metadata.yaml": b"x: y\n", "rootfs.img": tmp_path / "d"})
    else:
        file = tmp_path / "disk.tar"
        options = (
            ["--sparse", "--format=gnu"] if kind == "sparse" else ["--sparse"] if kind == "tar.xz" else []
        )
        run.run(["tar", *options, "-cf", file, "-C", tmp_path, "disk.raw"])
        file = archives.packed(file, "xz") if kind == "tar.xz" else file
    assert describe(bring(file, tmp_path / "work")) == describe(unpack(plain, tmp_path / "plain"))


@pytest.mark.parametrize("checksums", [".checksum", ".xxhash", ""])
def test_what_a_pool_exports(tmp_path: Path, plain: Path, checksums: str) -> None:
    disk = with_gpt(tmp_path / "disk.raw", {1: plain.read_bytes()})
    file = archives.xva_of(tmp_path / "box.xva", disk, checksums=checksums)
    wanted = describe(unpack(plain, tmp_path / "plain"))
    assert describe(bring(file, tmp_path / "work")) == wanted
    assert describe(bring(archives.packed(file, "zstd"), tmp_path / "packed")) == wanted
    if checksums == ".checksum":
        raw = file.read_bytes()
        at = raw.index(b"\0Ref:7/00000001\0") + 1 + 512 + 70_000
        file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(Corrupt, match="block 1 is not what was exported"):
            bring(file, tmp_path / "broken")


def layers(folder: Path) -> list[Path]:
    folder.mkdir()
    base = write_system(folder / "base")
    for name in (
        "removed", "kept", "gone/below", "opaque/old", "changes/file", "several-1", "folder", "turns/old",
    ):  # fmt: skip
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(f"base {name}\n")
    os.link(base / "several-1", base / "several-2")
    os.link(base / "several-1", base / "several-3")
    (base / "to-several").symlink_to("/several-1")
    first = archives.layer_of(folder, "1.tar", base)
    second = archives.layer_of(
        folder, "2.tar", folder / "none",
        (".wh.removed", b""), (".wh.gone", b""), ("opaque", None), ("opaque/.wh..wh..opq", b""),
        ("opaque/new", b"new\n"), (".wh.changes", b""), ("changes", b"a file now\n"), (".wh.several-1", b""),
        ("folder", None), ("folder/in", b"in\n"), ("turns", None), ("turns/new", b"new\n"),
    )  # fmt: skip
    third = archives.layer_of(
        folder, "3.tar", folder / "none",
        ("kept", b"third\n"), ("removed", b"again\n"), ("turns", b"a file at last\n"),
    )  # fmt: skip
    return [first, second, third]


@pytest.mark.parametrize("kind", ["docker", "docker.gzip", "layout", "archive", "layout.gzip", "layout.zstd"])
def test_layers_are_laid_on_each_other(tmp_path: Path, kind: str) -> None:
    made = layers(tmp_path / "layers")
    if kind.startswith("docker"):
        empty = archives.layer_of(tmp_path, "empty.tar", tmp_path / "none")
        source = archives.docker_of(tmp_path / "image", [made[0], empty, made[1], empty, made[2]])
        source = archives.packed(source, "gzip") if kind == "docker.gzip" else source
    elif kind == "layout.zstd":
        source = archives.oci_of(
            tmp_path / "image", [archives.packed(layer, "zstd") for layer in made], bytes
        )
    else:
        pack = gzip.compress if kind == "layout.gzip" else bytes
        source = archives.oci_of(tmp_path / "image", made, pack)
    if kind == "archive":
        run.run(["tar", "-cf", tmp_path / "t", "-C", source, "."])
        source = tmp_path / "t"
    tree = bring(source, tmp_path / "work")
    for name, text in (
        ("kept", "third\n"), ("removed", "again\n"), ("opaque/new", "new\n"), ("changes", "a file now\n"),
        ("several-2", "base several-1\n"), ("folder/in", "in\n"),
        ("turns", "a file at last\n"), ("etc/os-release", 'PRETTY_NAME="Test 1"\n'),
    ):  # fmt: skip
        assert (tree / name).read_text() == text
    for name in ("gone", "opaque/old", "several-1"):
        assert not (tree / name).exists()
    assert (tree / "several-2").samefile(tree / "several-3")
    assert (tree / "to-several").readlink() == Path("/several-1")
    assert not [path for path in tree.rglob("*") if path.name.startswith(".wh.")]


def test_a_layer_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    source = archives.oci_of(tmp_path / "image", layers(tmp_path / "layers"), bytes)
    largest = max((source / "blobs/sha256").iterdir(), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as blob:
        blob.seek(-1, os.SEEK_END)
        blob.write(b"x")
    with pytest.raises(Corrupt, match="not what its name says"):
        bring(source, tmp_path / "work")


@pytest.mark.skipif(not run.find("sqfs2tar") or not run.find("tar2sqfs"), reason="no squashfs-tools-ng")
def test_squashfs_alone_and_as_incus_has_it(tmp_path: Path, tree: Path) -> None:
    system = write_system(tmp_path / "tree")
    os.chown(system / "etc/os-release", 1234, 5678)
    archives.squashfs_of(tmp_path / "rootfs.squashfs", system)
    owner = (tmp_path / "rootfs.squashfs").stat().st_uid
    wanted = describe(system)
    assert describe(bring(tmp_path / "rootfs.squashfs", tmp_path / "a")).keys() == wanted.keys()
    assert (tmp_path / "rootfs.squashfs").stat().st_uid == owner
    members: dict[str, bytes | Path] = {
        "metadata.yaml": b"x: y\n",
        "rootfs.squashfs": tmp_path / "rootfs.squashfs",
    }
    file = archives.tar_with(tmp_path / "incus.tar", members)
    found = bring(archives.packed(file, "xz"), tmp_path / "b")
    assert (found / "etc/os-release").stat().st_gid == 5678


def test_what_is_not_read_is_refused_by_name(tmp_path: Path, plain: Path) -> None:
    for name, content, kind, words in (
        ("a", b"PK\x03\x04" + bytes(2000), Unsupported, "packed as zip"),
        ("a", b"\x04\x22\x4d\x18" + bytes(2000), Unsupported, "packed as lz4"),
        ("a.tar", bytes(10240), Corrupt, "no tar"),
        ("a", gzip.compress(gzip.compress(bytes(5000))), Unsupported, "more than once"),
    ):
        (tmp_path / name).write_bytes(content)
        work = tmp_path / "work"
        with pytest.raises(kind, match=words) as caught:
            bring(tmp_path / name, work)
        assert caught.value.hint
        shutil.rmtree(work)
    several = archives.tar_with(tmp_path / "two.ova", {"x.ovf": b"", "a.vmdk": plain, "b.vmdk": plain})
    with pytest.raises(Unsupported, match=r"a\.vmdk, b\.vmdk") as caught:
        bring(several, tmp_path / "work")
    assert caught.value.hint is not None and "tar -xf two.ova a.vmdk" in caught.value.hint
    tree = archives.tar_of(tmp_path / "t", write_system(tmp_path / "tree"))
    with pytest.raises(UsageError, match="no partitions"):
        bring(tree, tmp_path / "other", partition=1)


@pytest.mark.parametrize("kind", ["disk", "tar"])
def test_what_unpacks_to_more_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It ends long before the disk is full."""
    disk = tmp_path / "disk"
    with disk.open("wb") as out:
        for _ in range(160):
            out.write(b"x" * (1 << 20))
    if kind == "tar":
        file = archives.packed(archives.tar_with(tmp_path / "t", {"usr/x": disk}), "xz")
    else:
        file = archives.packed(disk, "xz")
    disk.unlink()
    left, real, work = (64 << 20) + plain_disk._SPARE, shutil.disk_usage, tmp_path / "work"
    # What others write to this disk, or delete there, meanwhile is not ours to count.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=left - _written(work)))
    work.mkdir()
    with pytest.raises(NoSpace):
        brought(file, work, Operation())
    assert _written(work) < 130 << 20


def _written(folder: Path) -> int:
    """Bytes on the disk; of a file that goes meanwhile none."""
    written = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            written += path.lstat().st_blocks * 512
    return written


def test_a_member_that_claims_more_than_any_disk(tmp_path: Path) -> None:
    file = archives.tar_with(tmp_path / "t", {"disk.raw": b"x" * 600})
    raw = file.read_bytes()
    file.write_bytes(archives.with_size(raw[:512], 8**11 - 1) + raw[512:])
    with pytest.raises(Corrupt, match="cut off"):
        bring(file, tmp_path / "work")
