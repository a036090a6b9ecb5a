import os
from pathlib import Path

import pytest

from skinnybox.errors import NotFound
from skinnybox.masters.kernel import (
    architecture,
    find_kernel,
    kernel_version,
    maps_erofs,
    os_name,
    os_release,
)


def _boot(tree: Path, *names: str) -> Path:
    (tree / "boot").mkdir()
    for name in names:
        (tree / "boot" / name).write_text(name)
    return tree


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["vmlinuz-6.1.0-9", "initrd.img-6.1.0-9", "vmlinuz-6.1.0-37"], "vmlinuz-6.1.0-37"),
        (["vmlinuz-6.8.5-301.fc40.x86_64", "vmlinuz-0-rescue-ab"], "vmlinuz-6.8.5-301.fc40.x86_64"),
        (["vmlinux-5.1", "System.map-5.2"], "vmlinux-5.1"),
    ],
)
def test_the_newest_kernel(tmp_path: Path, names: list[str], expected: str) -> None:
    assert find_kernel(_boot(tmp_path, *names)) == tmp_path / "boot" / expected


def test_rather_one_whose_modules_are_there(tmp_path: Path) -> None:
    _boot(tmp_path, "vmlinuz-6.1.0-9", "vmlinuz-6.1.0-37")
    (tmp_path / "lib/modules/6.1.0-9").mkdir(parents=True)
    assert find_kernel(tmp_path) == tmp_path / "boot/vmlinuz-6.1.0-9"


def test_beside_its_modules_is_a_place_for_a_kernel_too(tmp_path: Path) -> None:
    kernel = tmp_path / "usr/lib/modules/6.8.5-301.fc40.x86_64/vmlinuz"
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(b"kernel")
    assert find_kernel(tmp_path) == kernel


@pytest.mark.parametrize("names", [[], ["initrd.img-1"]])
def test_without_one_it_is_not_found(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(NotFound) as caught:
        find_kernel(_boot(tmp_path, *names))
    assert "--kernel" in (caught.value.hint or "")


def test_a_folder_where_a_file_should_be_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc/os-release").mkdir(parents=True)
    assert os_name(tmp_path) == "unknown"


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    _boot(outside, "vmlinuz-1", "initrd.img-1")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "boot").symlink_to(outside / "boot")
    with pytest.raises(NotFound):
        find_kernel(linked)
    files = tmp_path / "files"
    (files / "boot").mkdir(parents=True)
    for name in ("vmlinuz-1", "initrd.img-1"):
        (files / "boot" / name).symlink_to(outside / "boot" / name)
    with pytest.raises(NotFound):
        find_kernel(files)


def test_a_fifo_for_a_kernel_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(_boot(tmp_path, "initrd.img-1") / "boot/vmlinuz-1")
    with pytest.raises(NotFound):
        find_kernel(tmp_path)


def test_a_kernel_tells_its_version(tmp_path: Path) -> None:
    image = bytearray(0x1000)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x300).to_bytes(2, "little")
    image[0x500:0x520] = b"6.1.0-37-cloud-amd64 (debian) #1"
    (tmp_path / "given").write_bytes(image)
    assert kernel_version(tmp_path / "given") == "6.1.0-37-cloud-amd64"
    (tmp_path / "vmlinuz-6.2").write_bytes(b"other")
    assert kernel_version(tmp_path / "vmlinuz-6.2") == "6.2"
    (tmp_path / "Image").write_bytes(b"other")
    assert kernel_version(tmp_path / "Image") == "unknown"


def test_os_and_architecture(tmp_path: Path) -> None:
    assert os_name(tmp_path) == "unknown"
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text('# x\nID=debian\nPRETTY_NAME="Debian 12"\nBROKEN="\n')
    (tmp_path / "etc/os-release").symlink_to("/etc/os-release")
    assert os_name(tmp_path) == "Debian 12"
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/bash").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00")
    assert architecture(tmp_path) == "aarch64"


def test_os_release_quotes() -> None:
    assert os_release("A=b\nC='d e'\n#X=1\nnothing\n") == {"A": "b", "C": "d e"}


@pytest.mark.parametrize(
    ("version", "maps"),
    [
        ("5.10.0-46-cloud-amd64", False), ("5.9", False), ("4.19.0", False), ("5.14.99", False),
        ("5.15.0-91-generic", True), ("6.1.0-37-cloud-amd64", True), ("10.0", True), ("unknown", True),
        ("99999999999999999999.1", True),
    ],
)  # fmt: skip
def test_which_kernels_map_an_image(version: str, maps: bool) -> None:
    assert maps_erofs(version) is maps
