"""A guest whose root is an enemy: it prints, lies, fills, knocks, panics; its neighbour does not notice."""

import base64
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.hosts.events import Event
from skinnybox.model import Network, Report
from tests.boot.conftest import CACHE, MOST_SECONDS, Create
from tests.boot.knocks import knocks, listeners
from tests.contract.test_qemu import processor_seconds
from tests.pace import within

pytestmark = pytest.mark.full

Sh = Callable[[str, str], str]

PORT = "/dev/virtio-ports/skinnybox.report"
LOG_SIZE = 1 << 20
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
FOR_PRINTF = ESCAPES.replace("\x1b", "\\033").replace("\x07", "\\007")


def test_a_hostile_guest(fleet: Fleet, create: Create, sh: Sh) -> None:
    """One boot of each serves it all. The neighbour's network is open: it shows that knocks can be heard."""
    create("evil")
    create("calm", network=Network.OPEN)
    for outcome in fleet.start(["evil", "calm"], timeout=within(2 * MOST_SECONDS)):
        assert outcome.error is None, outcome.error
    prints_for_ever(fleet, sh)
    lies_in_its_reports(fleet, sh)
    floods_the_report_port(fleet, sh)
    reaches_for_the_loopback(sh)
    fills_its_overlay(fleet, sh)
    pretends_to_panic(fleet, sh)
    assert fleet.machine("calm").condition is Condition.READY
    kinds = [str(event.kind) for event in told(fleet)]
    assert kinds[:2] == ["started", "ready"] and kinds[-1] == "ended"
    assert 5 <= kinds.count("report-refused") <= 15
    assert {"failed", "overlay-critical", "overlay-recovered"} <= set(kinds)


def told(fleet: Fleet) -> list[Event]:
    """Of this machine, not of others that had its name."""
    uuid = fleet.machine("evil").instance.uuid
    return [event for event in fleet.events(["evil"]) if event.uuid == uuid]


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + within(seconds)
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def run_folder(fleet: Fleet, name: str) -> Path:
    return CACHE / "run" / str(fleet.machine(name).instance.uuid)


def supervisor() -> int:
    inode = (CACHE / "run/supervisor.lock").stat().st_ino
    held = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) [0-9a-f:]+:{inode} ", Path("/proc/locks").read_text())
    assert held is not None
    return int(held[1])


def resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def on_a_terminal(*words: str) -> bytes:
    """What the command line writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "skinnybox", "--state", str(CACHE), *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while data := os.read(ours, 65536):
                said += data
        child.wait()
    os.close(ours)
    assert said
    return said


def in_background(sh: Sh, name: str, line: str) -> Callable[[], None]:
    """Start it in the guest; call what is returned to end it."""
    sh(name, f"setsid sh -c 'echo $$ >/run/evil.pid; {line}' </dev/null >/dev/null 2>&1 &")
    return lambda: (sh(name, "kill -- -$(cat /run/evil.pid) || kill $(cat /run/evil.pid)"), None)[1]


def prints_for_ever(fleet: Fleet, sh: Sh) -> None:
    folder, keeper = run_folder(fleet, "evil"), supervisor()
    stop = in_background(sh, "evil", f'exec yes "$(printf "{FOR_PRINTF}"){"x" * 100}" >/dev/console')
    until(lambda: (folder / "console.log").stat().st_size > 100_000, 60, "nothing was printed")
    before, began = processor_seconds(keeper), time.monotonic()
    with fleet.console("calm") as console:
        console.settimeout(within(90))
        sh("calm", "echo the neighbour still speaks >/dev/console")
        seen = b""
        while b"neighbour still speaks" not in seen:
            seen += console.recv(4096)
    time.sleep(3)
    assert processor_seconds(keeper) - before < 0.5 * (time.monotonic() - began)
    assert resident(keeper) < 64 << 20
    stop()
    assert len(fleet.console_log("evil")) <= 2 * LOG_SIZE
    assert sum(path.stat().st_size for path in folder.glob("console.log*")) <= 2 * LOG_SIZE
    sh("evil", f'printf "{FOR_PRINTF}said to the terminal\\n" >/dev/console')
    until(lambda: b"said to the terminal" in fleet.console_log("evil")[-4096:], 60, "nothing was printed")
    assert b"\x1b]0;owned" in fleet.console_log("evil")[-4096:]
    said = on_a_terminal("console", "--log", "evil")
    assert b"said to the terminal" in said and b"\x1b" not in said and b"\x07" not in said


def report(machine: MachineView, *lines: str, state: str = "ready", **instead: str) -> bytes:
    status = machine.status
    assert status is not None and status.nonce is not None
    head = {"state": state, "nonce": status.nonce, "instance": str(machine.instance.uuid), **instead}
    words = [f"{key} {value}" for key, value in head.items()]
    return "\n".join(["skinnybox-report 1", *words, *lines, "end", ""]).encode()


Lie = Callable[[MachineView], bytes]
LIES: dict[str, Lie] = {
    "it names another instance": lambda m: report(m, instance=str(uuid4())),
    "it belongs to another start": lambda m: report(m, nonce="00" * 16),
    "malformed: 'reason": lambda m: report(m, f"reason {ESCAPES}", state="failed"),
    "malformed: 'kernel": lambda m: report(m, "kernel ").replace(b"kernel ", b"kernel \xff\xfe\x80"),
    "malformed: 'address": lambda m: report(m, f"address eth0{ESCAPES} 10.0.2.15/24"),
    "more of its overlay is free": lambda m: report(m, "overlay 1 2"),
    # Depends on how much of it has come when it is looked at.
    "no `end` within|not a report": lambda m: report(m, *[f"reason {'x' * 1000}"] * 80),
    "several lines": lambda m: report(m, "reason a", "reason b", state="failed"),
    "too many lines": lambda m: report(m, *["image " + str(uuid4())] * 100),
    "version 9 is not known": lambda m: report(m).replace(b"report 1", b"report 9"),
}


def lies_in_its_reports(fleet: Fleet, sh: Sh) -> None:
    evil = fleet.machine("evil")
    folder = run_folder(fleet, "evil")
    sh("evil", "systemctl stop skinnybox-report")
    for reason, lie in LIES.items():
        tell(sh, lie(evil))
        until(partial(_refused, folder, reason), 60, reason)
        assert fleet.machine("evil").condition is Condition.READY
        assert fleet.machine("evil").report == evil.report

    tell(sh, report(evil, f"image {uuid4()}", "seed 1"))
    until(lambda: fleet.machine("evil").condition is Condition.MISMATCH, 60, "another image was believed")
    assert "instead of" in (fleet.machine("evil").reason or "")
    tell(sh, report(evil, "reason <b>$(reboot)</b>", state="failed"))
    until(lambda: fleet.machine("evil").condition is Condition.FAILED, 60, "no failure was reported")
    keys = fleet.machine("evil").host_keys
    tell(sh, report(evil, *[f"image {i}" for i in (evil.report.images if evil.report else ())], "seed 1"))
    until(lambda: fleet.machine("evil").condition is Condition.READY, 60, "the truth was not believed")
    assert fleet.machine("evil").host_keys == keys
    for words in (("list",), ("show", "evil"), ("events",)):
        said = on_a_terminal(*words)
        assert b"\x1b" not in said and b"\x07" not in said, said


def tell(sh: Sh, message: bytes) -> None:
    sh("evil", f"echo {base64.b64encode(message).decode()} | base64 -d >{PORT}")


def _refused(folder: Path, reason: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(re.search(reason, json.loads((folder / "rejected.json").read_text())["reason"]))
    return False


def floods_the_report_port(fleet: Fleet, sh: Sh) -> None:
    """A gigabyte would take it half an hour: the port is read only so fast."""
    keeper = supervisor()
    before, began = processor_seconds(keeper), time.monotonic()
    stop = in_background(sh, "evil", f'head -c 1000000000 /dev/zero | tr "\\\\0" a >{PORT}')
    time.sleep(4)
    assert processor_seconds(keeper) - before < 0.5 * (time.monotonic() - began)
    assert resident(keeper) < 64 << 20
    stop()
    size = sum(path.stat().st_size for path in run_folder(fleet, "evil").glob("*.json"))
    assert size < 1 << 18
    # Held by somebody, the port is Operation(); the machine goes on as it was.
    stop = in_background(sh, "evil", f"exec sleep 1000 >{PORT}")
    sh("evil", "systemctl start skinnybox-report; sleep 2")
    assert fleet.machine("evil").condition is Condition.READY
    stop()
    last = fleet.machine("evil").report
    until(lambda: fleet.machine("evil").report != last, 90, "the port stayed Operation()")
    assert fleet.machine("evil").condition is Condition.READY


def reaches_for_the_loopback(sh: Sh) -> None:
    with listeners() as (port, heard):
        assert "12 sent" in sh("evil", knocks(port))
        time.sleep(1)
        assert heard == []
        sh("calm", knocks(port))
        until(lambda: "tcp" in heard and "udp b'raw'" in heard, 30, f"only {heard} were heard")


def fills_its_overlay(fleet: Fleet, sh: Sh) -> None:
    sh("evil", "cat /dev/zero >/fill 2>/dev/null || true; sync")
    until(lambda: fleet.machine("evil").full, 90, "it was not reported full")
    assert fleet.machine("evil").reason == "its overlay is full"
    first = fleet.machine("evil").report
    sh("evil", "(sleep 1; reboot -f) >/dev/null 2>&1 &")
    until(lambda: _anew(fleet, first), MOST_SECONDS, "it did not come up full")
    assert fleet.machine("evil").full and fleet.machine("evil").condition is Condition.READY
    sh("evil", "rm /fill; sync")
    until(lambda: not fleet.machine("evil").full, 90, "it was not reported empty")
    details = [event.detail for event in told(fleet) if event.kind == "overlay-critical"]
    assert len(details) == 1 and float(details[0].split()[0]) > 97


def _anew(fleet: Fleet, before: Report | None) -> bool:
    """Its clock began again."""
    report = fleet.machine("evil").current_report
    return bool(report and before and (report.uptime or 0) < (before.uptime or 0))


def pretends_to_panic(fleet: Fleet, sh: Sh) -> None:
    words = f"Kernel panic - not syncing: {FOR_PRINTF} I own you"
    sh("evil", f'(sleep 1; printf "{words}\\n" >/dev/console; sleep 1; reboot -f) >/dev/null 2>&1 &')
    until(lambda: fleet.machine("evil").condition is Condition.CRASHED, 120, "it did not crash")
    assert (fleet.machine("evil").reason or "").startswith("kernel panic: \\x1b]0;owned\\x07")
    for words_ in (("show", "evil"), ("list",), ("events", "evil")):
        said = on_a_terminal(*words_)
        assert b"\x1b" not in said and b"\x07" not in said, said
