"""A system that boots in seconds and lets its owner in by ssh: the real guest part, busybox and dropbear.

Nothing that people run is smaller, so what is measured against starts of it has the hardest rival there is.
Its kernel is Debian's cloud kernel, fetched by apt-get, or what SKINNYBOX_BENCH_KERNEL names: a folder with
boot/vmlinuz-* and lib/modules.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from skinnybox.masters.guest_part import guest_folder

PROGRAMS = ("busybox", "dropbear", "dropbearkey")
"""What this host has to have (Debian: busybox-static, dropbear-bin)."""

_FOLDERS = """
bin sbin dev proc sys run tmp root srv etc/ssh etc/network usr/bin usr/sbin usr/lib/modules
var/lib/skinnybox/disk media/root-ro media/root-rw
"""
_MODULES = ("crypto", "drivers/block", "drivers/char", "drivers/firmware", "drivers/md", "drivers/nvdimm",
            "drivers/virtio", "drivers/net/virtio_net.ko", "drivers/net/net_failover.ko", "fs/erofs",
            "fs/overlayfs", "lib", "net/core")  # fmt: skip
_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/console >/dev/console 2>&1
for name in net/core/failover drivers/net/net_failover drivers/net/virtio_net; do
    insmod "/usr/lib/modules/$(uname -r)/kernel/$name.ko"
done
# As QEMU's own network gives it, whoever asks; it would take longer to ask.
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
dropbear -s -r /etc/ssh/ssh_host_ed25519_key
ADDRESS_POLLS=1 /usr/lib/skinnybox/report &
while :; do sleep 3600; done
"""
_SSH_KEYGEN = """#!/bin/sh
# The one use that is made of it: ssh-keygen ... -f FILE
for file; do :; done
dropbearkey -t ed25519 -f "$file" | grep ^ssh-ed25519 >"$file.pub"
"""
_LIBRARY = re.compile(r"(/\S+) \(0x")


def fill(tree: Path) -> None:
    """Put what boots into a tree, which then is to be imported as it is, with `kernel` and no initrd."""
    for name in _FOLDERS.split():
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "root").chmod(0o700)
    busybox, *others = (Path(_found(name)) for name in PROGRAMS)
    shutil.copy(busybox, tree / "bin" / "busybox")
    for applet in _said([busybox, "--list"]).split():
        if applet not in ("busybox", "init"):
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "sbin" / "ifup").symlink_to("../bin/busybox")
    for program in others:
        shutil.copy(program, tree / "usr" / "bin")
        for library in map(Path, _LIBRARY.findall(_said(["ldd", program]))):
            place = tree / library.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)
    for path, text in (("sbin/init", _INIT), ("usr/bin/ssh-keygen", _SSH_KEYGEN)):
        (tree / path).write_text(text)
        (tree / path).chmod(0o755)
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc" / "group").write_text("root:x:0:\n")
    (tree / "etc" / "hosts").write_text("127.0.0.1\tlocalhost\n")
    _put_guest_part(tree / "usr" / "lib" / "skinnybox")


def put_modules(tree: Path, kernel: Path) -> None:
    for release in (kernel / "lib" / "modules").iterdir():
        for name in _MODULES:
            source, target = (root / release.name / "kernel" / name for root in
                              (kernel / "lib" / "modules", tree / "usr" / "lib" / "modules"))  # fmt: skip
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        for file in release.glob("modules.*"):
            shutil.copy(file, tree / "usr" / "lib" / "modules" / release.name)


def kernel(folder: Path) -> Path:
    """With boot/vmlinuz-* and lib/modules; fetched to `folder`, where none is named."""
    named = os.environ.get("SKINNYBOX_BENCH_KERNEL")
    if named:
        return Path(named)
    shown = _said(["apt-cache", "depends", "--important", "linux-image-cloud-amd64"])
    name = next(line.split()[-1] for line in shown.splitlines() if "linux-image-" in line.strip()[8:])
    subprocess.run(["apt-get", "download", "-q", name], cwd=folder, check=True, capture_output=True)
    subprocess.run(["dpkg-deb", "-x", next(folder.glob("linux-image-*.deb")), folder / "kernel"], check=True)
    return folder / "kernel"


def _put_guest_part(home: Path) -> None:
    """As who makes a tree himself does it: nobody else knows how this init starts what."""
    source = guest_folder()
    shutil.copytree(source / "lib", home / "lib")
    for program in (*(source / "bin").iterdir(), source / "inits" / "before-init"):
        shutil.copy(program, home)
        (home / program.name).chmod(0o755)
    shutil.copy(source / "protocol", home)


def _found(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{name} is missing here (Debian: busybox-static, dropbear-bin)")
    return found


def _said(words: list[str | Path]) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
