"""Whether KVM works here: not whether /dev/kvm is there, but whether machines live on it.

Under nested virtualisation the device may open, answer, run a few instructions, and then hang every kernel
or take QEMU along. So a trial (trial.py) boots what a machine boots, before its first start; and the first
machine is watched (watched.py), since even that is another thing. What both found is kept until this host's
own kernel starts anew: that KVM works with so many processors, for every kernel; that it does not, for that
kernel alone, whose own fault it may be.
"""

import fcntl
import grp
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from skinnybox import private, run
from skinnybox.emulation import trial, verdicts
from skinnybox.emulation.board import Accelerator, trial_argv
from skinnybox.emulation.verdicts import Verdict
from skinnybox.errors import NotFound, Unsupported
from skinnybox.model import KERNEL_FILE, Acceleration

_DEVICE = Path("/dev/kvm")
_OWN = Path("/boot")
_NAME = "kvm"
_NOBODY = 65534
_MOST_KEPT = 100
GO_ON = "accelerator = auto (the default) goes on emulated where KVM does not work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One trial. `kernel`: the digest of what was booted. `machine`: it was a real machine's start."""

    cpus: int
    kernel: str
    works: bool
    detail: str
    machine: bool = False


def choose(wanted: Acceleration, kernel: Path, cpus: int) -> Accelerator:
    """For a machine with this kernel and so many processors. May try it first: `trial.PATIENCE` once per boot
    of this machine. Unsupported when KVM alone is wanted, and does not work; NotFound without the kernel."""
    if wanted is Acceleration.TCG:
        return Accelerator.TCG
    found = verdict(kernel, cpus)
    if not found.works and wanted is Acceleration.KVM:
        raise Unsupported(f"only KVM is wanted: {found.detail}", hint=found.hint or GO_ON)
    return Accelerator.KVM if found.works else Accelerator.TCG


def verdict(kernel: Path, cpus: int) -> Verdict:
    """About KVM for such a machine, from what is known or by trying. One of several that ask tries."""
    closed = _closed()
    if closed is not None:
        return closed
    with _exclusive():
        known = _known()
        found = _of(known, kernel, cpus)
        if found is None:
            user = user_of_trial()
            also = () if user is None else tuple(groups())
            tried = trial.boots(Accelerator.KVM, kernel, cpus, trial.PATIENCE, user=user, groups=also)
            found = Tried(cpus=cpus, kernel=_digest(kernel), works=tried.works, detail=tried.detail)
            _keep([*known, found])
    return _as_verdict(found)


def is_proven(kernel: Path, cpus: int) -> bool:
    """Whether a machine with this kernel and as many processors has lived on KVM."""
    known = [tried for tried in _known() if tried.works and tried.machine and tried.cpus >= cpus]
    return bool(known) and _digest(kernel) in {tried.kernel for tried in known}


def note(kernel: Path, cpus: int, *, works: bool, detail: str) -> None:
    """Keep what a real start showed; it overrules what a trial did."""
    tried = Tried(cpus=cpus, kernel=_digest(kernel), works=works, detail=detail, machine=True)
    with _exclusive():
        _keep([*_known(), tried])


def summary(wanted: Acceleration, state: Path) -> Verdict | None:
    """For who asks about this host and no machine: what is known, else what a trial with a kernel that lies
    about shows. None when there is no kernel to try."""
    if wanted is Acceleration.TCG:
        return Verdict(works=False, detail="accelerator = tcg is set: KVM is not tried")
    closed = _closed()
    if closed is not None:
        return closed
    known = _known()
    bad = [tried for tried in known if _is_current(tried, known) and not tried.works]
    if known:
        return _as_verdict((bad or known)[-1])
    kernel = _some_kernel(state)
    return verdict(kernel, 1) if kernel else None


def user_of_trial() -> int | None:
    """Nobody, where we may choose."""
    return _NOBODY if os.geteuid() == 0 else None


def groups() -> Sequence[int]:
    """What a dropped user needs besides itself to open the device."""
    try:
        return (grp.getgrnam("kvm").gr_gid,)
    except KeyError:
        return ()


def _closed() -> Verdict | None:
    """Why there is nothing to try."""
    if not _DEVICE.exists():
        return Verdict(works=False, detail="there is no /dev/kvm")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        hint = 'sudo adduser "$USER" kvm, and log in again'
        return Verdict(works=False, detail="/dev/kvm may not be opened", hint=hint)
    status = _DEVICE.stat()
    shared = status.st_gid in groups() and status.st_mode & 0o060 == 0o060
    if os.geteuid() == 0 and not shared and status.st_mode & 0o006 != 0o006:
        detail = "/dev/kvm may not be opened by the users that QEMU runs as, who are in the group kvm"
        return Verdict(works=False, detail=detail, hint="chgrp kvm /dev/kvm; chmod 660 /dev/kvm")
    return None


def _of(known: Sequence[Tried], kernel: Path, cpus: int) -> Tried | None:
    """What holds for this kernel and so many processors: of the newest trial with it, else that KVM works
    with another. What works does with fewer processors, and what does not, does not with more."""
    if any(not tried.works for tried in known):
        digest = _digest(kernel)
        for tried in reversed(known):
            fits = tried.cpus >= cpus if tried.works else tried.cpus <= cpus
            if fits and tried.kernel == digest:
                return tried
    return next((tried for tried in reversed(known) if tried.works and tried.cpus >= cpus), None)


def _is_current(tried: Tried, known: Sequence[Tried]) -> bool:
    """Whether nothing newer says otherwise of the same."""
    later = known[known.index(tried) + 1 :]
    return not any((one.kernel, one.cpus) == (tried.kernel, tried.cpus) for one in later)


def _as_verdict(tried: Tried) -> Verdict:
    if tried.works:
        return Verdict(works=True, detail=tried.detail)
    path = verdicts.file_of(_NAME)
    hint = f"it is tried again after the next start of this host, or when {path} is removed"
    return Verdict(works=False, detail=tried.detail, hint=hint)


def _stamp() -> str:
    """All but kernel and processors that the answer depends on: QEMU, the hardware it is given, and the right
    to open the device, which it may have and we not."""
    words = " ".join(trial_argv(Accelerator.KVM, 1, kernel=0, initrd=0))
    status = _DEVICE.stat()
    owner = f"{status.st_mode:o}-{status.st_uid}-{status.st_gid}-{','.join(map(str, groups()))}"
    board = hashlib.sha256(words.encode()).hexdigest()[:16]
    return f"{verdicts.stamp(run.find('qemu-system-x86_64'))} {owner} {board}"


def _known() -> list[Tried]:
    """Oldest first. What is damaged counts as not there."""
    kept = (verdicts.recall(_NAME, _stamp()) or {}).get("tried")
    found = [_tried(values) for values in kept] if isinstance(kept, list) else []
    return [tried for tried in found if tried is not None]


def _tried(values: object) -> Tried | None:
    match values:
        case {
            "cpus": int(cpus),
            "kernel": str(kernel),
            "works": bool(works),
            "detail": str(detail),
            "machine": bool(machine),
        }:
            return Tried(cpus=cpus, kernel=kernel, works=works, detail=detail, machine=machine)
        case _:
            return None


def _keep(known: Sequence[Tried]) -> None:
    newest = known[-1]
    others = [
        tried
        for tried in known[:-1]
        if (tried.kernel, tried.cpus, tried.works) != (newest.kernel, newest.cpus, newest.works)
    ]
    kept = [*others, replace(newest, detail=newest.detail[:500])][-_MOST_KEPT:]
    verdicts.keep(_NAME, _stamp(), {"tried": [asdict(tried) for tried in kept]})


@contextmanager
def _exclusive() -> Iterator[None]:
    """One at a time for this user: of ten machines that start, one tries. Goes with whoever is killed.

    Each user has a file of its own, since root may have the same home."""
    path = verdicts.file_of(_NAME).with_suffix(f".{os.geteuid()}.lock")
    if not verdicts.made_ours(path.parent):
        yield  # a neighbour could hold it for ever; and nothing is kept there anyhow
        return
    with private.lock_file(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(kernel: Path) -> str:
    try:
        with kernel.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NotFound(f"{kernel}: {error.strerror}", hint="`skinnybox master verify`") from error


def _some_kernel(state: Path) -> Path | None:
    """A sealed master's, else this machine's own where all may read it, as QEMU's user must: the newest."""
    for found in ((state / "masters").glob(f"*/{KERNEL_FILE}"), _OWN.glob("vmlinuz*")):
        readable = [path for path in found if path.is_file() and path.stat().st_mode & 0o004]
        if readable:
            return max(readable, key=lambda path: path.stat().st_mtime_ns)
    return None
