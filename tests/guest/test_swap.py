"""swap.sh: what the seed asks for, and a machine that cannot have it starts without."""

from pathlib import Path

import pytest

from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, Ended, Shell

PARTS = "message host disks overlay swap boot"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\nWHY=\n'
SIZE = 1 << 20
PROGRAMS = ("mount", "umount", "mkswap", "swapon", "modprobe")


@pytest.fixture(autouse=True)
def overlay(shell: Shell) -> Path:
    folder = shell.tmp / "run/overlay"
    (folder / "skinnybox").mkdir(parents=True)
    (shell.tmp / "run/disk").write_text("/dev/vdb\n")
    return folder


def started(shell: Shell, *said: str, before: str = "") -> Ended:
    """With what the seed says of swap."""
    lines = [Line("generation", "1"), Line("instance", INSTANCE), *(Line("swap", value) for value in said)]
    (shell.tmp / "run/overlay/skinnybox/seed").write_bytes(encode("seed", 1, lines))
    script = f"{REFUSE}{before}\nchoose_seed $RUN/overlay/skinnybox/seed; start_swap"
    stubs = [name for name in PROGRAMS if f"{name}()" not in before]
    return shell(PARTS, script, stubs=stubs)


def test_a_file_is_made_shown_where_nobody_looks_and_used(shell: Shell, overlay: Path) -> None:
    ended = started(shell, f"file {SIZE}")
    assert (ended.code, ended.out) == (0, "")
    run = shell.tmp / "run"
    assert ended.calls == [
        f"mount -o bind {overlay}/swap {run}/swap", f"mkswap {run}/swap", f"swapon {run}/swap",
    ]  # fmt: skip
    made = (overlay / "swap").stat()
    assert (made.st_size, made.st_mode & 0o7777) == (SIZE, 0o600)
    assert made.st_blocks * 512 >= SIZE  # without a hole


def test_what_was_swapped_before_is_thrown_away_where_the_disk_can(shell: Shell) -> None:
    queue = shell.tmp / "sys/block/vdb/queue"
    queue.mkdir(parents=True)
    (queue / "discard_max_bytes").write_text("4096\n")
    assert f"swapon -d {shell.tmp}/run/swap" in started(shell, f"file {SIZE}").calls


def test_a_file_that_fits_is_kept(shell: Shell, overlay: Path) -> None:
    started(shell, f"file {SIZE}")
    before = (overlay / "swap").stat().st_ino
    (shell.tmp / "run/swap").unlink()
    started(shell, f"file {SIZE}")
    assert (overlay / "swap").stat().st_ino == before


@pytest.mark.parametrize("what", ["smaller", "open", "folder", "link"])
def test_what_is_no_such_file_is_made_anew(shell: Shell, overlay: Path, what: str) -> None:
    file, other = overlay / "swap", shell.tmp / "other"
    other.write_bytes(bytes(SIZE))
    other.chmod(0o600)
    match what:
        case "smaller":
            file.write_bytes(b"x")
        case "open":
            file.write_bytes(b"x" * SIZE)
            file.chmod(0o644)
        case "folder":
            (file / "full").mkdir(parents=True)
        case "link":
            file.symlink_to(other)
    ended = started(shell, f"file {SIZE}")
    assert (ended.code, ended.out) == (0, "")
    assert not file.is_symlink() and file.read_bytes() == bytes(SIZE)
    assert other.read_bytes() == bytes(SIZE)


def test_a_file_that_the_kernel_does_not_take_is_made_once_more(shell: Shell, overlay: Path) -> None:
    """It may have a hole; that of this boot has none."""
    started(shell, f"file {SIZE}")
    (overlay / "swap").write_bytes(b"h" * SIZE)
    swapon = 'swapon() { [ "$(head -c 1 "$RUN/overlay/swap")" != h ] || { echo has holes >&2; return 1; }; }'
    ended = started(shell, f"file {SIZE}", before=swapon)
    assert (ended.code, ended.out) == (0, "")
    assert (overlay / "swap").read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("fails", ["fallocate", "mount", "mkswap", "swapon"])
def test_a_machine_without_its_swap_starts_and_says_so(shell: Shell, overlay: Path, fails: str) -> None:
    ended = started(shell, f"file {SIZE}", before=f"{fails}() {{ echo {fails}: no way >&2; return 1; }}")
    assert ended.code == 0
    assert "skinnybox: this machine has no swap: " in ended.out and f"{fails}: no way" in ended.out
    assert not (shell.tmp / "run/swap").exists()
    assert (overlay / "swap").exists() is (fails != "fallocate")


@pytest.mark.parametrize("said", [(), ("zram",)])
def test_a_file_that_is_not_wanted_any_more_goes(shell: Shell, overlay: Path, said: tuple[str, ...]) -> None:
    (overlay / "swap").write_bytes(b"x")
    assert started(shell, *said).code == 0
    assert not (overlay / "swap").exists()


def test_without_a_word_of_it_no_program_is_started(shell: Shell) -> None:
    ended = started(shell)
    assert (ended.code, ended.out, ended.calls) == (0, "", [])


@pytest.mark.parametrize(("said", "size"), [("zram 4096", "4096"), ("zram", "1024")])
def test_compressed_memory(shell: Shell, said: str, size: str) -> None:
    (shell.tmp / "proc/meminfo").write_text("MemTotal:   2 kB\nMemFree: 1 kB\n")
    disk = shell.tmp / "sys/block/zram0"
    disk.mkdir()
    (disk / "disksize").write_text("0\n")
    ended = started(shell, said)
    device = shell.tmp / "dev/zram0"
    assert (ended.code, ended.out) == (0, "")
    assert ended.calls == ["modprobe -q -b -a lzo_rle zram", f"mkswap {device}", f"swapon {device}"]
    assert (disk / "disksize").read_text() == f"{size}\n"


def test_a_kernel_without_zram(shell: Shell) -> None:
    ended = started(shell, "zram 4096")
    assert (ended.code, ended.out) == (0, "skinnybox: this machine has no swap: its kernel has no zram\n")


@pytest.mark.parametrize(
    "said", ["disk 5", "file", "file 1x", "file 12345678901234567", "zram 1 2", "file /x"]
)
def test_what_is_not_understood_is_refused(shell: Shell, said: str) -> None:
    """What was ordered must happen."""
    ended = started(shell, said)
    assert (ended.code, ended.calls) == (9, [])
    assert ended.out.startswith("REFUSED: ")
