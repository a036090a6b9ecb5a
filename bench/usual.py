"""A guest as people run it: Debian's whole kernel behind GRUB in the boot sector, its package's initramfs
and cloud-init with a NoCloud seed; each machine is a linked clone of that disk.

Made without loop devices, by root.
"""

import shutil
import struct
import subprocess
from pathlib import Path

from bench.clone import OFF, SERVICE
from skinnybox import run
from skinnybox.emulation.accelerator import choose
from skinnybox.emulation.board import board
from skinnybox.masters import sources
from skinnybox.model import Acceleration
from skinnybox.sizes import GIB, MIB

_PACKAGES = (
    "linux-image-amd64", "initramfs-tools", "grub-pc-bin", "grub-common", "cloud-init", "openssh-server",
    "systemd-sysv", "systemd-resolved", "udev", "dbus", "iproute2", "kmod", "e2fsprogs",
)  # fmt: skip
_SIZE, _START = 3 * GIB, MIB
_SECTOR, _CODE, _TABLE, _LINUX = 512, 440, 446, 0x83
_MODULES = "biosdisk part_msdos ext2 linux normal configfile echo"
# $1 is the tree. GRUB waits for nobody, which most of its installations do for five seconds.
_HOOK = f"""
{SERVICE.format(root='"$1"')}
chroot "$1" systemctl enable bench.service systemd-networkd.service
mkdir -p "$1/boot/grub"
chroot "$1" grub-mkimage -O i386-pc -o /boot/grub/core.img -p '(hd0,msdos1)/boot/grub' {_MODULES}
kernel=$(basename "$1"/boot/vmlinuz-*)
cat >"$1/boot/grub/grub.cfg" <<END
linux /boot/$kernel root=/dev/vda1 ro console=ttyS0 quiet {OFF}
initrd /boot/initrd.img-${{kernel#vmlinuz-}}
boot
END
echo '/dev/vda1 / ext4 errors=remount-ro 0 1' >"$1/etc/fstab"
printf '[Match]\\nName=en* eth*\\n[Network]\\nDHCP=yes\\n' >"$1/etc/systemd/network/10-bench.network"
"""
_SEED = {
    "meta-data": "instance-id: bench-1\nlocal-hostname: usual\n",
    "user-data": "#cloud-config\nssh_pwauth: false\n",
}


def make_usual(folder: Path) -> None:
    """`folder`/usual.img and seed.img."""
    tree = folder / "usual"
    suite = sources.release().codename
    stanzas = "\n".join(source.stanza() for source in sources.own_sources(suite)).encode()
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
    words += [f"--include={','.join(_PACKAGES)}", f"--customize-hook={_HOOK}", suite, str(tree), "-"]
    run.run(words, stdin=stanzas, keep=run.FETCHING)
    disk = folder / "usual.img"
    with disk.open("xb") as file:
        file.truncate(_SIZE)
    blocks = str((_SIZE - _START) // 1024)
    run.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, "-E", f"offset={_START}", disk, f"{blocks}k"])
    _make_bootable(disk, tree)
    shutil.rmtree(tree)
    _make_seed(folder)


def _make_bootable(disk: Path, tree: Path) -> None:
    """As grub-install does it: its first sector is told by default that the rest follows it."""
    code = (tree / "usr/lib/grub/i386-pc/boot.img").read_bytes()
    core = (tree / "boot/grub/core.img").read_bytes()
    assert len(core) <= _START - _SECTOR
    start, count = _START // _SECTOR, (_SIZE - _START) // _SECTOR
    entry = struct.pack("<B3xB3xII", 0x80, _LINUX, start, count)
    with disk.open("r+b") as file:
        file.write(code[:_CODE] + bytes(_TABLE - _CODE) + entry + bytes(3 * len(entry)) + b"\x55\xaa" + core)


def _make_seed(folder: Path) -> None:
    seed = folder / "seed.img"
    with seed.open("xb") as file:
        file.truncate(MIB)
    run.run(["mkfs.vfat", "-n", "CIDATA", seed])
    for name, text in _SEED.items():
        (folder / name).write_text(text)
        run.run(["mcopy", "-i", seed, folder / name, f"::/{name}"])


def usual_clone(folder: Path, *, memory: int, again: bool) -> subprocess.Popen[bytes]:
    """A new clone, or the same one `again`, just powered on; it prints to `folder`/usual.console, and powers
    off once it is up."""
    clone, console = folder / "usual.qcow2", folder / "usual.console"
    console.unlink(missing_ok=True)
    if not again:
        clone.unlink(missing_ok=True)
        run.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", folder / "usual.img", "-F", "raw", clone])
    # fmt: off
    words: list[str | Path] = [
        "qemu-system-x86_64", *board(choose(Acceleration.AUTO, folder / "kernel", 1), cpus=1, memory=memory),
        "-drive", f"file={clone},format=qcow2,if=virtio",
        "-drive", f"file={folder / 'seed.img'},format=raw,if=virtio,readonly=on",
        "-netdev", "user,id=net,ipv6=off,restrict=on",
        "-device", "virtio-net-pci,netdev=net,romfile=", "-serial", f"file:{console}",
    ]
    # fmt: on
    return subprocess.Popen(words)
