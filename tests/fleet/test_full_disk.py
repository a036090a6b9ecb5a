"""A disk that fills in the middle of a batch: said so, with the right exit code, and nothing left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.model import Master

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a filesystem of its own needs root")

# In a mount namespace of its own, so that the small filesystem is gone with the process.
SCRIPT = """
set -eu
mount -t tmpfs -o size=$2,mode=700 none "$1/instances"
cd "$1/.."
set +e
shift 2
"$@"
code=$?
ls -A state/instances | wc -l
exit $code
"""


# Reserved ones are few: what they need together is asked of the disk below first, and that is the tester's.
@pytest.mark.parametrize(
    ("host", "names", "options"),
    [
        ("memory", "x-{1..300}", ("--sparse",)),
        ("qemu", "x-{1..300}", ("--sparse",)),
        ("qemu", "x-{1..3}", ()),
    ],
)
def test_a_disk_that_fills(
    state: Path, master: Master, host: str, names: str, options: tuple[str, ...]
) -> None:
    (state / "instances").mkdir()
    argv = [sys.executable, "-m", "skinnybox", "--host", host, "--state", str(state)]
    create = [*argv, "create", names, "-m", "tiny", "--overlay", "64M", *options]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", state, "8m", *create],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "0\n"), done.stderr
    assert "there is no room for an overlay" in done.stderr
    assert "hint:" in done.stderr
    assert subprocess.run([*argv, "list", "--names"], capture_output=True, check=True).stdout.strip() == b""


FILLED = """
set -eu
mount -t tmpfs -o size=6m none "$1"
cd "$1"
shift
set +e
"$@" create a b -m tiny --sparse --overlay 64M || exit 90
dd if=/dev/zero of=fill bs=4k 2>/dev/null
"$@" list --names || exit 91
"$@" doctor >&2 || exit 92
"$@" create c -m tiny --sparse --overlay 64M
[ $? -eq 7 ] || exit 93
"$@" delete --yes a || exit 94
"$@" list --names || exit 95
rm fill
"$@" create c -m tiny --sparse --overlay 64M || exit 96
"$@" repair
"""


def test_on_a_full_disk_machines_are_still_listed_and_deleted(
    state: Path, master: Master, tmp_path: Path
) -> None:
    """Not a byte is left: the catalog cannot even be opened in the usual way, and deleting is the cure."""
    place = tmp_path / "small"
    place.mkdir()
    shutil.copytree(state, tmp_path / "copy")
    argv = [sys.executable, "-m", "skinnybox", "--host", "memory", "--state", str(place / "state")]
    script = FILLED.replace("set +e", "cp -r ../copy state; set +e")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", place, *argv],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert done.stdout.split("\n") == [
        "a: created", "b: created", "a", "b", "a: deleted", "b", "c: created", "nothing to put right", "",
    ]  # fmt: skip
    assert "Traceback" not in done.stderr
