"""A linked clone, which is what thin machines are measured against: qcow2 over a plain ext4 disk.

The guest is the same as the thin machine's: the tree of its master, made an ordinary one again, with an
initramfs that holds as few modules as ours does.
"""

import shutil
import subprocess
from pathlib import Path

from skinnybox.emulation.accelerator import choose
from skinnybox.emulation.board import board
from skinnybox.model import Acceleration

SAYS = b"bench: up"
OFF = "bench.off"
SERVICE = f"""
cat >{{root}}/etc/systemd/system/bench.service <<END
[Unit]
After=ssh.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c "echo {SAYS.decode()} >/dev/ttyS0"
ExecStart=/bin/sh -c "! grep -q {OFF} /proc/cmdline || systemctl --no-block poweroff"
[Install]
WantedBy=multi-user.target
END
"""
"""Shell text that puts a unit into a tree, `root`, which says that the guest is up."""
_INDENTED = SERVICE.format(root="").replace("\n", "\n    ")
RECIPE = f"""
packages: [openssh-server, busybox]
scripts:
  - |
    {_INDENTED}
    systemctl enable bench.service
"""
# What makes the extracted tree an ordinary guest again.
ORDINARY = """
cd "$1"
rm -rf usr/lib/skinnybox etc/kernel/postinst.d/zz-skinnybox
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


def make_base(sealed: Path, folder: Path) -> None:
    """`folder`/base.img, kernel and initrd, from the sealed master in `sealed`. Needs root."""
    tree = folder / "tree"
    subprocess.run(
        ["fsck.erofs", f"--extract={tree}", sealed / "root.erofs"], check=True, capture_output=True
    )
    subprocess.run(["unshare", "--mount", "sh", "-euc", ORDINARY, "sh", tree], check=True)
    shutil.copy(tree / "boot" / "initrd.bench", folder / "initrd")
    shutil.copy(sealed / "kernel", folder / "kernel")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, folder / "base.img", "2G"], check=True)
    shutil.rmtree(tree)


def linked_clone(
    folder: Path, name: str, *, memory: int, again: bool = False, off: bool = False
) -> subprocess.Popen[bytes]:
    """A new clone of `folder`/base.img, or the same one `again`, just powered on; it prints to
    `folder`/NAME.console, and powers `off` once it is up, if so told."""
    clone, console = folder / f"{name}.qcow2", folder / f"{name}.console"
    console.unlink(missing_ok=True)
    if not again:
        clone.unlink(missing_ok=True)
        backing: list[str | Path] = ["-b", folder / "base.img", "-F", "raw"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, clone], check=True)
    # fmt: off
    words: list[str | Path] = [
        "qemu-system-x86_64", *board(choose(Acceleration.AUTO, folder / "kernel", 1), cpus=1, memory=memory),
        "-kernel", folder / "kernel", "-initrd", folder / "initrd",
        "-append", f"root=/dev/vda rw console=ttyS0 quiet no_timer_check {OFF if off else ''}".rstrip(),
        "-drive", f"file={clone},format=qcow2,if=virtio",
        "-netdev", "user,id=net,ipv6=off,restrict=on",
        "-device", "virtio-net-pci,netdev=net,romfile=", "-serial", f"file:{console}",
    ]
    # fmt: on
    return subprocess.Popen(words)


def is_up(folder: Path, name: str) -> bool:
    """Whether the clone said so."""
    console = folder / f"{name}.console"
    return console.exists() and SAYS in console.read_bytes()
