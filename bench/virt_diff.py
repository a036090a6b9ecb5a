"""virt-diff, as somebody uses it who has linked clones: the master's tree on an ordinary disk, and a qcow2
image above it with what the machine altered.

It boots a small system to read both. No KVM is used, which the other side has no use for either, and which
hangs on some hosts. That system's kernel is the host's own, or, where /boot has none, that of the tests.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

KERNEL = Path(__file__).parents[1] / ".cache" / "test-kernel" / "tree"
"""Of tests/conftest.py."""
_ENTRY = re.compile(rb"([-+=]) [-dlcbps] [0-7]{4} +\d+ /(.*)")
OTHER_DEVICE = b"# changed: st_dev"
# $1 an empty file, which is in the place of KVM for it: its backend tries that before it reads its settings.
_WITHOUT_KVM = '[ ! -e /dev/kvm ] || mount --bind "$1" /dev/kvm; shift; exec "$@"'
_MOUNTED = 'mount -o loop "$1" "$2"; cd "$2"; sh -euc "$3"; cd /; umount "$2"'


def missing() -> str | None:
    """What it cannot run without; None where it can."""
    for program in ("virt-diff", "depmod", "qemu-img"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not _of_the_host() and not any(KERNEL.glob("boot/vmlinuz-*")):
        return "virt-diff has no kernel to boot, in /boot or of the tests"
    if not Path("/lib/modules").exists():
        return "supermin, which makes that system, wants a folder /lib/modules, be it empty"
    return None


def _of_the_host() -> bool:
    return any(Path("/boot").glob("vmlinuz-*"))


def prepared(folder: Path, tree: Path, script: str) -> tuple[Path, Path]:
    """The disk of `tree`, and a linked clone of it in which `script` was run at its root. Needs root."""
    master, altered, clone = (folder / name for name in ("master.img", "altered.img", "machine.qcow2"))
    _run("mke2fs", "-q", "-t", "ext4", "-d", tree, master, "1G")
    shutil.copyfile(master, altered)
    place = folder / "clone"
    place.mkdir()
    _run("unshare", "-m", "sh", "-euc", _MOUNTED, "sh", altered, place, script)
    _run("qemu-img", "create", "-q", "-f", "qcow2", "-b", altered, "-F", "raw", clone)
    _run("qemu-img", "rebase", "-b", master, "-F", "raw", clone)  # keeps what differs
    altered.unlink()
    return master, clone


def environment(folder: Path) -> Mapping[str, str]:
    """With what it boots kept in `folder`: it is made at the first start."""
    found = {
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "LIBGUESTFS_CACHEDIR": str(folder),
        "TMPDIR": str(folder),
    }
    if not _of_the_host():
        (kernel,) = KERNEL.glob("boot/vmlinuz-*")
        release = kernel.name.removeprefix("vmlinuz-")
        modules = folder / "lib" / "modules" / release
        if not modules.exists():
            shutil.copytree(KERNEL / "lib" / "modules" / release, modules)
            _run("depmod", "-b", folder, release)
        found |= {
            "SUPERMIN_KERNEL": str(kernel),
            "SUPERMIN_KERNEL_VERSION": release,
            "SUPERMIN_MODULES": str(modules),
        }
    return {**os.environ, **found}


def virt_diff(master: Path, clone: Path, given: Mapping[str, str]) -> bytes:
    """What it says: a line for each file that is in one alone (+, -), or otherwise in both (=)."""
    nothing = clone.with_name("nothing")
    nothing.touch()
    words: list[str | Path] = ["unshare", "-m", "sh", "-euc", _WITHOUT_KVM, "sh", nothing, "virt-diff"]
    words += ["--format=raw", "-a", master, "--format=qcow2", "-A", clone]
    return subprocess.run(words, check=True, env=given, stdout=subprocess.PIPE).stdout


def named(said: bytes) -> set[bytes]:
    """The paths that it says differ, without a leading slash. It tells of every file whose device has another
    number in the two systems that it boots, which is of the systems: those are left out."""
    found: dict[bytes, bool] = {}
    pair: bytes | None = None
    for line in said.splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry:
            path = entry[2]
            pair = path if found.get(path) and entry[1] == b"+" else None
            found[path] = True
        elif line.rstrip() == OTHER_DEVICE and pair is not None:
            found[pair] = False
    return {path for path, differs in found.items() if differs}


def _run(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)
