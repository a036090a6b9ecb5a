import io
import os
import pty
import select
import sys
import time

import pytest

from skinnybox.cli import progress

SHOW_CURSOR = b"\x1b[?25h"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees, in a list of one."""
    now = [100.0]
    monkeypatch.setattr("skinnybox.cli.progress.time.monotonic", lambda: now[0])
    return now


def test_long_work_speaks_now_and_then_and_at_its_end(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with progress.shown(quiet=False) as operation:
        for second in range(9):
            clock[0] = 100.0 + second
            operation.step("copy", done=second << 20, total=8 << 20, unit="bytes", detail="a file")
    assert said.getvalue().splitlines() == [
        "copy 3.0M/8.0M (a file)",
        "copy 6.0M/8.0M (a file)",
        "copy 8.0M/8.0M (a file)",
    ]


def test_quick_work_and_quiet_users_get_nothing(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    for quiet in (False, True):
        with progress.shown(quiet) as operation:
            operation.step("create", done=0, total=3, unit="machines")
            clock[0] += 1 if not quiet else 60
            operation.step("create", done=3, total=3, unit="machines")
    assert said.getvalue() == ""


def test_it_leaves_a_terminal_to_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn meanwhile, and the cursor is there; afterwards it goes on, without what is over."""
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8", buffering=1) as screen:  # noqa: PTH123 (a descriptor)
        monkeypatch.setattr(sys, "stderr", screen)
        with progress.shown_but(quiet=False) as (operation, hidden):
            operation.step(task="before", done=1, total=1)
            with hidden():
                drawn = _drawn(ours)
                assert b"before" in drawn and drawn.rstrip().endswith(SHOW_CURSOR)
                assert _drawn(ours) == b""
            operation.step(task="after", done=1, total=2)
            drawn = _drawn(ours)
            assert b"after" in drawn and b"before" not in drawn
    os.close(ours)


def _drawn(descriptor: int) -> bytes:
    """Within a time in which a live line would be drawn some times."""
    found, deadline = b"", time.monotonic() + 0.5
    while (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            found += os.read(descriptor, 65536)
    return found
