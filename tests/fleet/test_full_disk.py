"""A disk that fills in the middle of a batch: said so, with the right exit code, and nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.model import Master

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a filesystem of its own needs root")

# In a mount namespace of its own, so that the small filesystem is gone with the process.
SCRIPT = """
set -eu
mount -t tmpfs -o size=$2 none "$1/instances"
cd "$1/.."
set +e
shift 2
"$@"
code=$?
ls -A state/instances | wc -l
exit $code
"""


@pytest.mark.parametrize(
    ("host", "options"), [("memory", ("--sparse",)), ("qemu", ("--sparse",)), ("qemu", ())]
)
def test_a_disk_that_fills(state: Path, master: Master, host: str, options: tuple[str, ...]) -> None:
    (state / "instances").mkdir()
    argv = [sys.executable, "-m", "skinnybox", "--host", host, "--state", str(state)]
    create = [*argv, "create", "x-{1..100}", "-m", "tiny", "--overlay", "64M", *options]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", state, "8m", *create],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "0\n"), done.stderr
    assert "there is no room for an overlay" in done.stderr
    assert "hint:" in done.stderr
    assert subprocess.run([*argv, "list", "--names"], capture_output=True, check=True).stdout.strip() == b""
