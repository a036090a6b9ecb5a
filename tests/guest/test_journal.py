"""journal.sh: a journal's share of an overlay, unless somebody says otherwise."""

import pytest

from skinnybox.sizes import GIB, MIB
from tests.guest.conftest import Shell

PARTS = "journal"


@pytest.fixture(autouse=True)
def machine(shell: Shell) -> None:
    for folder in ("usr/lib/systemd", "etc/systemd"):
        (shell.tmp / "root" / folder).mkdir(parents=True, exist_ok=True)
    (shell.tmp / "root/usr/lib/systemd/systemd-journald").touch()
    (shell.tmp / "root/etc/systemd/journald.conf").write_text(
        "[Journal]\n#SystemMaxUse=\n# SystemMaxUse=7M\n"
    )
    (shell.tmp / "run/disk").write_text("/dev/vdq\n")


def bounded(shell: Shell, size: int) -> str | None:
    (shell.tmp / "sys/block/vdq").mkdir(parents=True, exist_ok=True)
    (shell.tmp / "sys/block/vdq/size").write_text(f"{size // 512}\n")
    ended = shell(PARTS, f"JOURNAL={shell.tmp}/journald.conf.d\nset -e\nbound_journal {shell.tmp}/root")
    assert (ended.code, ended.out) == (0, "")
    made = shell.tmp / "journald.conf.d/10-skinnybox.conf"
    return made.read_text() if made.exists() else None


@pytest.mark.parametrize(
    ("size", "share"),
    [(64 * MIB, 8 * MIB), (GIB, GIB // 20), (2 * GIB, 2 * GIB // 20), (1 << 40, 256 * MIB)],
)
def test_a_share_of_the_disk_within_bounds(shell: Shell, size: int, share: int) -> None:
    assert bounded(shell, size) == f"[Journal]\nSystemMaxUse={share}\nRuntimeMaxUse={8 * MIB}\n"


def test_what_is_in_memory_gets_the_least(shell: Shell) -> None:
    (shell.tmp / "run/memory").mkdir()
    assert f"SystemMaxUse={8 * MIB}\n" in str(bounded(shell, 4 * GIB))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("etc/systemd/journald.conf", "SystemMaxUse=1G\n"),
        ("etc/systemd/journald.conf", "  SystemMaxUse = 100M"),  # without a newline at the end
        ("etc/systemd/journald.conf.d/mine.conf", "SystemMaxUse=1G\n"),
        ("usr/lib/systemd/journald.conf.d/vendor.conf", "SystemMaxUse=64M\n"),
    ],
)
def test_who_says_how_much_is_kept_is_obeyed(shell: Shell, file: str, line: str) -> None:
    path = shell.tmp / "root" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Journal]\n" + line)
    assert bounded(shell, GIB) is None


@pytest.mark.parametrize("line", ["SystemMaxUse=\n", "#SystemMaxUse=1G\n", "SystemMaxFiles=9\n"])
def test_what_says_nothing_of_it_is_no_word(shell: Shell, line: str) -> None:
    (shell.tmp / "root/etc/systemd/journald.conf").write_text("[Journal]\n" + line)
    assert bounded(shell, GIB) is not None


def test_without_journald_nothing_is_said(shell: Shell) -> None:
    (shell.tmp / "root/usr/lib/systemd/systemd-journald").unlink()
    assert bounded(shell, GIB) is None
