"""A program that is tied to us does not outlive us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="process ids of their own need root")


def running(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(int(path.parent.name))
    return found


def test_it_dies_with_all_that_it_started_when_we_are_killed(tmp_path: Path) -> None:
    mark = f"mark-{os.urandom(8).hex()}"
    script = f"sh -c 'sleep 300; :' {mark} & sh -c 'sleep 300; :' {mark}"
    ours = f"from skinnybox import run; run.run(run.tied(['sh', '-c', {script!r}]))"
    with subprocess.Popen([sys.executable, "-c", ours]) as process:
        deadline = time.monotonic() + 30
        while len(running(mark)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    while running(mark):
        assert time.monotonic() < deadline, running(mark)
        time.sleep(0.02)


def test_its_output_and_its_end_are_as_ever() -> None:
    assert run.run(run.tied(["printf", "%s-", "a b", "c"])).stdout == b"a b-c-"
    with pytest.raises(CommandFailed) as caught:
        run.run(run.tied(["sh", "-c", "echo no >&2; exit 7"]))
    assert caught.value.returncode == 7
    assert "no" in caught.value.message
