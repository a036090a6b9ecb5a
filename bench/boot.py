"""Booting a thin machine against a linked clone of the same guest: `python -m bench.boot`. Needs root.

The same packages, kernel, processor and devices, by turns. The linked clone is qcow2 over a plain ext4 disk
whose initramfs holds as few modules as ours does, and its identity was made beforehand; the thin machine is
measured at a start where its identity exists too, and once more, for the record, at its first. Both are up
when a unit that comes after sshd says so on the console: whoever asked the forwarded port again and again
would leave sshd a queue of connections to work off first.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import alternate, ratio, verdict
from skinnybox.fleet.create import Specification
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.hosts.qemu.accelerator import choose
from skinnybox.hosts.qemu.command_line import board
from skinnybox.model import Allocation, Network, Overlay
from skinnybox.sizes import GIB, MIB

PAIRS = int(os.environ.get("SKINNYBOX_BENCH_PAIRS", "9"))
MOST_SECONDS = 300.0
SPECIFICATION = Specification(
    overlay=Overlay(size=GIB, allocation=Allocation.SPARSE),
    memory=512 * MIB,
    cpus=1,
    network=Network.RESTRICTED,
)
SAYS = b"bench: up"
RECIPE = f"""
packages: [openssh-server]
scripts:
  - |
    cat >/etc/systemd/system/bench.service <<END
    [Unit]
    After=ssh.service
    [Service]
    Type=oneshot
    ExecStart=/bin/sh -c "echo {SAYS.decode()} >/dev/ttyS0"
    [Install]
    WantedBy=multi-user.target
    END
    systemctl enable bench.service
"""
# What makes the extracted tree an ordinary guest again.
ORDINARY = """
cd "$1"
rm -rf usr/lib/skinnybox usr/share/initramfs-tools/*/skinnybox usr/share/initramfs-tools/scripts/*/skinnybox
rm -f usr/lib/systemd/system/multi-user.target.wants/skinnybox-* usr/lib/systemd/system-shutdown/skinnybox
printf 'MODULES=list\\nRESUME=none\\n' >etc/initramfs-tools/conf.d/bench
printf 'virtio_pci\\nvirtio_blk\\next4\\ncrc32c\\n' >>etc/initramfs-tools/modules
echo clone >etc/hostname
echo 0123456789abcdef0123456789abcdef >etc/machine-id
printf '[Match]\\nName=en* eth*\\n[Network]\\nDHCP=yes\\n' >etc/systemd/network/10-bench.network
rm -f etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f etc/ssh/ssh_host_ed25519_key
mount -t proc proc proc
kernel=$(ls boot/vmlinuz-* | tail -n 1)
chroot . mkinitramfs -o /boot/initrd.bench "${kernel#boot/vmlinuz-}"
umount proc
"""


def main() -> int:
    if os.geteuid():
        sys.exit("bench.boot: an ext4 disk with a tree's owners needs root")
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        with open_fleet(Settings(state=folder / "state")) as fleet:
            return _compare(fleet, folder)


def _compare(fleet: Fleet, folder: Path) -> int:
    (folder / "recipe.yaml").write_text(RECIPE)
    master = fleet.masters.build("bench:1", folder / "recipe.yaml")
    _make_base(fleet.masters.folder(master), folder)
    fleet.create(["bench-boot"], master.reference, SPECIFICATION)
    try:
        print(f"the thin machine's first start, with seed and host keys: {_thin(fleet):.1f} s")
        thin, clone = alternate(lambda: _thin(fleet), lambda: _clone(folder), PAIRS)
    finally:
        fleet.delete(["bench-boot"], force=True)
    for name, taken in (("thin", thin), ("linked clone", clone)):
        print(f"{name}: {statistics.median(taken):.1f} s ({min(taken):.1f} to {max(taken):.1f})")
    return 0 if verdict("boot to ready, against a linked clone", ratio(thin, clone), 1.0) else 1


def _make_base(sealed: Path, folder: Path) -> None:
    tree = folder / "tree"
    subprocess.run(
        ["fsck.erofs", f"--extract={tree}", sealed / "root.erofs"], check=True, capture_output=True
    )
    subprocess.run(["unshare", "--mount", "sh", "-euc", ORDINARY, "sh", tree], check=True)
    shutil.copy(tree / "boot" / "initrd.bench", folder / "initrd")
    shutil.copy(sealed / "kernel", folder / "kernel")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, folder / "base.img", "2G"], check=True)
    shutil.rmtree(tree)


def _thin(fleet: Fleet) -> float:
    begun = time.monotonic()
    started = fleet.start(["bench-boot"], wait=False)[0]
    if started.error:
        raise started.error
    taken = _until(lambda: SAYS in fleet.console_log("bench-boot"), begun)
    stopped = fleet.stop(["bench-boot"], Stopping(timeout=MOST_SECONDS))[0]
    if stopped.error:
        raise stopped.error
    return taken


def _clone(folder: Path) -> float:
    clone = folder / "clone.qcow2"
    console = folder / "console"
    for old in (clone, console):
        old.unlink(missing_ok=True)
    backing: list[str | Path] = ["-b", folder / "base.img", "-F", "raw"]
    begun = time.monotonic()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, clone], check=True)
    # fmt: off
    words: list[str | Path] = [
        "qemu-system-x86_64", *board(choose(), cpus=1, memory=512 * MIB),
        "-kernel", folder / "kernel", "-initrd", folder / "initrd",
        "-append", "root=/dev/vda rw console=ttyS0 quiet",
        "-drive", f"file={clone},format=qcow2,if=virtio",
        "-netdev", "user,id=net,ipv6=off,restrict=on",
        "-device", "virtio-net-pci,netdev=net,romfile=", "-serial", f"file:{console}",
    ]
    # fmt: on
    with subprocess.Popen(words) as machine:
        try:
            return _until(lambda: console.exists() and SAYS in console.read_bytes(), begun)
        finally:
            machine.kill()


def _until(holds: Callable[[], bool], begun: float) -> float:
    """Seconds from `begun` until it holds."""
    while time.monotonic() - begun < MOST_SECONDS:
        if holds():
            return time.monotonic() - begun
        time.sleep(0.05)
    raise TimeoutError(f"not up after {MOST_SECONDS:g} s")


if __name__ == "__main__":
    sys.exit(main())
