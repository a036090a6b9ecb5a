"""room.sh: a disk that the host made larger, whose filesystem follows; once, and told."""

import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.hosts.guest_io import reports
from skinnybox.model import DiskKind, GuestDisk
from skinnybox.sizes import MIB
from skinnybox.wire import decode
from tests.guest.conftest import INSTANCE, Shell

PARTS = "message applied host failing room readiness services status"
GROWS = 'resize2fs() { echo "resize2fs $*" >>"$RUN/called"; command resize2fs "$@"; }\n'


@pytest.fixture
def disk(shell: Shell) -> Path:
    """An ext4 of 32 MiB on a disk of that size, as the overlay."""
    made = shell.disk("vdq", "skinny-overlay")
    os.truncate(made, 32 * MIB)
    run.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", made])
    (shell.tmp / "run/disk").write_text(f"{made}\n")
    larger(shell, made, 32)
    return made


def larger(shell: Shell, disk: Path, mib: int) -> None:
    os.truncate(disk, mib * MIB)
    (shell.tmp / f"sys/block/{disk.name}/size").write_text(f"{mib * 2048}\n")


def told(shell: Shell, how: str = GROWS) -> list[str]:
    return shell(PARTS, f"{how}told_disks_room").out.splitlines()


def calls(shell: Shell) -> int:
    called = shell.tmp / "run/called"
    return len(called.read_text().splitlines()) if called.exists() else 0


def test_a_disk_that_its_filesystem_fills_is_left_alone(shell: Shell, disk: Path) -> None:
    assert told(shell) == [f"overlay {32 * MIB} {32 * MIB}"] and calls(shell) == 0


def test_a_larger_disk_is_taken_once(shell: Shell, disk: Path) -> None:
    told(shell)
    larger(shell, disk, 64)
    assert told(shell) == told(shell) == [f"overlay {64 * MIB} {64 * MIB}"]
    assert calls(shell) == 1
    larger(shell, disk, 96)
    assert told(shell) == [f"overlay {96 * MIB} {96 * MIB}"] and calls(shell) == 2


def test_the_data_disk_is_another(shell: Shell, disk: Path) -> None:
    data = shell.disk("vdr", "skinny-data")
    os.truncate(data, 32 * MIB)
    run.run(["mke2fs", "-q", "-t", "ext4", "-b", "1024", data])
    (shell.tmp / "run/data-disk").write_text(f"{data}\n")
    larger(shell, data, 48)
    assert told(shell) == [f"overlay {32 * MIB} {32 * MIB}", f"data {48 * MIB} {48 * MIB}"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("resize2fs() { echo resize2fs 1.47; printf 'no\\033 right\\n'; return 1; }\n", "no right"),
        ("command() { return 1; }\n", "it has no resize2fs (Debian: e2fsprogs)"),
    ],
)
def test_why_it_cannot_be_is_told(shell: Shell, disk: Path, how: str, why: str) -> None:
    larger(shell, disk, 64)
    assert told(shell, how) == told(shell, how) == [f"overlay {64 * MIB} {32 * MIB} {why}"]


def test_what_is_no_ext4_has_no_bytes(shell: Shell, disk: Path) -> None:
    disk.write_bytes(bytes(4096))
    assert shell(PARTS, f"filesystem_bytes {disk}").out == "0\n"
    assert shell(PARTS, "filesystem_bytes /nowhere").out == "0\n"


def test_a_machine_without_either_tells_nothing(shell: Shell) -> None:
    assert told(shell) == []
    (shell.tmp / "run/disk").write_text("/dev/vanished\n")
    assert told(shell) == []


def test_the_report_has_them(shell: Shell, disk: Path) -> None:
    """Both ends."""
    (shell.tmp / "proc/sys/kernel").mkdir(parents=True)
    (shell.tmp / "proc/uptime").write_text("12.34 3.00\n")
    (shell.tmp / "proc/sys/kernel/osrelease").write_text("6.1.0\n")
    (shell.tmp / "run/images").write_text("")
    larger(shell, disk, 64)
    how = "resize2fs() { echo cannot; return 1; }\n"
    text = shell(PARTS, how + 'ready_report "" 100 50 "" "$(told_disks_room)"').out
    assert decode(text.encode(), "report").all("disk")
    (line,) = decode(text.encode(), "report").all("disk")
    assert line.value == f"overlay {64 * MIB} {32 * MIB} cannot"
    message = decode(text.encode(), "report")
    assert reports._disks(message) == (
        GuestDisk(kind=DiskKind.OVERLAY, size=64 * MIB, filesystem=32 * MIB, why="cannot"),
    )
    assert message.get("instance") == INSTANCE


def test_a_larger_disk_is_told_at_the_next_look(shell: Shell, disk: Path) -> None:
    script = f"""looks=3
sleep() {{ looks=$((looks - 1)); [ $looks -ge 0 ] || return 1
    [ $looks -gt 0 ] || {{ truncate -s 64M {disk}; echo 131072 >"$SYS/block/vdq/size"; }}; }}
addresses() {{ :; }}
failed_units() {{ :; }}
space() {{ echo 1000 900; }}
tell() {{ echo "told $5 at $looks"; }}
tell_for_ever"""
    assert shell(PARTS, script.replace("$5", "${5-}")).out.splitlines() == [
        "told  at 3",
        f"told overlay {32 * MIB} {32 * MIB} at 2",
        f"told overlay {64 * MIB} {64 * MIB} at 0",
    ]
