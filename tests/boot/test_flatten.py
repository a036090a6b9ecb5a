"""The way out: a flattened machine boots by itself under UEFI, with all it made its own."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.flatten import Wanted
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Machine
from skinnybox.masters import efi
from tests.boot.conftest import CACHE, Create

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(efi.missing()), reason=f"not installed: {' '.join(efi.missing())}"),
]

Up = Callable[[str], Machine]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]
FIRMWARE = Path("/usr/share/OVMF")
SECONDS = 600.0

MAKE = """
mkdir -p /srv/www; echo hello >/srv/www/index.html; ln /srv/www/index.html /srv/www/same
cp /bin/true /srv/noted; setfattr -n user.note -v here /srv/noted
mkfifo /srv/pipe; touch -d 2001-02-03T04:05:06Z /srv/old; chown 33:4 /srv/old; rm /etc/issue.net; sync
"""
SHOW = """
hostname; cat /etc/machine-id /srv/www/index.html; stat -c '%h' /srv/www/same; stat -c '%Y %u:%g' /srv/old
stat -c %F /srv/pipe; getfattr -h -d -m - /srv/noted 2>/dev/null | sed 1d
test ! -e /etc/issue.net && echo gone; cat /etc/ssh/ssh_host_ed25519_key.pub
"""
ORDINARY = """
set -e
findmnt -n -o FSTYPE,OPTIONS / | grep -q '^ext4 *rw'
findmnt -n /boot/efi >/dev/null
test ! -e /usr/lib/skinnybox
test ! -e /var/lib/skinnybox
if systemctl cat skinnybox-report.service 2>/dev/null; then exit 1; fi
systemctl --failed --no-legend >&2
test -z "$(systemctl --failed --no-legend)"
"""


def test_a_flattened_machine_is_an_ordinary_one(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path
) -> None:
    create("flat")
    up("flat")
    sh("flat", MAKE)
    before = sh("flat", SHOW)
    down("flat")
    disk = fleet.overlays.flatten("flat", Wanted(file=tmp_path / "flat.qcow2", format="qcow2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.qcow2"]
    with pytest.raises(Conflict, match="exists already"):
        fleet.overlays.flatten("flat", Wanted(file=disk))
    with fleet.overlays.changes("flat") as found:
        assert any(change.path == b"srv/www/index.html" for change in found)
    with ordinary(disk, fleet.machine("flat"), tmp_path, CACHE / "ssh" / "id_ed25519") as run:
        assert run(SHOW) == before
        run(ORDINARY)
        run("echo again >/srv/again; sync")


@contextmanager
def ordinary(disk: Path, machine: Machine, folder: Path, key: Path) -> Iterator[Callable[[str], str]]:
    """The disk in a plain QEMU, and a way to run lines of shell in it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = folder / "variables"
    shutil.copy(FIRMWARE / "OVMF_VARS_4M.fd", variables)
    # fmt: off
    words = [
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35",
        "-accel", "tcg,thread=multi", "-m", "768M", "-smp", "2",
        "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}/OVMF_CODE_4M.fd",
        "-drive", f"if=pflash,format=raw,file={variables}",
        "-drive", f"if=virtio,format=qcow2,file={disk}",
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", f"virtio-net-pci,netdev=net,mac={machine.instance.mac}",
        "-device", "virtio-rng-pci", "-serial", f"file:{folder}/console",
    ]
    # fmt: on
    with subprocess.Popen(words) as child:
        try:
            yield lambda line: _over_ssh(line, port, machine, folder, key)
        finally:
            child.kill()


def _over_ssh(line: str, port: int, machine: Machine, folder: Path, key: Path) -> str:
    """As soon as it answers; its host keys are those it always had."""
    known = folder / "known"
    known.write_text("".join(f"[127.0.0.1]:{port} {public}\n" for public in machine.host_keys))
    words = ["ssh", "-F", "/dev/null", "-i", str(key), "-p", str(port), "-o", f"UserKnownHostsFile={known}"]
    words += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    deadline = time.monotonic() + SECONDS
    while True:
        done = subprocess.run(
            [*words, "root@127.0.0.1", line], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode != 255:
            assert done.returncode == 0, done.stderr
            return done.stdout
        if time.monotonic() > deadline:
            console = (folder / "console").read_bytes()[-4000:].decode("utf-8", "replace")
            pytest.fail(f"{done.stderr}\n{console}")
        time.sleep(2)
