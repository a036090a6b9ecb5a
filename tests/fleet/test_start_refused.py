"""A start that QEMU refuses: in its own words, at once, and as an event."""

import time
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.model import Master
from tests.fleet.conftest import said
from tests.pace import within

pytestmark = pytest.mark.skipif(run.find("qemu-system-x86_64") is None, reason="needs QEMU")


def test_what_qemu_refuses_is_quoted_and_told(
    state: Path, master: Master, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKINNYBOX_ACCELERATOR", "tcg")
    words = ("--host", "qemu", "--state", str(state))
    made = said(capsys, *words, "create", "a", "-m", "tiny", "--cpus", "1000", "--sparse", "--overlay", "64M")
    assert made.code == 0, made.err
    began = time.monotonic()
    refused = said(capsys, *words, "start", "a")
    assert refused.code == 1 and "Invalid SMP CPUs 1000" in refused.err
    assert time.monotonic() - began < within(20)
    told = said(capsys, *words, "events").out.splitlines()[1:]
    assert len(told) == 1 and "failed" in told[0] and "Invalid SMP CPUs 1000" in told[0]
    assert " stopped " in said(capsys, *words, "list").out
