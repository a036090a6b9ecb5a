"""Where no systemd is: the power button, what failed, and that the run-once script waits for its starter."""

import struct

import pytest

from skinnybox.wire import Line
from tests.guest.conftest import Shell
from tests.guest.test_seed import apply

PARTS = "host failing power"


def event(kind: int, code: int, value: int, size: int = 24) -> bytes:
    return bytes(size - 8) + struct.pack("<HHi", kind, code, value)


def button(shell: Shell, name: str = "Power Button", events: bytes = b"") -> None:
    for number, each in enumerate(("AT Keyboard", name)):
        folder = shell.tmp / f"sys/class/input/event{number}/device"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{each}\n")
        (shell.tmp / "dev/input").mkdir(exist_ok=True)
        (shell.tmp / f"dev/input/event{number}").write_bytes(events if number else b"")


@pytest.mark.parametrize("size", [16, 24])
def test_a_pressed_button_powers_off_and_nothing_else_does(shell: Shell, size: int) -> None:
    other = event(0, 0, 0, size) + event(1, 116, 0, size) + event(1, 30, 1, size) + event(1, 116, 2, size)
    (shell.tmp / "events").write_bytes(other)
    script = f"hear_power_button {size} <{shell.tmp}/events"
    assert shell(PARTS, script, stubs=["poweroff"]).calls == []
    (shell.tmp / "events").write_bytes(other + event(1, 116, 1, size))
    assert shell(PARTS, script, stubs=["poweroff"]).calls == ["poweroff"]


def test_the_button_is_found_among_other_devices(shell: Shell) -> None:
    button(shell)
    assert shell(PARTS, "power_button").out == f"{shell.tmp}/dev/input/event1\n"


def test_a_machine_without_one_goes_on(shell: Shell) -> None:
    button(shell, name="Lid Switch")
    ended = shell(PARTS, "set -e\nmodprobe() { return 1; }\nwatch_power_button\necho on")
    assert ended.out == "on\n"


def test_one_that_cannot_be_opened_ends_nothing(shell: Shell) -> None:
    script = f"modprobe() {{ :; }}\npower_button() {{ echo {shell.tmp}/gone; }}\nwatch_power_button\necho on"
    assert shell(PARTS, script).out == "on\n"


def test_it_is_watched_when_the_function_returns(shell: Shell) -> None:
    button(shell, events=event(1, 116, 1))
    script = "modprobe() { :; }\nuname() { echo x86_64; }\nwatch_power_button\nwait"
    assert shell(PARTS, script, stubs=["poweroff"]).calls == ["poweroff"]


@pytest.mark.parametrize(
    ("file", "hears"),
    [("events/powerbtn", True), ("events/lid", False), ("PWRF/00000080", True), ("", False)],
)
def test_an_acpid_that_was_told_of_the_button_is_left_to_it(shell: Shell, file: str, hears: bool) -> None:
    if file:
        place = shell.tmp / "root/etc/acpi" / file
        place.parent.mkdir(parents=True)
        place.write_text("event=button[ /]power\naction=/x\n" if "power" in file else "event=button/lid\n")
    assert (shell(PARTS, "pidof() { :; }\nacpid_hears").code == 0) is hears
    assert shell(PARTS, "pidof() { return 1; }\nacpid_hears").code != 0


def test_what_failed_is_told_without_systemd(shell: Shell) -> None:
    failed = shell.tmp / "openrc/failed"
    failed.mkdir(parents=True)
    (failed / "apache2").touch()
    script = f"OPENRC={shell.tmp}/openrc\nsystemctl() {{ return 127; }}\nended_badly own-script\nfailed_units"
    assert shell(PARTS, script).out.splitlines() == ["apache2", "own-script"]
    (failed / "apache2").unlink()
    for number in range(100):
        (failed / f"service-{number}").touch()
    assert len(shell(PARTS, script).out.splitlines()) == 64


def test_the_script_of_a_seed_waits_for_what_starts_it(shell: Shell) -> None:
    (shell.tmp / "root/usr/lib/skinnybox").mkdir(parents=True)
    (shell.tmp / "root/usr/lib/skinnybox/after-boot").touch()
    apply(shell, Line("run-once", "", b"#!/bin/sh\n"))
    assert (shell.tmp / "root/var/lib/skinnybox/run-once").is_file()
    assert not (shell.tmp / "root/etc/systemd").exists()
