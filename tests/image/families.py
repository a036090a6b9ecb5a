"""Where systems of many families have what becomes a master: kernel, modules, the init that starts them.

Known from their packages, not tried: what boots is in tests/boot, in test_releases.py and test_inits.py.
"""

import gzip
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skinnybox import run

_SETUP, _TEXT = 0x20E, 0x300
_PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": lambda data: run.run(["zstd", "-qc"], stdin=data).stdout,
}
_MODULES = {
    "overlay": ("fs/overlayfs/overlay", ""),
    "overlayfs": ("fs/overlayfs/overlayfs", ""),  # Ubuntu's own, before there was one in Linux
    "ext4": ("fs/ext4/ext4", "jbd2"),
    "jbd2": ("fs/jbd2/jbd2", ""),
    "erofs": ("fs/erofs/erofs", ""),
    "virtio_blk": ("drivers/block/virtio_blk", ""),
}

SYSTEMD = {"usr/lib/systemd/systemd": "", "usr/sbin/init": "->../lib/systemd/systemd", "sbin": "->usr/sbin",
           "lib": "->usr/lib", "usr/lib/systemd/systemd-journald": ""}  # fmt: skip
SYSTEMD_APART = {"lib/systemd/systemd": "", "sbin/init": "->/lib/systemd/systemd"}
UPSTART = {"sbin/init": "", "sbin/initctl": "", "etc/init/rc.conf": "", "etc/init.d/umountroot": "",
           "etc/rc0.d/S60umountroot": "->../init.d/umountroot", "etc/rc0.d/S90halt": "->../init.d/halt",
           "etc/rc6.d/S60umountroot": "->../init.d/umountroot"}  # fmt: skip
UPSTART_OF_RED_HAT = {"sbin/init": "", "sbin/initctl": "", "etc/init/rc.conf": "",
                      "etc/inittab": "# see init(5)\nid:3:initdefault:\n",
                      "etc/rc.d/rc0.d/S01halt": "->../init.d/halt"}  # fmt: skip
SYSVINIT = {"sbin/init": "", "etc/inittab": "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n",
            "etc/rc0.d/K05umountroot": "->../init.d/umountroot", "etc/rc0.d/K06halt": "->../init.d/halt",
            "etc/rc6.d/K05umountroot": "->../init.d/umountroot"}  # fmt: skip
ALPINE = {"bin/busybox": "", "sbin/init": "->/bin/busybox", "sbin/openrc": "",
          "etc/runlevels/default/sshd": "", "etc/runlevels/shutdown/mount-ro": "",
          "etc/inittab": "::sysinit:/sbin/openrc sysinit\n::shutdown:/sbin/openrc shutdown\n"}  # fmt: skip
OPENRC_INIT = {"sbin/init": "->openrc-init", "sbin/openrc-init": "", "sbin/openrc": "",
               "etc/runlevels/default/sshd": ""}  # fmt: skip
BUSYBOX = {"bin/busybox": "", "sbin/init": "->../bin/busybox",
           "etc/inittab": "::sysinit:/etc/init.d/rcS\n::shutdown:/bin/umount -a -r\n"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`kernel` and `modules` have {} in place of the version. `lacks` is what such a kernel has neither as a
    module nor built in; `init` is what the fitting should find. `image` is what its master's should be: empty
    where it is refused, since its kernel cannot mount overlays or has no overlayfs. `links` are more of what
    `tree` has."""

    version: str
    kernel: str
    tree: Mapping[str, str]
    init: str
    modules: str = "usr/lib/modules/{}"
    packed: str = ""
    built_in: str = ""
    lacks: str = ""
    named: str = "overlay"
    image: str = "erofs-lz4hc"
    links: Mapping[str, str] = field(default_factory=dict)

    def make(self, folder: Path) -> Path:
        """Such a tree, in a folder that is not there yet."""
        for path, text in {**self.tree, **self.links}.items():
            _put(folder / path.format(self.version), text.format(self.version))
        place = folder / self.modules.format(self.version)
        for name, (path, needs) in _MODULES.items():
            if name not in f"{self.built_in} {self.lacks}".split() and (
                not name.startswith("overlay") or name == self.named
            ):
                target = place / f"kernel/{path}.ko{self.packed}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_PACKED[self.packed](module(needs)))
        place.mkdir(parents=True, exist_ok=True)
        (place / "modules.builtin").write_text(
            "".join(f"kernel/{_MODULES[name][0]}.ko\n" for name in self.built_in.split())
        )
        kernel = folder / self.kernel.format(self.version)
        kernel.parent.mkdir(parents=True, exist_ok=True)
        kernel.write_bytes(image(self.version))
        return folder


def module(needs: str) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(57) + b"license=GPL\0depends=" + needs.encode() + b"\0name=x\0"


def image(version: str) -> bytes:
    """The head of a kernel for x86, which says its version."""
    text = f"{version} (somebody@somewhere) #1 SMP\0".encode()
    head = bytearray(_TEXT + 0x200 + len(text))
    head[0x202:0x206] = b"HdrS"
    head[_SETUP : _SETUP + 2] = _TEXT.to_bytes(2, "little")
    head[_TEXT + 0x200 :] = text
    return bytes(head)


def _put(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith("->"):
        place.symlink_to(text[2:])
    else:
        place.write_text(text)


_DEBIAN = "boot/vmlinuz-{}"
_OLD = "lib/modules/{}"
_BESIDE = "usr/lib/modules/{}/vmlinuz"
_SUSE_LINK = {"boot/vmlinuz-{}": "->../usr/lib/modules/{}/vmlinuz", "boot/vmlinuz": "->vmlinuz-{}"}

FAMILIES = {
    "Debian 11": Family(version="5.10.0-34-cloud-amd64", kernel=_DEBIAN, tree=SYSTEMD_APART, init="systemd",
                        modules=_OLD),
    "Debian 12": Family(version="6.1.0-37-cloud-amd64", kernel=_DEBIAN, tree=SYSTEMD, init="systemd"),
    "Debian 13": Family(version="6.12.38+deb13-cloud-amd64", kernel=_DEBIAN, tree=SYSTEMD, init="systemd",
                        packed=".xz"),
    "Debian 12 with sysvinit": Family(version="6.1.0-37-amd64", kernel=_DEBIAN, tree=SYSVINIT, init="inittab",
                                      modules=_OLD),
    "Ubuntu 12.04": Family(version="3.2.0-126-virtual", kernel=_DEBIAN, tree=UPSTART, init="upstart",
                           modules=_OLD, built_in="ext4 jbd2 virtio_blk", lacks="erofs",
                           named="overlayfs", image=""),
    "Ubuntu 14.04": Family(version="3.13.0-170-generic", kernel=_DEBIAN, tree=UPSTART, init="upstart",
                           modules=_OLD, built_in="ext4 jbd2 virtio_blk", lacks="erofs",
                           named="overlayfs", image=""),
    "Ubuntu 14.04 with 16.04's kernel": Family(version="4.4.0-148-generic", kernel=_DEBIAN, tree=UPSTART,
                                               init="upstart", modules=_OLD, lacks="erofs", image="ext4",
                                               built_in="ext4 jbd2 virtio_blk"),
    "Ubuntu 16.04": Family(version="4.4.0-210-generic", kernel=_DEBIAN, tree=SYSTEMD_APART, init="systemd",
                           modules=_OLD, built_in="ext4 jbd2 virtio_blk", lacks="erofs", image="ext4"),
    "Ubuntu 18.04": Family(version="4.15.0-213-generic", kernel=_DEBIAN, tree=SYSTEMD_APART, init="systemd",
                           modules=_OLD, built_in="ext4 jbd2 virtio_blk", lacks="erofs", image="ext4"),
    "Ubuntu 18.04 with 19.10's kernel": Family(version="5.3.0-76-generic", kernel=_DEBIAN, init="systemd",
                                               tree=SYSTEMD_APART, modules=_OLD, image="ext4",
                                               built_in="ext4 jbd2 virtio_blk"),
    "Ubuntu 20.04": Family(version="5.4.0-216-generic", kernel=_DEBIAN, tree=SYSTEMD, init="systemd",
                           built_in="ext4 jbd2 virtio_blk"),
    "Ubuntu 22.04": Family(version="5.15.0-143-generic", kernel=_DEBIAN, tree=SYSTEMD, init="systemd",
                           built_in="ext4 jbd2 virtio_blk"),
    "Ubuntu 24.04": Family(version="6.8.0-63-generic", kernel=_DEBIAN, tree=SYSTEMD, init="systemd",
                           built_in="ext4 jbd2 virtio_blk", packed=".zst"),
    "Ubuntu 26.04": Family(version="7.0.0-14-generic", kernel=_DEBIAN, tree=SYSTEMD, init="systemd",
                           built_in="ext4 jbd2 virtio_blk", packed=".zst"),
    "Fedora": Family(version="6.14.0-63.fc42.x86_64", kernel=_BESIDE, tree=SYSTEMD, init="systemd",
                     built_in="ext4 jbd2", packed=".xz",
                     links={"boot/vmlinuz-0-rescue-0123456789abcdef": "rescue"}),
    "RHEL 6 and kin": Family(version="2.6.32-754.el6.x86_64", kernel=_DEBIAN, tree=UPSTART_OF_RED_HAT,
                             init="upstart", modules=_OLD, lacks="erofs overlay overlayfs", image=""),
    "RHEL 7 and kin": Family(version="3.10.0-1160.el7.x86_64", kernel=_DEBIAN, tree=SYSTEMD, init="systemd",
                             packed=".xz", lacks="erofs", image=""),
    "RHEL 8 and kin": Family(version="4.18.0-553.el8_10.x86_64", kernel=_BESIDE, tree=SYSTEMD, init="systemd",
                             packed=".xz", lacks="erofs", image="ext4"),
    "RHEL 9 and kin": Family(version="5.14.0-570.el9_6.x86_64", kernel=_BESIDE, tree=SYSTEMD, init="systemd",
                             packed=".xz", links={"boot/vmlinuz-0-rescue-0123456789abcdef": "rescue"}),
    "RHEL 10 and kin": Family(version="6.12.0-55.el10_0.x86_64", kernel=_BESIDE, tree=SYSTEMD, init="systemd",
                              packed=".xz"),
    "openSUSE Leap 15": Family(version="6.4.0-150600.21-default", kernel=_BESIDE, tree=SYSTEMD,
                               init="systemd",
                               packed=".zst", links=_SUSE_LINK),
    "openSUSE Tumbleweed": Family(version="6.15.4-1-default", kernel=_BESIDE, tree=SYSTEMD, init="systemd",
                                  packed=".zst", links=_SUSE_LINK),
    "Arch": Family(version="6.15.4-arch1-1", kernel=_BESIDE, tree=SYSTEMD, init="systemd", packed=".zst",
                   links={"boot/vmlinuz-linux": "->../usr/lib/modules/{}/vmlinuz"}),
    "Alpine": Family(version="6.12.31-0-virt", kernel="boot/vmlinuz-virt", tree=ALPINE, init="openrc",
                     modules=_OLD, packed=".gz"),
    "Gentoo with OpenRC": Family(version="6.12.31-gentoo-dist", kernel="boot/kernel-{}", tree=OPENRC_INIT,
                                 init="openrc", modules=_OLD, packed=".xz"),
    "busybox with an inittab": Family(version="6.12.31", kernel="boot/vmlinuz", tree=BUSYBOX, init="inittab",
                                      modules=_OLD, built_in="ext4 jbd2 virtio_blk overlay erofs"),
}  # fmt: skip
