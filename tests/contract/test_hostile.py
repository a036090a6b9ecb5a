"""A hostile guest in small: what costs its host and its neighbour, tried on a guest of a few megabytes.

The same on a whole Debian, and more of it: tests/boot/test_hostile.py.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.hosts.base import Contents
from skinnybox.hosts.guest_io.event_reporter import AT_ONCE, REFUSED_AT_ONCE
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Instance, Master, Status
from skinnybox.operation import Operation
from tests.contract.test_qemu import Guest, processor_seconds, supervisor
from tests.pace import within

pytestmark = pytest.mark.boot

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]


@pytest.fixture
def run(
    qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path, state: Path
) -> Callable[[str], Guest]:
    """Make a machine and start it."""

    def made(name: str) -> Guest:
        instance = new(name)
        qemu.create_overlay(instance, contents_of(instance), Operation())
        qemu.define(instance)

        def boot() -> Status:
            return qemu.start(instance, master, tiny_guest, Operation())

        guest = Guest(qemu, instance, boot, state)
        guest.start()
        return guest

    return made


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024


def kinds(guest: Guest) -> list[str]:
    return [str(event.kind) for event in guest.host.events() if event.uuid == guest.instance.uuid]


def test_a_neighbour_does_not_notice(run: Callable[[str], Guest]) -> None:
    evil, calm = run("evil"), run("calm")
    keeper = supervisor(evil)
    good = evil.host.reports([evil.instance.uuid])[evil.instance.uuid]

    # A byte that is no ASCII, where base64 belongs, once ended the process that all machines share.
    evil.says(r'printf "skinnybox-report 1\nstate ready\n \303\251\nend\n" > "$(port)"')
    evil.until((evil.folder / "rejected.json").exists)
    evil.says("report ready 'address e fe80::1%x/64'; report failed 'reason a' 'reason b'; nonce=00 report x")
    evil.says('yes aaaaaaaaaaaaaaaaa > "$(port)" & cat /dev/urandom')
    evil.until(lambda: kinds(evil).count("report-refused") == REFUSED_AT_ONCE)
    before, began = processor_seconds(keeper), time.monotonic()
    with calm.host.console(calm.instance.uuid) as console:
        console.settimeout(within(30))
        console.sendall(b"echo 6*7 is $((6*7))\n")
        seen = b""
        while b"is 42" not in seen:
            seen += console.recv(4096)
    time.sleep(2)
    assert processor_seconds(keeper) - before < 0.5 * (time.monotonic() - began)
    assert resident(keeper) < 64 << 20
    assert supervisor(calm) == keeper
    assert evil.host.reports([evil.instance.uuid])[evil.instance.uuid] == good
    assert len(kinds(evil)) <= AT_ONCE + REFUSED_AT_ONCE + 2
    evil.host.power_off(evil.instance)
    assert kinds(evil)[-1] == "ended"
    assert kinds(calm) == ["started", "ready"]


def test_a_machine_that_starts_over_and_over(run: Callable[[str], Guest]) -> None:
    evil = run("evil")
    status = evil.status()
    for _ in range(2):
        last = evil.host.reports([evil.instance.uuid])[evil.instance.uuid]
        evil.says("report failed 'reason I said so'; reboot -f")
        evil.until(lambda last=last: _ready_again(evil, last))  # type: ignore[misc]
    assert evil.status() == status
    told = ["started", "ready", "failed", "ready", "failed", "ready"]
    evil.until(lambda: len(kinds(evil)) >= len(told))  # a report is filed first, and told then
    assert kinds(evil) == told
    # Somebody in the guest holds the port: it is Operation(), and the machine obeys its power button.
    evil.says('exec 9> "$(port)"; echo held')
    evil.prints(b"held")
    evil.host.shutdown(evil.instance)
    evil.until(lambda: evil.status() is None)
    assert kinds(evil)[-1] == "ended"


def _ready_again(guest: Guest, last: object) -> bool:
    report = guest.host.reports([guest.instance.uuid])[guest.instance.uuid]
    return report != last and report.ready
