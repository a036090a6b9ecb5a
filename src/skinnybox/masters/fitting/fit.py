"""The whole of it, for one tree."""

import re
from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.fitting import dpkg, inits, systemd
from skinnybox.masters.fitting.own import HOME
from skinnybox.masters.guest_part import PACKAGE, PROTOCOL, guest_folder

_SHOWN = ("media/root-ro", "media/root-rw")
_MOUNTED = (*_SHOWN, "var/lib/skinnybox/disk", "dev", "proc", "run", "sys")
"""Folders on which the initramfs mounts something; a system that is older than /run has none."""
_MOST_TEXT = 1 << 20
_OWN_DISK = re.compile(r"/(boot|boot/efi|efi)?")
_UPDATE = "etc/initramfs-tools/update-initramfs.conf"
_COMMAND = "usr/bin/skinnybox-guest"
_HOOKS = "etc/kernel"
_NOTICES = ("preinst.d/zz-skinnybox", "postinst.d/zz-skinnybox")
"""Before a kernel is unpacked, which takes its time, and after all that came with it was said."""
_FORMER = tuple(
    f"usr/share/initramfs-tools/{folder}/skinnybox"
    for folder in ("hooks", "scripts", "scripts/init-top", "scripts/init-bottom", "conf.d")
)
"""Of guest parts whose initramfs was made in the tree."""
_SAID = ("check", "active-units", "rebase", "rebase.done", "rebase.failed", "rebase.settled", "converged")
_OF_A_MACHINE = tuple(f"var/lib/skinnybox/{name}" for name in _SAID)
"""What one machine says of itself: of a tree that was a machine's, each of its own would say it too."""


def fit(tree: Path) -> None:
    """Idempotent. Unsupported where a symlink or a folder is in the way, or for a tree whose init nobody
    knows. The version file goes last: it is there only when all of the rest is.
    """
    for path in (PROTOCOL, *_FORMER, *_OF_A_MACHINE):
        inside.remove(tree, path)
    _put_programs(tree)
    inits.fit(tree)
    _take_own_disk_out_of_fstab(tree)
    _leave_to_master(tree)
    _finish(tree, _MOUNTED)


def put_idle(tree: Path) -> None:
    """What does nothing on a system that was not started by us, so that an ordinary one may have it as well:
    this is what the Debian package brings (script/guest-package)."""
    _put_programs(tree)
    systemd.put_idle(tree)
    _finish(tree, _SHOWN)


def _finish(tree: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        inside.make_folder(tree, folder)
    inside.put(tree, PROTOCOL, (guest_folder() / "protocol").read_bytes())


def _put_programs(tree: Path) -> None:
    guest = guest_folder()
    for script in sorted((guest / "lib").glob("*.sh")):
        inside.put(tree, f"{HOME}/lib/{script.name}", script.read_bytes())
    for program in sorted((guest / "bin").iterdir()):
        inside.put(tree, f"{HOME}/{program.name}", program.read_bytes(), 0o755)
    inside.link(tree, _COMMAND, f"../../{HOME}/skinnybox-guest")


def _take_own_disk_out_of_fstab(tree: Path) -> None:
    """A machine's root is no line of its fstab, it boots from no disk, and its swap is not the master's;
    other lines are kept."""
    text = inside.read(tree, "etc/fstab", _MOST_TEXT)
    if text is not None:
        lines = text.decode("utf-8", "surrogateescape").splitlines(keepends=True)
        kept = "".join(line for line in lines if not _is_own_disk(line.split()))
        inside.rewrite(tree, "etc/fstab", kept.encode("utf-8", "surrogateescape"))


def _is_own_disk(words: list[str]) -> bool:
    if len(words) < 3 or words[0].startswith("#"):
        return False
    return _OWN_DISK.fullmatch(words[1]) is not None or words[2] == "swap"


def _leave_to_master(tree: Path) -> None:
    """Kernel and initramfs belong to the master: one installed in a machine would fill its overlay and never
    boot, and a new initramfs cost it seconds at every upgrade of a package. So does GRUB, whose upgrades ask
    for the disks that the master's source booted from; and the guest part: what is sealed together speaks
    together."""
    dpkg.hold(tree, "linux-image", "grub", PACKAGE)
    settings = inside.read(tree, _UPDATE, _MOST_TEXT)
    if settings is not None:
        inside.rewrite(tree, _UPDATE, re.sub(rb"(?m)^update_initramfs=.*$", b"update_initramfs=no", settings))
    if inside.is_folder(tree, f"{_HOOKS}/postinst.d"):
        for notice in _NOTICES:
            inside.put(tree, f"{_HOOKS}/{notice}", (guest_folder() / "kernel-notice").read_bytes(), 0o755)
