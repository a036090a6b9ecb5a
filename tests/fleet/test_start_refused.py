"""A start that QEMU refuses: in its own words, at once, and as an event."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.hosts.qemu import launch
from skinnybox.model import Master
from tests.fleet.conftest import SPARSE, rewritten, said
from tests.pace import within

LATER = """\
Unexpected error in apic_common_set_id() at hw/intc/apic_common.c:447:
qemu-system-x86_64: APIC ID 255 requires x2APIC feature in CPU
Try x2apic=on in -cpu."""

pytestmark = pytest.mark.skipif(run.find("qemu-system-x86_64") is None, reason="needs QEMU")


def test_what_qemu_refuses_is_quoted_and_told(
    state: Path, master: Master, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKINNYBOX_ACCELERATOR", "tcg")
    words = ("--host", "qemu", "--state", str(state))
    with open_fleet(Settings(state=state, host="qemu")) as fleet:
        [made] = fleet.create(["a"], "tiny", SPARSE)
        rewritten(fleet, replace(made, cpus=10_000))  # as a record of another version may say
    began = time.monotonic()
    refused = said(capsys, *words, "start", "a")
    assert refused.code == 1 and "Invalid SMP CPUs 10000" in refused.err
    assert time.monotonic() - began < within(20)
    told = said(capsys, *words, "events").out.splitlines()[1:]
    assert len(told) == 1 and "failed" in told[0] and "Invalid SMP CPUs 10000" in told[0]
    assert " stopped " in said(capsys, *words, "list").out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (LATER, "qemu-system-x86_64: APIC ID 255 requires x2APIC feature in CPU; Try x2apic=on in -cpu."),
        ("qemu-system-x86_64: warning: x\nqemu-system-x86_64: no\n", "qemu-system-x86_64: no"),
        ("Failed to bind\nNo external interface", "No external interface"),
        ("", "it said nothing"),
    ],
)
def test_a_hint_is_not_taken_for_the_reason(words: str, complaint: str) -> None:
    assert launch.complaint(words) == complaint
