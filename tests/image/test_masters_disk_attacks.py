"""Disk images that were made to hurt: nothing but an error comes of them."""

import struct
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, SkinnyboxError, Unsupported
from skinnybox.masters import namespace
from tests.image.disks import REAL_ROOT, SECTOR, as_ext4, mbr, patched, refused, with_gpt, write_system

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
TEXT, FLAT = b"# Disk DescriptorFile\n", b'RW 1 FLAT "/etc/shadow" 0\n'


def test_an_image_that_names_other_files_is_refused(tmp_path: Path, plain: Path) -> None:
    secret = Path("/etc/shadow")
    image, work = tmp_path / "image", tmp_path / "work"
    run.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", secret, "-F", "raw", image, "1M"])
    refused(image, work, Unsupported, "backing file")
    run.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", image, "1M"])
    refused(image, work, Unsupported, "external data file")
    raw = f"data_file={tmp_path}/data,data_file_raw=on"
    run.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", raw, image, "1M"])
    refused(image, work, Unsupported, "external data file")
    for kind in ("monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"):
        name = tmp_path / f"{kind}.vmdk"
        run.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={kind}", plain, name])
        for told in (None, "vmdk"):
            refused(name, work, Unsupported, "in other files", format=told)
    image.write_bytes(TEXT + b'version=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n' + FLAT)
    refused(image, work, Unsupported, "in other files")


@pytest.mark.parametrize(
    ("driver", "options", "patches", "kind", "words"),
    [
        # A header with no capacity makes QEMU read the text inside, which may name any file.
        ("vmdk", [], [(12, bytes(8)), (512, TEXT + FLAT + b"\0")], Unsupported, "in other files"),
        ("vmdk", [], [(700, b'\nparentFileNameHint="/etc/shadow"\n')], Unsupported, "a parent"),
        ("vmdk", [], [(9000, b'parentFileNameHint="/etc/shadow"')], Unsupported, "a parent"),
        ("vmdk", [], [(512, TEXT + b'RW 1 SPARSE "a"\n' + FLAT + b"\0")], Unsupported, "2 extents"),
        ("vmdk", [], [(512, TEXT + b'RW 1 VMFS "/etc/shadow"\n\0')], Unsupported, "1 extents"),
        ("vmdk", [], [(12, b"\xff" * 8)], Corrupt, "makes no sense"),
        ("vmdk", ["-o", "subformat=streamOptimized"], [(56, b"\xff" * 8)], Corrupt, "footer"),
        ("vpc", [], [(60, b"\0\0\0\4")], Unsupported, "differencing"),
        ("vpc", [], [(60, b"\0\0\0\2")], Corrupt, "type 2"),
        ("vpc", [], [(48, b"\x7f" * 8)], Corrupt, "makes no sense"),
        ("qcow2", [], [(24, b"\x7f" * 8)], Corrupt, "makes no sense"),
        ("qcow2", [], [(20, b"\0\0\0\xff")], Corrupt, "clusters"),
        ("qcow2", [], [(32, b"\0\0\0\2")], Unsupported, "encrypted"),
        ("qcow2", [], [(72, b"\xff" * 8)], Unsupported, "external data file"),
        ("qcow2", [], [(72, b"\x80" + bytes(7))], Unsupported, "not known"),
        ("qcow2", [], [(8, b"\0\0\0\0\0\1\0\0\0\0\0\xff")], Unsupported, "backing"),
        ("qcow2", [], [(112, b"DATA\0\0\0\4/etc" + bytes(8))], Unsupported, "external data file"),
        ("qcow2", [], [(112, b"\x12\x34\x56\x78\xff\xff\xff\xff")], Corrupt, "runs out"),
        ("qcow2", [], [(4, b"\0\0\0\1")], Unsupported, "version 1"),
        ("qcow2", [], [(40, b"\0\0\0\0\x7f\0\0\0")], Corrupt, "is cut off"),
        ("qcow2", [], [(36, b"\xff\xff\xff\xff")], Corrupt, "table too large"),
    ],
)  # fmt: skip
def test_headers_that_lie(
    tmp_path: Path,
    plain: Path,
    driver: str,
    options: list[str],
    patches: list[tuple[int, bytes]],
    kind: type[SkinnyboxError],
    words: str,
) -> None:
    refused(patched(tmp_path / "image", plain, driver, options, *patches), tmp_path / "work", kind, words)


def test_a_secret_is_not_read_even_if_the_check_missed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line of defence: who converts may read nothing but the image."""
    from skinnybox.masters import plain_disk

    if not REAL_ROOT:
        pytest.skip("only root has secrets from the one who converts")
    secret, image, work = tmp_path / "secret", tmp_path / "image", tmp_path / "work"
    secret.write_bytes(b"secret" * 1000)
    secret.chmod(0o600)
    run.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", image])
    monkeypatch.setattr(plain_disk, "_check", lambda *_: None)
    monkeypatch.setattr(plain_disk, "_header", lambda *_: ("qcow2", secret.stat().st_size, False))
    refused(image, work, Corrupt, "cannot be converted.*ermission denied")


def test_tables_that_lie(tmp_path: Path, plain: Path) -> None:
    system, disk, work = plain.read_bytes(), tmp_path / "disk", tmp_path / "work"
    most = (1 << 64) - 1
    for lies, words in (
        ({"entries": {2: (3000, 4000)}}, "cross each other"),
        ({"entries": {2: (most - 5, most)}}, "outside"),
        ({"entries": {2: (5000, 3000)}}, "outside"),
        ({"entries": {2: (1, 2)}}, "outside"),
        ({"count": most >> 32}, "makes no sense"),
        ({"each": 8}, "makes no sense"),
        ({"each": 1 << 31}, "makes no sense"),
        ({"checksum": 1}, "checksum"),
        ({"table_sum": 1}, "checksum"),
    ):
        refused(with_gpt(disk, {1: system}, **lies), work, Corrupt, words)
    loop = bytearray(4 << 20)
    loop[:SECTOR] = mbr([(0x05, 2048, 4096)])
    loop[2048 * SECTOR : 2049 * SECTOR] = mbr([(0x83, 1, 1), (0x05, 0, 4096)])
    for slots, words in (
        ([(0x83, 10, 0xFFFFFFF0)], "outside"),
        ([(0x83, 2048, 2048), (0x83, 3000, 10)], "cross"),
        ([(0xEE, 1, 0xFFFFFFFF)], "protective"),
    ):
        disk.write_bytes(mbr(slots).ljust(4 << 20, b"\0"))
        refused(disk, work, Corrupt, words)
    disk.write_bytes(loop)
    refused(disk, work, Corrupt, "leads astray")


def test_images_that_were_cut_off(tmp_path: Path, plain: Path) -> None:
    work = tmp_path / "work"
    for driver in ("raw", "qcow2", "vmdk", "vpc"):
        image = patched(tmp_path / driver, plain, driver, [])
        whole = image.read_bytes()
        for length in (0, 100, 1023, 70_000, len(whole) // 2):
            image.write_bytes(whole[:length])
            refused(image, work, SkinnyboxError, ".")
            run.run(["rm", "-rf", work])


def test_a_filesystem_that_lies(tmp_path: Path, plain: Path) -> None:
    """Many files with the same blocks; a file that claims far more than there is; a broken one."""
    image, work = tmp_path / "image", tmp_path / "work"
    tree = write_system(tmp_path / "tree")
    (tree / "big").write_bytes(b"x" * (3 << 20))
    for number in range(20):
        (tree / f"copy-{number}").write_bytes(b"y")
    as_ext4(image, tree, "-b", "4096")
    for number in range(20):
        words = "\n".join(f"sif /copy-{number} {field} {value}" for field, value in _same_blocks(image))
        run.run(["debugfs", "-w", "-f", "-", image], stdin=words.encode())
    refused(image, work, Corrupt, "more than the volume can")
    run.run(["rm", "-rf", work])
    as_ext4(image, write_system(tmp_path / "other"))
    run.run(["debugfs", "-w", "-R", "sif /etc/os-release size 0x10000000000", image])
    refused(image, work, Unsupported, "far larger")
    run.run(["rm", "-rf", work])
    as_ext4(image, write_system(tmp_path / "third"))
    run.run(["debugfs", "-w", "-R", "clri /usr", image])
    refused(image, work, Corrupt, "inode")


def _same_blocks(image: Path) -> list[tuple[str, str]]:
    """debugfs fields that give a file the blocks of /big."""
    said = run.run(["debugfs", "-R", "stat /big", image]).stdout.decode()
    first = said.split("EXTENTS:")[1].split("):")[1].split("-")[0]
    words = struct.pack("<HHHHI", 0xF30A, 1, 4, 0, 0) + struct.pack("<IHHI", 0, 768, 0, int(first))
    blocks = struct.unpack("<6I", words)
    return [
        ("size", str(3 << 20)),
        *((f"block[{number}]", hex(value)) for number, value in enumerate(blocks)),
    ]
