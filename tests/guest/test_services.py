"""services.sh: which services run is kept, and which of those of before a rebase do not run is told."""

from pathlib import Path

import pytest

from tests.guest.conftest import Shell

PARTS = "services"
LISTED = r"""ssh.service loaded active running OpenBSD Secure Shell server
apache2.service loaded active running The Apache HTTP Server
ifup@ens3.service loaded active exited ifup for ens3
nftables.service loaded active exited nftables
systemd-networkd.service loaded active running Network Configuration
systemd-sysctl.service loaded active exited Apply Kernel Variables
user@0.service loaded active running User Manager for UID 0
user-runtime-dir@0.service loaded active exited x
getty@tty1.service loaded active running Getty
serial-getty@ttyS0.service loaded active running Getty
skinnybox-report.service loaded active running x
run-r12.service loaded active running x
srv-a\x2db.service loaded active running x
$(id).service loaded active running x
"""


@pytest.fixture
def kept(shell: Shell) -> Path:
    folder = shell.tmp / "root/var/lib/skinnybox"
    folder.mkdir(parents=True)
    (shell.tmp / "listed").write_text(LISTED)
    return folder / "active-units"


def systemctl(shell: Shell) -> str:
    return f"systemctl() {{ cat {shell.tmp}/listed; }}\n"


def test_the_services_that_run_are_kept_but_for_those_of_nobody(shell: Shell, kept: Path) -> None:
    assert shell(PARTS, f"{systemctl(shell)}keep_active_units").code == 0
    assert kept.read_text().splitlines() == [
        "skinnybox-active-units 1", "unit apache2.service", "unit ifup@ens3.service", "unit nftables.service",
        r"unit srv-a\x2db.service", "unit ssh.service", "unit systemd-networkd.service", "end",
    ]  # fmt: skip


def test_it_is_written_when_it_changed_and_never_emptied(shell: Shell, kept: Path) -> None:
    shell(PARTS, f"{systemctl(shell)}keep_active_units")
    before = kept.stat()
    shell(PARTS, f"{systemctl(shell)}keep_active_units")
    shell(PARTS, "systemctl() { return 127; }\nkeep_active_units")
    assert kept.stat().st_ino == before.st_ino
    (shell.tmp / "listed").write_text("a.service loaded active running x\n")
    shell(PARTS, f"{systemctl(shell)}keep_active_units")
    assert kept.read_text() == "skinnybox-active-units 1\nunit a.service\nend\n"


def test_it_is_bounded_and_follows_no_link(shell: Shell, kept: Path) -> None:
    lines = (f"u{number:04}.service loaded active running x\n" for number in range(999))
    (shell.tmp / "listed").write_text("".join(lines))
    kept.with_suffix(".new").symlink_to(shell.tmp / "elsewhere")
    kept.symlink_to(shell.tmp / "elsewhere")
    shell(PARTS, f"{systemctl(shell)}keep_active_units")
    assert len(kept.read_text().splitlines()) == 258 and not kept.is_symlink()
    assert not (shell.tmp / "elsewhere").exists()


STATES = {
    "a.service": "Type=simple\nActiveState=active\nResult=success",
    "b.service": "Type=notify\nActiveState=failed\nResult=exit-code",
    "c.service": "Type=oneshot\nActiveState=inactive\nResult=success\nExecMainExitTimestampMonotonic=5",
    "d.service": "Type=oneshot\nActiveState=inactive\nResult=success\nExecMainExitTimestampMonotonic=0",
    "e.service": "Type=simple\nActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=7",
    "f.service": "Type=simple\nActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=0",
    "g.service": "Type=simple\nActiveState=activating\nResult=success",
    "h.timer": "ActiveState=active\nResult=success",
    "i.service": "Type=simple\nActiveState=reloading",
    "j.service": "Type=simple\nActiveState=inactive\nResult=success\nExecMainExitTimestampMonotonic=5",
}


def rebased(shell: Shell, *units: str) -> Path:
    folder = shell.tmp / "root/var/lib/skinnybox"
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"unit {unit}\n" for unit in units)
    (folder / "rebase.done").write_text(f"skinnybox-rebase 1\nid 1\ntask ldconfig\n{lines}end\n")
    return folder


def shown(shell: Shell) -> str:
    for name, text in STATES.items():
        (shell.tmp / f"show-{name}").write_text(f"{text}\n\n")
    return f"""systemctl() {{
    shift 3
    echo "$*" >>"$RUN/asked"
    for unit; do cat "{shell.tmp}/show-$unit"; done
}}
"""


def test_what_does_not_run_is_told_in_the_order_asked(shell: Shell) -> None:
    rebased(shell, *STATES)
    assert shell(PARTS, f"{shown(shell)}inactive_units").out.split() == [
        "b.service", "d.service", "f.service", "g.service", "j.service",
    ]  # fmt: skip


def test_without_an_answer_nothing_is_said_to_run(shell: Shell) -> None:
    rebased(shell, "a.service", "b.service")
    assert shell(PARTS, "systemctl() { :; }\ninactive_units").out.split() == ["a.service", "b.service"]


def test_without_a_rebase_nobody_is_asked(shell: Shell) -> None:
    (shell.tmp / "root/var/lib/skinnybox").mkdir(parents=True)
    assert shell(PARTS, f"{shown(shell)}inactive_units").out == ""
    assert not (shell.tmp / "run/asked").exists()


def test_names_that_are_none_are_passed_over_and_there_is_a_bound(shell: Shell) -> None:
    names = [
        "a.service",
        "$(id).service",
        "-a.service",
        "*.service",
        "a b.service",
        "plain",
        "",
        "b;c.service",
    ]
    rebased(shell, *names, *(f"u{number}.service" for number in range(400)))
    found = shell(PARTS, "expected_units").out.split()
    assert found[:2] == ["a.service", "u0.service"] and len(found) == 256
    assert len(shell(PARTS, "systemctl() { :; }\ninactive_units").out.split()) == 64


def test_once_all_of_them_were_seen_to_run_later_starts_do_not_ask(shell: Shell) -> None:
    folder = rebased(shell, "a.service", "b.service")
    assert shell(PARTS, "settle_units b.service").code == 0 and not (folder / "rebase.settled").exists()
    assert shell(PARTS, "settle_units ''").code == 0 and (folder / "rebase.settled").exists()
    assert shell(PARTS, f"{shown(shell)}inactive_units").out == ""
