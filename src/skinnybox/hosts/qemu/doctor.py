"""Whether this machine is fit to run thin machines, and what to install when it is not."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from skinnybox import run
from skinnybox.emulation import accelerator
from skinnybox.errors import CommandFailed, NotStarted, TimedOut
from skinnybox.hosts.local.store import existing
from skinnybox.hosts.qemu import bridge, network
from skinnybox.issues import Check
from skinnybox.model import Acceleration
from skinnybox.overlays.space import filesystem_type
from skinnybox.sandbox.confinement import WEAK, MachineBounds
from skinnybox.sandbox.process import in_force_of_machine, is_whole
from skinnybox.sizes import GIB, format_size

_PROGRAMS = (
    ("qemu-system-x86_64", "qemu-system-x86", "fail"),
    ("mke2fs", "e2fsprogs", "fail"),
    ("mkfs.erofs", "erofs-utils", "warn"),
    ("mmdebstrap", "mmdebstrap", "warn"),
    ("ssh", "openssh-client", "warn"),
    ("zstd", "zstd", "warn"),
)
"""Program, Debian's package, and how bad it is to miss it: without the last four machines still run."""
_CONFINED = "confinement of QEMU"
_SHORT_FLAG = ("ssh", "mke2fs", "mkfs.erofs")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_OLDEST_QEMU = (7, 2)
_FILESYSTEMS = {
    0xEF53: "ext4",
    0x58465342: "XFS",
    0x9123683E: "btrfs",
    0x2FC12FC1: "ZFS",
    0x01021994: "tmpfs",
    0x6969: "NFS",
    0x794C7630: "overlayfs",
}
_KEEPS_PROMISES = ("ext4", "XFS")
_LITTLE = 2 * GIB


def checks(state: Path, wanted: Acceleration = Acceleration.AUTO) -> Iterator[Check]:
    for program, package, missing in _PROGRAMS:
        yield _program(program, package, missing)
    if run.find("qemu-system-x86_64"):
        yield _accelerator(wanted, state)
        yield _confinement()
    yield _network()
    if known := sorted(bridge.bridges()):
        yield _bridges(known)
    yield _initramfs()
    yield _flatten()
    yield _encryption()
    yield _free(state)
    yield _filesystem(state)


def _program(program: str, package: str, missing: str) -> Check:
    found = run.find(program)
    if found is None:
        return Check(name=program, status=missing, detail="not installed", hint=f"sudo apt install {package}")
    version = _version(program)
    if program.startswith("qemu") and version and _numbers(version) < _OLDEST_QEMU:
        return Check(name=program, status="fail", detail=f"{version} is too old", hint="QEMU 7.2 or later")
    return Check(name=program, status="ok", detail=f"{found} {version}".strip())


def _version(program: str) -> str:
    """What the program says of itself; "" when it says nothing of the kind."""
    try:
        done = run.run([program, "-V" if program in _SHORT_FLAG else "--version"], timeout=10)
    except (CommandFailed, TimedOut):
        return ""
    found = _VERSION.search((done.stdout + done.stderr).decode("utf-8", "replace"))
    return found[0] if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split("."))


def _accelerator(wanted: Acceleration, state: Path) -> Check:
    try:
        found = accelerator.summary(wanted, state)
    except NotStarted:
        detail = "KVM was not tried: QEMU cannot be confined, see below"
        return Check(name="acceleration", status="note", detail=detail)
    if found is None:
        detail = "KVM was not tried: there is no kernel yet to try it with; the first start does"
        return Check(name="acceleration", status="note", detail=detail)
    if found.works:
        return Check(name="acceleration", status="ok", detail=found.detail)
    only = wanted is Acceleration.KVM
    then = (
        "accelerator = kvm is set: no machine starts" if only else "guests are emulated (tcg), which is slow"
    )
    detail = f"{found.detail}; {then}"
    return Check(name="acceleration", status="fail" if only else "note", detail=detail, hint=found.hint)


def _confinement() -> Check:
    """By doing it, to a QEMU that says its version. Where it fails no machine starts, unless the settings say
    otherwise."""
    own = accelerator.user_of_trial()
    bounds = MachineBounds(limits={"core": 0}, user=own)
    try:
        found = in_force_of_machine(["qemu-system-x86_64", "--version"], bounds)
    except NotStarted as error:
        return Check(name=_CONFINED, status="fail", detail=error.message, hint=error.hint)
    who = "as this user" if own is None else "as users of their own"
    if is_whole(found):
        detail = f"machines run {who}, and open only their own parts: {', '.join(found)}"
        return Check(name=_CONFINED, status="ok", detail=detail)
    detail = f"weak, as the settings allow: machines run {who}, with {', '.join(['bounds', *found])}"
    return Check(name=_CONFINED, status="warn", detail=detail, hint=WEAK)


def _network() -> Check:
    found = network.verdict()
    if found.works:
        return Check(name="network", status="ok", detail=f"passt: {found.detail}")
    detail = f"{found.detail}; machines are reached by ssh, but do not reach out (restricted)"
    return Check(name="network", status="note", detail=detail, hint=found.hint)


def _bridges(known: list[str]) -> Check:
    names = ", ".join(known)
    if bridge.may():
        return Check(name="bridges", status="ok", detail=f"{names}: --bridge puts a machine there")
    hint = "run skinnybox as root (CAP_NET_ADMIN and /dev/net/tun)"
    return Check(name="bridges", status="note", detail=f"{names}: no right to use them", hint=hint)


def _initramfs() -> Check:
    from skinnybox.masters.initramfs import programs

    packages = programs.missing()
    if not packages:
        return Check(name="initramfs", status="ok", detail="masters can be made for machines to boot")
    hint = f"sudo apt install {' '.join(packages)}"
    return Check(name="initramfs", status="warn", detail=f"not installed: {', '.join(packages)}", hint=hint)


def _flatten() -> Check:
    from skinnybox.masters import efi

    packages = efi.missing()
    if not packages:
        return Check(name="flatten", status="ok", detail="disks that boot by themselves can be made")
    hint = f"sudo apt install {' '.join(packages)}"
    return Check(name="flatten", status="note", detail=f"not installed: {', '.join(packages)}", hint=hint)


def _encryption() -> Check:
    from skinnybox.masters.initramfs import encryption

    packages = encryption.missing()
    if not packages:
        return Check(
            name="encryption", status="ok", detail="machines with an encrypted overlay can be started"
        )
    hint = f"sudo apt install {' '.join(packages)}"
    return Check(name="encryption", status="note", detail=f"not installed: {', '.join(packages)}", hint=hint)


def _free(state: Path) -> Check:
    disk = os.statvfs(existing(state))
    free = disk.f_bavail * disk.f_frsize
    detail = f"{format_size(free)} free of {format_size(disk.f_blocks * disk.f_frsize)} at {state}"
    little = free < _LITTLE
    hint = "free some space, or use another state folder" if little else None
    return Check(name="space", status="warn" if little else "ok", detail=detail, hint=hint)


def _filesystem(state: Path) -> Check:
    descriptor = os.open(existing(state), os.O_RDONLY | os.O_DIRECTORY)
    try:
        magic = filesystem_type(descriptor)
    finally:
        os.close(descriptor)
    name = _FILESYSTEMS.get(magic, f"type {magic:#x}")
    if name in _KEEPS_PROMISES:
        return Check(name="filesystem", status="ok", detail=f"{state} lies on {name}")
    return Check(
        name="filesystem",
        status="note",
        detail=f"{state} lies on {name}: a promise of reserved space may not hold there",
        hint="a state folder on ext4 or XFS, or --sparse",
    )
