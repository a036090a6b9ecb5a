"""pressure.sh: what eats the disk, and what is trimmed."""

from pathlib import Path

import pytest

from tests.guest.conftest import Shell

PARTS = "status json inside pressure"


def filled(shell: Shell) -> Path:
    view = shell.tmp / "view"
    for folder in ("upper/var/cache/apt/deep", "upper/srv", "work", "thrown"):
        (view / folder).mkdir(parents=True)
    (view / "upper/var/cache/apt/deep/pkg").write_bytes(b"x" * 300_000)
    (view / "upper/srv/a\033[31m b").mkdir()
    (view / "upper/srv/a\033[31m b/one").write_bytes(b"x" * 100_000)
    (view / "swap").write_bytes(b"x" * 200_000)
    return view


def test_the_largest_come_first_and_are_printed_safely(shell: Shell) -> None:
    text = shell(PARTS, f"usage_of {filled(shell)}").out
    lines = [line.split(None, 1) for line in text.splitlines()]
    assert [path for _, path in lines[:4]] == ["/", "/var", "/var/cache", "/var/cache/apt"]
    assert [path for _, path in lines[4:6]] == ["/srv", '"/srv/a\\u001b[31m b"']
    assert lines[-1][1] == "(swap)" and "(work)" not in text and "\033" not in text
    assert all(size.endswith("K") for size, _ in lines)


@pytest.mark.parametrize(
    ("mounts", "data", "places"),
    [
        ("/dev/b ROOT/var/lib/skinnybox/disk ext4 rw 0 0\n", None, ["ROOT/var/lib/skinnybox/disk"]),
        (
            "/dev/b ROOT/var/lib/skinnybox/disk ext4 rw 0 0\n/dev/c /srv/data ext4 rw 0 0\n",
            "/srv/data\n/srv/more\n",
            ["ROOT/var/lib/skinnybox/disk", "/srv/data"],
        ),
        ("overlay / overlay rw 0 0\n", "/srv/data\n", []),
    ],
)
def test_each_disk_is_trimmed_once(shell: Shell, mounts: str, data: str | None, places: list[str]) -> None:
    (shell.tmp / "proc/mounts").write_text(mounts.replace("ROOT", f"{shell.tmp}/root"))
    if data is not None:
        (shell.tmp / "run/data-folders").write_text(data)
    ended = shell(PARTS, "trim_disks", stubs=["fstrim"])
    assert ended.calls == [f"fstrim -v {place.replace('ROOT', f'{shell.tmp}/root')}" for place in places]


def test_a_trim_that_fails_is_a_failure(shell: Shell) -> None:
    (shell.tmp / "proc/mounts").write_text(f"/dev/b {shell.tmp}/root/var/lib/skinnybox/disk ext4 rw 0 0\n")
    assert shell(PARTS, "fstrim() { return 1; }\ntrim_disks").code == 1
    ended = shell(PARTS, "command() { return 1; }\ntrim_disks")
    assert ended.code == 1 and "no fstrim" in ended.out
