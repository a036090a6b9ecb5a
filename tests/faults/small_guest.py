"""A skinny system of two megabytes: the real guest part on a busybox, which boots in seconds.

Its initramfs and its init take the product's own way (boot=skinnybox, apply-seed, report); what Debian
would add is missing. Once ready, it does what its console is told.
"""

import os
import re
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import guest_part, imports
from skinnybox.model import Master
from skinnybox.operation import Operation
from tests.conftest import _entry, _module

MODULES = """
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console virtio_blk virtio-rng
libcrc32c erofs overlay
"""
FILES = 40
"""Files of the master in /data, each of `lower_content`."""

_FOLDERS = """
bin sbin dev proc sys run tmp root data srv etc/ssh etc/network usr/bin usr/sbin usr/lib var/lib/skinnybox
"""
_INITRAMFS = b"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run
for m in @MODULES@; do [ ! -f /lib/modules/$m.ko ] || insmod /lib/modules/$m.ko; done
rootmnt=/root; . /scripts/skinnybox; mountroot
for folder in dev proc sys run; do mount -o move /$folder /root/$folder; done
exec switch_root /root /sbin/init
"""
_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/console >/dev/console 2>&1
stty -echo
/usr/lib/skinnybox/report &
echo "small guest ready"
while :; do read -r line || sleep 1; eval "$line"; done
"""
_SSH_KEYGEN = """#!/bin/sh
# The one use that is made of it: ssh-keygen ... -f FILE
for file; do :; done
echo "private $(head -c 300 /dev/urandom | base64)" >"$file"
blob=$({ printf '\\0\\0\\0\\013ssh-ed25519\\0\\0\\0\\040'; head -c 32 /dev/urandom; } | base64 -w 0)
echo "ssh-ed25519 $blob small" >"$file.pub"
"""


def lower_content(number: int) -> bytes:
    return (b"lower %d\n" % number) * 300


def initramfs(modules: Path, busybox: Path) -> bytes:
    found = {path.name.split(".")[0]: path for path in modules.rglob("*.ko*")}
    folders = "bin sbin dev proc sys run root scripts lib lib64 lib/modules usr usr/lib usr/lib/skinnybox"
    out = [_entry(name, 0o40755) for name in [*folders.split(), "usr/lib/skinnybox/lib"]]
    out.append(_entry("dev/console", 0o20600, device=(5, 1)))
    out.append(_entry("bin/busybox", 0o100755, busybox.read_bytes()))
    out.append(_entry("bin/sh", 0o120777, b"busybox"))
    out += list(_program(Path("/sbin/e2fsck")))
    for name in (name for name in MODULES.split() if name in found):
        out.append(_entry(f"lib/modules/{name}.ko", 0o100644, _module(found[name])))
    for part in sorted((guest_part.guest_folder() / "lib").glob("*.sh")):
        out.append(_entry(f"usr/lib/skinnybox/lib/{part.name}", 0o100644, part.read_bytes()))
    script = guest_part.guest_folder() / "initramfs-tools/scripts/skinnybox"
    out.append(_entry("scripts/skinnybox", 0o100644, script.read_bytes()))
    text = _INITRAMFS.replace(b"@MODULES@", " ".join(MODULES.split()).encode())
    return b"".join([*out, _entry("init", 0o100755, text), _entry("TRAILER!!!", 0)])


def _program(program: Path) -> list[bytes]:
    """A program and the libraries it names, where it looks for them."""
    out = [_entry(os.fspath(program).lstrip("/"), 0o100755, program.read_bytes())]
    made = set[str]()
    for library in re.findall(r"(/\S+)", run.run(["ldd", program]).stdout.decode()):
        for folder in [str(parent).lstrip("/") for parent in reversed(Path(library).parents)][1:]:
            if folder not in made and folder not in ("lib", "lib64", "usr", "usr/lib"):
                out.append(_entry(folder, 0o40755))
                made.add(folder)
        out.append(_entry(library.lstrip("/"), 0o100755, Path(library).read_bytes()))
    return out


def tree(folder: Path, busybox: Path) -> Path:
    """The root filesystem the master is sealed from."""
    for name in _FOLDERS.split():
        (folder / name).mkdir(parents=True)
    (folder / "bin/busybox").write_bytes(busybox.read_bytes())
    (folder / "bin/busybox").chmod(0o755)
    for applet in run.run([busybox, "--list"]).stdout.decode().split():
        if applet not in ("busybox", "init"):
            (folder / "bin" / applet).symlink_to("busybox")
    (folder / "sbin/ifup").symlink_to("../bin/busybox")
    for path, text in (("sbin/init", _INIT), ("usr/bin/ssh-keygen", _SSH_KEYGEN)):
        (folder / path).write_text(text)
        (folder / path).chmod(0o755)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    (folder / "etc/os-release").write_text('PRETTY_NAME="Small"\n')
    (folder / "etc/hosts").write_text("127.0.0.1\tlocalhost\n")
    for number in range(FILES):
        (folder / f"data/{number}").write_bytes(lower_content(number))
    run.run(["sh", guest_part.guest_folder() / "install.sh", "files", folder])
    return folder


def sealed(store: Path, folder: Path, test_kernel: Path) -> Master:
    """It as the master `small:1` in `store`; `folder` is for what it is made of."""
    busybox = static_busybox()
    (folder / "initrd").write_bytes(initramfs(test_kernel / "lib/modules", busybox))
    return imports.import_tree(
        tree(folder / "tree", busybox), store=store, name="small", version="1", as_is=True,
        kernel=next(test_kernel.glob("boot/vmlinuz-*")), initrd=folder / "initrd", operation=Operation(),
    )  # fmt: skip


def static_busybox() -> Path:
    busybox = run.find("busybox")
    if busybox is None or b"/ld-linux" in busybox.read_bytes()[:4096]:
        pytest.skip("no static busybox (Debian: busybox-static)")
    return busybox
