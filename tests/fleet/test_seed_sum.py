"""The sum that Skinnybox is for: eighty servers of 1 GiB beside an 8 GiB master on a 100 GB disk.

Once as arithmetic, and once really done at 1:20 in a filesystem of its own.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.fleet.capacity import account, fits
from skinnybox.masters import imports
from skinnybox.model import Space
from skinnybox.operation import Operation
from skinnybox.sizes import GIB, MIB

DISK, SERVERS = 100_000_000_000, 80
SCALE = 20
OVERLAY = -(-GIB // SCALE // MIB)  # in whole MiB, rounded up
MASTER = 8 * GIB // SCALE


def space(free: int, owed: int = 0) -> Space:
    return Space(
        total=DISK, free=free, masters=8 * GIB, promised=owed, written=0, allocated=0, owed=owed, instances=0
    )


def test_eighty_fit_and_ninety_eight_never_did() -> None:
    assert fits(space(DISK - 8 * GIB), GIB) >= SERVERS
    # What the filesystem keeps for itself costs more than what is left: 98 GiB are 105 GB.
    assert fits(space(DISK), GIB) < 98


def test_what_sparse_overlays_were_promised_is_not_given_away_again() -> None:
    assert fits(space(50 * GIB, owed=20 * GIB), GIB) == 30 - 2  # the rest of it, but for 2 % of the disk
    assert fits(space(50 * GIB, owed=90 * GIB), GIB) == 0


def test_sparse_ones_are_reckoned_with_what_machines_write() -> None:
    said = account(replace(space(52 * GIB), instances=4, written=2 * GIB), (), ())
    assert (said.sparse_each, said.fit_sparse) == (512 * MIB, 100)
    assert account(space(52 * GIB), (), ()).sparse_each == MIB


# In a mount namespace of its own, so that the filesystem is gone with the process.
SCRIPT = """
set -eu
mount -o loop "$1/disk" "$1/state"
cd "$1"
skinny() { "$PYTHON" -m skinnybox --state "$1" -q "${@:2}"; }
mv masters state/
skinny state capacity --fit "$OVERLAY"M --format json
skinny state create 'web-{01..80}' -m lamp --overlay "$OVERLAY"M >&2
skinny state capacity --fit "$OVERLAY"M --format json
# A neighbour takes all that is left; what was promised is still there to the last byte.
dd if=/dev/zero of=state/neighbour bs=1M status=none 2>/dev/null || :
for overlay in $(ls -d state/instances/*/overlay.img | sed -n '1p;40p;80p'); do
    dd if=/dev/urandom of="$overlay" bs=1M count="$OVERLAY" conv=notrunc,fsync status=none
done
stat -c %b state/instances/*/overlay.img | sort -n | head -n 1
"""


@pytest.mark.image
@pytest.mark.skipif(os.geteuid() != 0, reason="a filesystem of its own needs root")
def test_eighty_reserved_machines_at_one_twentieth(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text("PRETTY_NAME=lamp\n")
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_bytes(name.encode())
    imports.import_tree(
        tree, store=tmp_path / "masters", name="lamp", version="1", as_is=True,
        kernel=tmp_path / "kernel", initrd=tmp_path / "initrd", operation=Operation(), allow_foreign=True,
    )  # fmt: skip
    (image,) = (tmp_path / "masters").glob("*/root.erofs")
    image.chmod(0o644)
    with image.open("ab") as file:  # as large as it is to be; compressing that much would take minutes
        os.posix_fallocate(file.fileno(), 0, MASTER)
    (tmp_path / "state").mkdir()
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(DISK // SCALE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-T", "largefile", tmp_path / "disk"], check=True)
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", SCRIPT, "bash", tmp_path],
        env={**os.environ, "PYTHON": sys.executable, "OVERLAY": str(OVERLAY)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    decoder = json.JSONDecoder()
    before, end = decoder.raw_decode(done.stdout)
    after, end = decoder.raw_decode(done.stdout.strip(), end + 1)
    assert before["masters"] >= MASTER
    assert before["fit"] >= SERVERS
    assert after["machines"] == SERVERS
    assert after["promised"] == SERVERS * OVERLAY * MIB
    assert after["allocated"] >= after["promised"] and after["owed"] == 0
    assert 0 < after["written"] < after["promised"] // 10  # reserved, and nobody has written to it yet
    assert int(done.stdout.split()[-1]) * 512 >= OVERLAY * MIB
