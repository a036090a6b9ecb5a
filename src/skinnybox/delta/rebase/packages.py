"""Packages first: whose version of each one the machine has afterwards.

By name and not by file, since dpkg's database and the files have to say the same: a file-right merge leaves
the old version in the one and the new one in the other. What a package brought goes its way (owners.py).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from skinnybox.delta.rebase.values import Decision, Fate, PackageClass, Standing, Subject
from skinnybox.masters.system.compare import names
from skinnybox.masters.system.debian_version import later
from skinnybox.masters.system.values import Package, System

KERNEL = re.compile(
    r"(?:linux-(?:image|headers|modules|kbuild|base)|initramfs-tools|dracut|grub|shim-signed)\b.*|.*-dkms"
)
_FINISHED = ("installed", "triggers-pending", "triggers-awaited")
_INEFFECTIVE = "machines boot their master's kernel, with its modules: this does nothing there"
GONE = "the new master has it no more"
SCRIPTS_TO_RUN = "its maintainer scripts run at the first start"


def _is_held(package: Package) -> bool:
    return package.status.startswith("hold ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """One package in the three systems; None where it is not installed."""

    name: str
    old: Package | None
    new: Package | None
    machine: Package | None

    @property
    def hold(self) -> bool:
        """Whether the machine put it on hold. Masters hold their kernels, and with the kernel that goes."""
        old, machine = self.old, self.machine
        by_master = machine and old and _is_held(old) and old.version == machine.version
        return machine is not None and _is_held(machine) and not by_master


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`fate`: KEEP the machine's, TAKE the master's, HIDE what the master has. ASK is decided as KEEP in what
    follows from it, so that everything in dispute is told at once."""

    versions: Versions
    kind: PackageClass
    fate: Fate
    standing: Standing = Standing.CLEAN
    why: str = ""

    @property
    def name(self) -> str:
        return self.versions.name

    @property
    def touched(self) -> bool:
        """Whether the machine itself did anything to it: whose paths have to be known."""
        return self.kind not in (PackageClass.SAME, PackageClass.ONLY_MASTER)


def versions(old: System, new: System, machine: System) -> list[Versions]:
    """All packages of any of the three, by name; with its architecture where any has two of a name."""
    called = names(old, new, machine)
    sides = [_installed(system, called) for system in (old, new, machine)]
    every = sorted(set().union(*sides))
    return [
        Versions(name=name, old=sides[0].get(name), new=sides[1].get(name), machine=sides[2].get(name))
        for name in every
    ]


def settled(found: Versions, on_hold: Fate = Fate.ASK) -> Settled:
    """`on_hold`: what becomes of one that is held, and of which the new master has another version, or of
    the machine's none."""
    old, new, machine = (_told(package) for package in (found.old, found.new, found.machine))
    lost = machine == old and not KERNEL.fullmatch(found.name)  # a machine boots its master's
    if found.hold and machine != new and (new is not None or lost):
        asked = Standing.CONFLICT if on_hold is Fate.ASK else Standing.CLEAN
        why = "" if new is not None else GONE
        return Settled(versions=found, kind=PackageClass.HELD, fate=on_hold, standing=asked, why=why)
    if machine == new:
        same = PackageClass.SAME if machine == old else PackageClass.BOTH
        # Of what both removed dpkg may know the settings in the machine, and who purges it the last script.
        return Settled(versions=found, kind=same, fate=Fate.TAKE if machine or not old else Fate.HIDE)
    if machine == old:
        return Settled(versions=found, kind=PackageClass.ONLY_MASTER, fate=Fate.TAKE)
    if found.machine is None:
        return Settled(versions=found, kind=PackageClass.REMOVED, fate=Fate.HIDE)
    if new == old:
        return _kept(found, PackageClass.ONLY_MACHINE)
    return _both(found)


def _kept(found: Versions, kind: PackageClass, why: str = "") -> Settled:
    """As far as dpkg came with it: what it did not finish, no database without a flaw can have."""
    assert found.machine is not None
    came = found.machine.status.rpartition(" ")[2]
    if came in _FINISHED:
        return Settled(versions=found, kind=kind, fate=Fate.KEEP, why=why)
    unfinished = f"dpkg did not finish with it ({came}): `dpkg --configure -a` in the machine does"
    return Settled(versions=found, kind=kind, fate=Fate.KEEP, standing=Standing.BLOCKED, why=unfinished)


def _both(found: Versions) -> Settled:
    """The later one: a security update of either side is not taken back."""
    assert found.machine is not None
    if found.new is None:
        return _kept(found, PackageClass.BOTH, GONE)
    if later(found.machine.version, found.new.version):
        why = "the machine's is the later one"
        return _kept(found, PackageClass.BOTH, why)
    return Settled(versions=found, kind=PackageClass.BOTH, fate=Fate.TAKE)


def unreadable(old: System, new: System, machine: System) -> str | None:
    """Why nothing can be said about packages; None where it can. Trees without any have none to merge."""
    for system, whose in ((old, "the old master"), (new, "the new master"), (machine, "the machine")):
        if system.manager not in (None, "dpkg"):
            return (
                f"{whose} has packages of {system.manager}, and only Debian's can be merged by package: "
                "rpm's database is no set of records that can be, and apk's is not written here"
            )
        if any("dpkg was interrupted" in line for line in system.trouble):
            return f"dpkg was interrupted in {whose}: `dpkg --configure -a` there ends it"
    if {system.manager for system in (old, machine)} == {None, "dpkg"}:
        return "the machine has a package database where its master has none, or the other way round"
    return None


def decisions(found: Mapping[str, Settled]) -> Iterator[Decision]:
    """What is told of them: not those that are the same."""
    for each in found.values():
        if each.kind is PackageClass.SAME:
            continue
        yield Decision(
            subject=Subject.PACKAGE,
            kind=each.kind,
            fate=each.fate,
            name=each.name,
            detail=", ".join(filter(None, (versions_told(each), each.why, _note(each)))),
            standing=each.standing,
        )


def _note(found: Settled) -> str:
    if found.touched and KERNEL.fullmatch(found.name) and found.fate is Fate.KEEP:
        return _INEFFECTIVE
    machine, new = found.versions.machine, found.versions.new
    if found.fate is Fate.TAKE and machine is not None and new is not None and machine.version != new.version:
        return SCRIPTS_TO_RUN
    return ""


def versions_told(found: Settled) -> str:
    """Of the three systems."""
    told = []
    for side, package in (
        ("old", found.versions.old),
        ("new", found.versions.new),
        ("machine", found.versions.machine),
    ):
        told.append(f"{side} {package.version if package else '-'}")
    return ", ".join(told)


def _installed(system: System, called: Mapping[str, str]) -> dict[str, Package]:
    return {called[p.key]: p for p in system.packages or () if p.present}


def _told(package: Package | None) -> tuple[str, str] | None:
    """What makes two of a name the same package. How far its installation came is told by `dpkg --audit`."""
    return None if package is None else (package.version, package.architecture)
