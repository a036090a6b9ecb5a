"""A flattened disk in a QEMU that knows nothing of Skinnybox."""

import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.masters import efi
from tests.pace import within

FIRMWARE = Path("/usr/share/OVMF")
LACKING = [*efi.missing(), *([] if (FIRMWARE / "OVMF_CODE_4M.fd").exists() else ["ovmf"])]
CAN_BOOT = pytest.mark.skipif(
    bool(LACKING), reason=f"a flattened disk cannot be booted here: not installed: {' '.join(LACKING)}"
)
"""For a test of its own: what a test leaves out in its middle, nobody reads of."""
SECONDS = 600.0
CHECK = """
set -e
findmnt -n -o FSTYPE,OPTIONS / | grep -q '^ext4 *rw'
findmnt -n /boot/efi >/dev/null
test ! -e /usr/lib/skinnybox
test ! -e /var/lib/skinnybox
test ! -L /usr/bin/skinnybox-guest
if apt-mark showhold | grep -v ^linux-image; then exit 1; fi
if find /etc/systemd/system -maxdepth 1 -name 'modprobe@*' | grep .; then exit 1; fi
systemctl is-enabled e2scrub_all.timer
if systemctl cat skinnybox-report.service 2>/dev/null; then exit 1; fi
systemctl --failed --no-legend >&2
test -z "$(systemctl --failed --no-legend)"
"""
"""A line of shell that fails where anything of Skinnybox is left."""


def boots_as_it_was(fleet: Fleet, name: str, before: str, show: str, key: Path, folder: Path) -> None:
    """Flattened and booted by itself, a machine says to the lines `show` what it said `before`."""
    disk = fleet.overlays.flatten(name, FlatDisk(file=folder / f"{name}.qcow2", format="qcow2"))
    machine = fleet.machine(name)
    with booted(disk, machine.instance.mac, machine.host_keys, key, folder) as run:
        assert run(show) == before
        run(CHECK)


@contextmanager
def booted(
    disk: Path, mac: str, host_keys: Sequence[str], key: Path, folder: Path, guest: str = "10.0.2.15/24",
    *, seconds: float = SECONDS,
) -> Iterator[Callable[[str], str]]:  # fmt: skip
    """The disk in a plain QEMU, and a way to run lines of shell in it, each for so many `seconds` at most;
    `guest` is the address it has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, network = guest.partition("/")[0], ipaddress.ip_interface(guest).network
    variables = folder / "variables"
    shutil.copy(FIRMWARE / "OVMF_VARS_4M.fd", variables)
    # fmt: off
    words = [
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35",
        "-accel", "tcg,thread=multi", "-m", "768M", "-smp", "2",
        "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}/OVMF_CODE_4M.fd",
        "-drive", f"if=pflash,format=raw,file={variables}",
        "-drive", f"if=virtio,format=qcow2,file={disk}",
        "-netdev", f"user,id=net,restrict=on,net={network},hostfwd=tcp:127.0.0.1:{port}-{address}:22",
        "-device", f"virtio-net-pci,netdev=net,mac={mac}",
        "-device", "virtio-rng-pci", "-serial", f"file:{folder}/console",
    ]
    # fmt: on
    with subprocess.Popen(words) as child:
        try:
            yield lambda line: _over_ssh(line, port, host_keys, key, folder, seconds)
        finally:
            child.kill()


def _over_ssh(line: str, port: int, host_keys: Sequence[str], key: Path, folder: Path, seconds: float) -> str:
    """As soon as it answers; its host keys are those it always had."""
    known = folder / "known"
    known.write_text("".join(f"[127.0.0.1]:{port} {public}\n" for public in host_keys))
    words = ["ssh", "-F", "/dev/null", "-i", str(key), "-p", str(port), "-o", f"UserKnownHostsFile={known}"]
    words += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    deadline = time.monotonic() + within(SECONDS)
    while True:
        done = subprocess.run(
            [*words, "root@127.0.0.1", line],
            capture_output=True,
            text=True,
            timeout=within(seconds),
            check=False,
        )
        if done.returncode != 255:
            assert done.returncode == 0, done.stderr
            return done.stdout
        if time.monotonic() > deadline:
            console = (folder / "console").read_bytes()[-4000:].decode("utf-8", "replace")
            pytest.fail(f"{done.stderr}\n{console}")
        time.sleep(2)
