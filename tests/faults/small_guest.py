"""A skinny system of two megabytes: the real guest part on a busybox, which boots in seconds.

Its initramfs is the product's, and its init takes the product's own way (apply-seed, report); what Debian
would add is missing. Once ready, it does what its console is told.
"""

import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import guest_part, imports
from skinnybox.model import Master
from skinnybox.operation import Operation

_NEEDED = {
    "kernel": {"crypto", "drivers", "fs", "lib"},
    "drivers": {"block", "char", "firmware", "md", "nvdimm", "virtio"},
    "fs": {"erofs", "overlayfs"},
}
FILES = 40
"""Files of the master in /data, each of `lower_content`."""

_FOLDERS = """
bin sbin dev proc sys run tmp root data srv etc/ssh etc/network usr/bin usr/sbin usr/lib var/lib/skinnybox
"""
_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/console >/dev/console 2>&1
stty -echo
# Nothing here brings its card up: it would wait half a minute for an address.
ADDRESS_POLLS=1 /usr/lib/skinnybox/report &
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
    _put_guest_part(folder / "usr/lib/skinnybox")
    return folder


def _put_guest_part(home: Path) -> None:
    """As who makes a tree himself does it: nobody else knows how this init starts what."""
    source = guest_part.guest_folder()
    shutil.copytree(source / "lib", home / "lib")
    for program in (source / "bin").iterdir():
        shutil.copy(program, home)
    shutil.copy(source / "protocol", home)
    for folder in ("media/root-ro", "media/root-rw", "var/lib/skinnybox/disk"):
        (home.parents[2] / folder).mkdir(parents=True)


def sealed(store: Path, folder: Path, test_kernel: Path) -> Master:
    """It as the master `small:1` in `store`; `folder` is for what it is made of."""
    made = tree(folder / "tree", static_busybox())
    shutil.copytree(test_kernel / "lib/modules", made / "usr/lib/modules", ignore=_not_needed)
    return imports.import_tree(
        made, store=store, name="small", version="1", as_is=True,
        kernel=next(test_kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(),
    )  # fmt: skip


def _not_needed(folder: str, names: list[str]) -> set[str]:
    """Of a kernel's modules, what has nothing to do with its disks."""
    return set(names) - _NEEDED.get(Path(folder).name, set(names))


def static_busybox() -> Path:
    busybox = run.find("busybox")
    if busybox is None or b"/ld-linux" in busybox.read_bytes()[:4096]:
        pytest.skip("no static busybox (Debian: busybox-static)")
    return busybox
