"""No inode left, no byte, or a filesystem that became read-only: what reads goes on, and so do the cures.

Each in a mount namespace of its own, so that the small filesystem is gone with the process.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.model import Master

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a filesystem of its own needs root")

SMALL = """
set -eu
mount -t tmpfs -o {options} none "$1"
cd "$1"
shift
cp -r ../copy state
set +e
must() {{ "$@" || {{ echo "ended with $?: $*" >&2; exit 90; }}; }}
must "$@" create a b c -m tiny --sparse --overlay 64M >&2
must "$@" start b >&2
must "$@" stop b >&2
must "$@" start c >&2
"""
NO_INODES = """
n=0; while touch fill$n; do n=$((n + 1)); done 2>/dev/null
[ "$(stat -f -c %d .)" -eq 0 ] || exit 80
"""
NO_BYTES = """
dd if=/dev/zero of=fill0 bs=4k 2>/dev/null
[ "$(stat -f -c %a .)" -eq 0 ] || exit 81
"""
READS = """
must "$@" list --names
must "$@" show a >/dev/null
must "$@" doctor >/dev/null
must "$@" capacity >/dev/null
must "$@" events >/dev/null
must "$@" repair --dry-run >/dev/null
must "$@" console --log c >/dev/null
"""
FULL = """
"$@" create d -m tiny --sparse --overlay 64M >/dev/null
[ $? -eq 7 ] || exit 82
"$@" set b --cpus 2 >/dev/null
[ $? -eq 7 ] || exit 83
must "$@" delete --yes a
must "$@" list --names
rm -f fill*
must "$@" create d -m tiny --sparse --overlay 64M
must "$@" repair
"""
REFUSED = """
for words in "create d -m tiny" "set b --cpus 2" "start b" "delete --yes a"; do
  "$@" $words >/dev/null
  code=$?
  [ $code -eq 1 ] || { echo "$code: $words" >&2; exit 84; }
done
"""
AGAIN = """
mount -o remount,rw .
must "$@" delete --yes a
must "$@" list --names
must "$@" repair
"""


def run_in(
    state: Path, tmp_path: Path, script: str, host: str = "memory"
) -> "subprocess.CompletedProcess[str]":
    place = tmp_path / "small"
    place.mkdir()
    shutil.copytree(state, tmp_path / "copy")
    argv = [sys.executable, "-m", "skinnybox", "--host", host, "--state", str(place / "state")]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", place, *argv],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("fill", [NO_INODES, NO_BYTES, NO_BYTES + NO_INODES], ids=["inodes", "bytes", "both"])
def test_to_the_last_inode_and_byte(state: Path, master: Master, tmp_path: Path, fill: str) -> None:
    """Deleting is the cure: it needs neither, though the database cannot even be opened in the usual way."""
    script = SMALL.format(options="size=12m,nr_inodes=120") + fill + READS + FULL
    done = run_in(state, tmp_path, script)
    assert done.stdout.split("\n") == [
        "a", "b", "c", "a: deleted", "b", "c", "d: created", "nothing to put right", "",
    ]  # fmt: skip
    assert "the disk is full" in done.stderr and "hint:" in done.stderr


def test_read_only(state: Path, master: Master, tmp_path: Path) -> None:
    """As a kernel makes it after an error; the reason is said, and nothing is lost of it."""
    script = SMALL.format(options="size=12m") + "mount -o remount,ro . || exit 85\n" + READS + REFUSED + AGAIN
    done = run_in(state, tmp_path, script)
    assert done.stdout.split("\n") == [
        "a", "b", "c", "a: deleted", "b", "c", "nothing to put right", "",
    ]  # fmt: skip
    assert "note: only read, nothing can be written" in done.stderr
    assert done.stderr.count("read-only") >= 4 and "remount,rw" in done.stderr


LOG = """
cat >killed.py <<'END'
import os, sqlite3, sys
db = sqlite3.connect("state/state.db", isolation_level=None)
db.execute("DELETE FROM instances WHERE name = 'a'")
os._exit(0)
END
python3 killed.py
[ -s state/state.db-wal ] || exit 86
rm -f state/state.db-shm
mount -o remount,ro . || exit 85
"""


def test_what_a_killed_command_wrote_last_is_read_too(state: Path, master: Master, tmp_path: Path) -> None:
    """It is only in the write-ahead log, which nobody can bring into the file on a read-only filesystem."""
    done = run_in(state, tmp_path, SMALL.format(options="size=12m") + LOG + READS.replace("show a", "show b"))
    assert done.stdout.split() == ["b", "c"]


MACHINE = r"""
must "$@" create a -m tiny --sparse --overlay 64M >&2
uuid=$("$@" show a --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["uuid"])')
mkdir -p state/run/$uuid
sleep 60 >/dev/null 2>&1 &
ticks=$(sed 's/.*) //' /proc/$!/stat | cut -d' ' -f20)
printf '{"pid": %d, "start_time": %d, "boot_id": "%s", "nonce": "%032d", "name": "a", "started": "%s"}' \
  $! "$ticks" "$(cat /proc/sys/kernel/random/boot_id)" 0 2026-11-26T00:00:00+00:00 >machine.json
mv machine.json state/run/$uuid/
mount -o remount,ro . || exit 85
must "$@" list
must "$@" kill a
kill -0 $! 2>/dev/null && exit 87
must "$@" list >/dev/null
"""


def test_the_plug_is_pulled_on_a_read_only_disk(state: Path, master: Master, tmp_path: Path) -> None:
    """A process in place of QEMU, which nobody listens to."""
    script = SMALL.format(options="size=12m").partition('must "$@"')[0] + MACHINE
    done = run_in(state, tmp_path, script, "qemu")
    assert "starting" in done.stdout and "a: " in done.stdout
