"""host.sh: parameters and the report port."""

import os

from tests.guest.conftest import INSTANCE, Shell


def test_a_parameter_is_read_with_and_without_a_newline(shell: Shell) -> None:
    shell.says(nonce="abc123\n")
    assert shell("host", "host_parameter instance").out == f"{INSTANCE}\n"
    assert shell("host", "host_parameter nonce").out == "abc123\n"


def test_a_parameter_that_was_not_said_fails(shell: Shell) -> None:
    shell.says(nonce="")
    for name in ("nonce", "format"):
        ended = shell("host", f"host_parameter {name}")
        assert (ended.code, ended.out) == (1, "")


def test_the_port_is_found_by_its_name(shell: Shell) -> None:
    for name, text in (("vport1p1", "org.qemu.guest_agent.0\n"), ("vport2p1", "skinnybox.report\n")):
        folder = shell.tmp / "sys/class/virtio-ports" / name
        folder.mkdir(parents=True)
        (folder / "name").write_text(text)
    assert shell("host", "report_port").out == f"{shell.tmp}/dev/vport2p1\n"


def test_without_a_port_nothing_is_sent(shell: Shell) -> None:
    assert shell("host", "report_port").code == 1
    assert shell("xenstore host", f"send_report {shell.tmp}/proc/cmdline 1").code == 1


def test_a_port_without_a_reader_does_not_hold_anybody(shell: Shell) -> None:
    folder = shell.tmp / "sys/class/virtio-ports/vport1p1"
    folder.mkdir(parents=True)
    (folder / "name").write_text("skinnybox.report\n")
    os.mkfifo(shell.tmp / "dev/vport1p1")
    held = os.open(shell.tmp / "dev/vport1p1", os.O_RDWR)
    try:
        (shell.tmp / "report").write_bytes(b"x" * 100_000)  # more than a pipe holds
        ended = shell("host", f"send_report {shell.tmp}/report 1")
    finally:
        os.close(held)
    assert ended.code != 0
