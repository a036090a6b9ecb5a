"""A program that ends with us, also where it has a user of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skinnybox import run
from tests.pace import within
from tests.unit.test_run_tied import running

PRIVILEGES = [[], ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]]


@pytest.mark.parametrize("privileges", PRIVILEGES, ids=["as we are", "another user"])
def test_it_is_gone_when_we_are_killed(privileges: list[str]) -> None:
    if privileges and os.geteuid() != 0:
        pytest.skip("only root may choose the user")
    mark = f"mark-{os.urandom(8).hex()}"
    command = ["sh", "-c", "sleep 100; :", mark]
    ours = (
        "from skinnybox import run\n"
        f"with run.start([*run.ending_with_us(*{privileges!r}), *{command!r}]) as child: child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", ours]) as process:
        deadline = time.monotonic() + within(30)
        while not any(b"setpriv" not in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running(mark)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.3)  # for sh to have become the command
        process.send_signal(signal.SIGKILL)
    while running(mark):
        assert time.monotonic() < deadline, running(mark)
        time.sleep(0.02)


def test_what_comes_too_late_to_hear_of_our_end_never_begins(tmp_path: Path) -> None:
    """As if we had died between its start and its asking to be told: its parent is another by then."""
    began = tmp_path / "began"
    words = [*run.ending_with_us(), "touch", str(began)]
    shell = subprocess.run(["sh", "-c", '"$@"; :', "sh", *words], check=False)
    assert shell.returncode == 0 and not began.exists()
    run.run([*run.ending_with_us(), "touch", str(began)])
    assert began.exists()
