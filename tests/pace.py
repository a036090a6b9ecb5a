"""In which order tests come, how long they may wait for machines, and what they took.

The quick ones come first: who broke something should read it before the first machine is up. How long a
machine may take follows one boot of a tiny guest on this very host: limits that are right for a quiet one are
wrong for one that emulates beside other work. Read by tests/conftest.py, for all tests.
"""

import functools
import os
import select
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run

USUAL = 3.0
"""Seconds that the calibration boot takes on two quiet cores without KVM, for which limits are written."""
_MOST = 300.0
_SLOWEST = 4.0
"""So many times the usual and no more: a pause of the host during that one boot is not its pace."""
_READY = b"tiny guest ready"
_ORDER = ("unit", "guest", "fleet", "xapi", "plugin", "xencenter", "fuzz", "image", "contract", "faults")
_LAST = len(_ORDER)
_QUICK = _ORDER[:3]
_WITH_A_BRIDGE = ("tests/contract/test_bridge.py",)
_SHARING = ("tests/contract/test_qemu.py", "tests/contract/test_isolation.py")


def within(seconds: float) -> float:
    """So many seconds on a quiet host; on this one more, when it was slower at the calibration boot."""
    return seconds * _slowness[-1]


_slowness = [1.0]


def calibrate() -> None:
    """Once in a run, before its first machine: how much slower this host is than limits take it to be."""
    if len(_slowness) == 1:
        _slowness.append(min(_SLOWEST, max(1.0, (_calibrated() or USUAL) / USUAL)))


def _calibrated() -> float | None:
    """Seconds until the tiny guest speaks, always emulated; None where it is not to be had."""
    from tests.conftest import tiny_parts

    parts = tiny_parts()
    program = run.find("qemu-system-x86_64")
    if parts is None or program is None:
        return None
    kernel, initrd = parts
    board = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    board += ["-accel", "tcg", "-m", "128M"]
    guest = ["-kernel", str(kernel), "-initrd", str(initrd)]
    guest += ["-append", "console=ttyS0 quiet panic=-1 no_timer_check"]
    begun = time.monotonic()
    with run.start([program, *board, *guest, "-serial", "stdio"], stdout=run.PIPE) as child:
        assert child.stdout is not None
        _wait_for(child.stdout.fileno(), begun + _MOST)
        return time.monotonic() - begun


def _wait_for(stream: int, deadline: float) -> None:
    """Until it is ready, ends or takes too long: then the tests that need it say what is wrong."""
    said, poller = b"", select.poll()
    poller.register(stream, select.POLLIN)
    while _READY not in said and poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if not (piece := os.read(stream, 4096)):
            return
        said += piece


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Of several workers one does all of what `_together` says; any other test goes to whoever is free. (Not
    --dist loadgroup: that of pytest-xdist 3.8 groups nothing under pytest 9.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid)

    config.option.loadscopereorder = False  # it would begin with the largest, and the order is ours
    return Scheduling(config, log)


def _together(nodeid: str) -> str:
    """What shares one state folder, an address of a bridge, or machines that run."""
    file = nodeid.partition("::")[0]
    if _folder(nodeid) == "boot" or file in _WITH_A_BRIDGE:
        return "boot"
    return file if file in _SHARING else nodeid


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=functools.partial(_rank, is_worker=hasattr(config, "workerinput")))


def _rank(item: pytest.Item, is_worker: bool) -> tuple[int, int]:
    """First what is quick, last what boots. One of the workers begins early with what is its alone: that
    takes as long as all the rest."""
    folder = _folder(item.nodeid)
    place = _ORDER.index(folder) if folder in _ORDER else _LAST
    if is_worker:
        return (0 if folder in _QUICK else 1 if folder == "boot" else 2), place
    return (0 if item.get_closest_marker("boot") is None else 1), place


def _folder(nodeid: str) -> str:
    parts = Path(nodeid.partition("::")[0]).parts
    return parts[1] if len(parts) > 2 else "."


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Before pytest-timeout, which reads its mark here."""
    if item.get_closest_marker("boot") is not None:
        calibrate()
        mark = item.get_closest_marker("timeout")
        if mark is not None:
            item.add_marker(pytest.mark.timeout(within(mark.args[0])), append=False)
    return (yield)


_taken: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _taken[_folder(report.nodeid)][report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slowness"] = _slowness[-1]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _slowness.append(max(_slowness[-1], getattr(node, "workeroutput", {}).get("slowness", 1.0)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if len(_taken) < 2:
        return
    terminalreporter.section("seconds by folder")
    for folder, tests in sorted(_taken.items(), key=lambda pair: -sum(pair[1].values())):
        slowest = max(tests, key=lambda test: tests[test])
        told = f"{sum(tests.values()):7.0f} s  {len(tests):5} tests  {folder:<9}"
        terminalreporter.line(f"{told}  {tests[slowest]:.0f} s for {slowest[:70]}")
    terminalreporter.line(f"limits for machines: {_slowness[-1]:.2f} of the usual, by the calibration boot")
