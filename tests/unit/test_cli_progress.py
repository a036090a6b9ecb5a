import io
import sys

import pytest

from skinnybox.cli import progress


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
