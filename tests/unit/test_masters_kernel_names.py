"""Kernels by the names that other families than Debian's give them."""

from pathlib import Path

import pytest

from skinnybox.errors import NotFound
from skinnybox.masters.kernel import find_kernel, kernel_version
from tests.unit.test_masters_fitting import put


@pytest.mark.parametrize(
    "name",
    ["vmlinuz-0-rescue-ab", "vmlinux-6.4.0-default.gz", "vmlinuz-6.1.0-9.old", "vmlinuz-6.1.0-9.dpkg-new",
     "kernel-6.1.0.config", "initramfs-6.1.0.img", "config-6.1.0", "xvmlinuz-6", "vmlinuz.old"],
)  # fmt: skip
def test_what_is_no_kernel_to_boot_is_passed_over(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"boot/{name}", "x")
    with pytest.raises(NotFound, match="nor beside its modules"):
        find_kernel(tmp_path)


@pytest.mark.parametrize("name", ["vmlinuz", "vmlinuz-virt", "vmlinuz-linux", "kernel-6.12.31-gentoo-dist"])
def test_a_kernel_needs_no_version_in_its_name(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"boot/{name}", "x")
    assert find_kernel(tmp_path) == tmp_path / "boot" / name


def test_beside_its_modules_the_folder_tells_the_version(tmp_path: Path) -> None:
    """As of kernels for other processors, which have no head that says it."""
    put(tmp_path, "usr/lib/modules/6.14.0-63.fc42.aarch64/vmlinuz", "x")
    put(tmp_path, "boot/vmlinuz", "x")
    assert kernel_version(find_kernel(tmp_path)) == "6.14.0-63.fc42.aarch64"
    assert kernel_version(tmp_path / "boot/vmlinuz") == "unknown"
