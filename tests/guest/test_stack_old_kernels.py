"""stack.sh: what overlayfs is called by a kernel, and what is said to it."""

import pytest

from tests.guest.conftest import Shell
from tests.guest.test_stack import PARTS, REFUSE

MOUNT = "LOWERS={lowers} UPPER=$RUN/overlay; mount_root /new"


def _filesystems(shell: Shell, *names: str) -> None:
    (shell.tmp / "run/disk").write_text("/dev/vdq\n")
    lines = [f"nodev\t{name}\n" for name in ("sysfs", *names)] + ["\text4\n"]
    (shell.tmp / "proc/filesystems").write_text("".join(lines))


@pytest.mark.parametrize("names", [("overlay",), ("overlayfs", "overlay"), ("overlay", "overlayfs"), ()])
def test_a_kernel_that_says_overlay_or_nothing_gets_a_work_directory(
    shell: Shell, names: tuple[str, ...]
) -> None:
    _filesystems(shell, *names)
    run = shell.tmp / "run"
    assert shell(PARTS, REFUSE + MOUNT.format(lowers="/b:/a"), stubs=["mount"]).calls == [
        f"mount -t overlay -o lowerdir=/b:/a,upperdir={run}/overlay/upper,workdir={run}/overlay/work "
        "/dev/vdq /new"
    ]


def test_the_overlayfs_before_it_was_in_linux_gets_none(shell: Shell) -> None:
    _filesystems(shell, "overlayfs")
    run = shell.tmp / "run"
    assert shell(PARTS, REFUSE + MOUNT.format(lowers="/a"), stubs=["mount"]).calls == [
        f"mount -t overlayfs -o lowerdir=/a,upperdir={run}/overlay/upper /dev/vdq /new"
    ]


def test_layers_are_refused_where_it_takes_a_single_lower(shell: Shell) -> None:
    _filesystems(shell, "overlayfs")
    ended = shell(PARTS, REFUSE + MOUNT.format(lowers="/b:/a"), stubs=["mount"])
    assert (ended.code, ended.calls) == (9, [])
    assert "takes no layers" in ended.out
