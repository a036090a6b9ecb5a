"""The gate of a rebase: whether a machine is whole on its new master, before its new overlay takes its place.

Two halves. What can be read is read here, by a confined process: libraries, owners. What only its own package
manager knows, it is asked in the appliance, beside the machine as it was, since nobody is to pay for what was
broken before. A boot of it is for one machine: maintainer scripts run in there as root, and no machine is to
see another one's disk, or to speak for it.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from skinnybox import run
from skinnybox.appliance.appliance import Appliance, Disk, operate, scratch_file
from skinnybox.delta.rebase import masters as opened_masters
from skinnybox.delta.rebase.examining import Examined, examined
from skinnybox.delta.rebase.findings import LIBRARIES, MOST, OWNERS, Finding, FindingKind
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.settled import Unsettled
from skinnybox.emulation.user import user_of
from skinnybox.errors import Blocked, Corrupt
from skinnybox.fleet import stack_files
from skinnybox.fleet.view import MachineView
from skinnybox.masters.guest_part import guest_folder
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Acceleration, Instance, Master
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed_copy
from skinnybox.sizes import MIB

_NAME = "gate"
_MINUTES = 30
_ROOM = 512 * MIB
"""What the two views write beyond what a machine has room for: caches of apt and the like."""
_TOLD = 3
_SAID = re.compile(r"(configure|audit|check|verify) ([ -~]{1,400})")
_AT = re.compile(r"at ([a-z]{1,20})( [a-z]{1,20})?")
_OF_PACKAGES = frozenset(FindingKind) - OWNERS


def check(
    old: Path,
    new: Path,
    machine: MachineView,
    masters: tuple[Master, Master],
    folders: tuple[Path, Path],
    scratch: Path,
    operation: Operation,
    accelerator: Acceleration = Acceleration.AUTO,
    *,
    reinstalled: bool = False,
    files: tuple[Files, Files] | None = None,
) -> None:
    """Of the overlay of a machine that is off, and what a rebase made of it; both masters are held. Neither
    is written to. Blocks, for minutes where a package manager is to be asked. Where its packages were
    `reinstalled` owners are what their scripts made of them: they are for check_owners, before that.
    `files` are the masters', where somebody has opened them.

    Raises Blocked for what was whole and would not be any more; Corrupt, GuestFailed and TimedOut when
    nobody knows."""
    operation.step(task=_NAME, detail="libraries and owners")
    kinds = LIBRARIES if reinstalled else LIBRARIES | OWNERS
    with _examined(old, new, masters, folders, scratch, kinds, files) as (before, found):
        _refuse(machine, masters[1], found.findings, found.more)
        if not is_to_be_asked(found):
            operation.step(task=_NAME, detail="no package differs, and no program could be hurt")
            return
        asking = Asking(machine=machine, masters=masters, folders=folders, scratch=scratch)
        _refuse(machine, masters[1], asking.findings(before, new, operation, accelerator))


def check_owners(
    old: Path,
    new: Path,
    machine: MachineView,
    masters: tuple[Master, Master],
    folders: tuple[Path, Path],
    scratch: Path,
    files: tuple[Files, Files] | None = None,
) -> None:
    """The same of owners alone, of an overlay whose packages are yet to be installed again. Raises Blocked
    and Corrupt."""
    with _examined(old, new, masters, folders, scratch, OWNERS, files) as (_, found):
        _refuse(machine, masters[1], found.findings, found.more)


@contextmanager
def _examined(
    old: Path,
    new: Path,
    masters: tuple[Master, Master],
    folders: tuple[Path, Path],
    scratch: Path,
    kinds: frozenset[FindingKind],
    files: tuple[Files, Files] | None,
) -> Iterator[tuple[Path, Examined]]:
    """With what the old one is when its journal is replayed: mostly it is clean, and its reader says so."""
    with ExitStack() as held:
        if files is None:
            one, other = (
                held.enter_context(opened_masters.opened(folder.parent, master, scratch))
                for folder, master in zip(folders, masters, strict=True)
            )
            files = (one, other)
        try:
            before, found = old, examined(old, new, files, kinds)
        except Unsettled:
            before = held.enter_context(replayed_copy(old, scratch=scratch))
            found = examined(before, new, files, kinds)
        yield before, found


def is_to_be_asked(found: Examined) -> bool:
    """Whether a package manager may know of something that was not read: where there is none that is asked,
    or nothing of it differs, no machine has to be booted for it."""
    return found.dpkg and (found.packages or found.programs > 0)


def _refuse(machine: MachineView, new: Master, found: tuple[Finding, ...], more: int = 0) -> None:
    if not found:
        return
    told = "; ".join(f"{each.kind}: {each.text}" for each in found[:_TOLD])
    rest = len(found) - _TOLD + more
    also = f"; and {rest} more" if rest > 0 else ""
    raise Blocked(
        f"{machine.name} would not be whole on {new.reference}, and stays as it was: {told}{also}",
        hint=_hint({each.kind for each in found}),
    )


def _hint(kinds: set[FindingKind]) -> str:
    if kinds & _OF_PACKAGES:
        return (
            "have the machine's packages as the new master has them (apt-get upgrade, or remove them in it), "
            "or --take what hides the master's, or --replay, which installs them anew"
        )
    return "--take or --pin says who wins at that path; --replay would not help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is worse in a machine, by its own package manager. Each time is a boot of the appliance."""

    machine: MachineView
    masters: tuple[Master, Master]
    folders: tuple[Path, Path]
    scratch: Path

    def findings(
        self,
        old: Path,
        new: Path,
        operation: Operation,
        accelerator: Acceleration = Acceleration.AUTO,
    ) -> tuple[Finding, ...]:
        room = new.stat().st_size + old.stat().st_size + _ROOM
        with scratch_file(self.scratch, room) as disk:
            run.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard", disk])
            heard = Heard(operation)
            appliance = self._appliance(old, new, disk, accelerator)
            operate(appliance, _NAME, heard, self.scratch)
        return tuple(heard.findings)

    def _appliance(self, old: Path, new: Path, disk: Path, accelerator: Acceleration) -> Appliance:
        kernel, programs = self.folders[1], guest_folder() / "appliance"
        layers = stack_files.images(kernel.parents[1], self.machine.instance.stack)
        before, after = (
            folder / _image(master, self.machine.instance)
            for folder, master in zip(self.folders, self.masters, strict=True)
        )
        return Appliance(
            kernel=kernel / KERNEL_FILE,
            initrd=kernel / INITRD_FILE,
            program=(programs / _NAME).read_bytes(),
            files={"begin": (programs / "begin").read_bytes()},
            words=f"gate.layers={len(layers)}",
            disks=(
                Disk(serial="skinny-master", file=after),
                Disk(serial="skinny-overlay", file=new),
                Disk(serial="skinny-before", file=before),
                Disk(serial="skinny-old", file=old),
                Disk(serial="skinny-scratch", file=disk, writable=True),
                *(Disk(serial=f"skinny-layer-{n}", file=file) for n, file in enumerate(layers, 1)),
            ),
            user=user_of(self.machine.instance),
            seconds=60 * _MINUTES,
            accelerator=accelerator,
        )


def _image(master: Master, instance: Instance) -> str:
    """The one that the machine boots from, or would; all of a master hold the same."""
    if not master.images:
        raise Corrupt(f"{master.reference} has no image")
    own = master.image(instance.stack.images[0])
    return (own or master.images[0]).file


class Heard:
    """What it says, line by line: a stranger's text, of which so much is kept, and no more."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.findings: list[Finding] = []

    def __call__(self, said: str) -> None:
        step, found = _AT.fullmatch(said), _SAID.fullmatch(said)
        if step:
            self._operation.step(task=_NAME, detail=_STEPS.get(step[1], "inside"))
        elif found and len(self.findings) < MOST:
            self.findings.append(Finding.of(FindingKind(found[1]), found[2].strip()))


_STEPS = {
    "configure": "maintainer scripts, as the first start will run them",
    "audit": "dpkg --audit",
    "check": "apt-get check",
    "packages": "whose files are concerned",
    "verify": "dpkg --verify",
}
