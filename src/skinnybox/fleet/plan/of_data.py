"""What becomes of data disks by a plan: they are added, grow and get folders; nothing of them is ever
taken."""

from collections.abc import Iterator

from skinnybox.fleet.create import whole_mib
from skinnybox.fleet.plan.compare import Difference
from skinnybox.model import DataDisk

SIZE, FOLDERS = "data", "data-folders"

_NEVER_LESS = (
    "a folder stays on the data disk: what is on it would be out of sight, and an older copy in its place"
)


def refused(has: DataDisk | None, wanted: DataDisk | None) -> Iterator[tuple[Difference, str]]:
    """What no plan does, and why."""
    if has is None:
        return
    if wanted is None:
        yield Difference(what=SIZE, before=has.size, after=None), "a data disk is never taken from a machine"
        return
    size = whole_mib(wanted).size
    if size < has.size:
        yield Difference(what=SIZE, before=has.size, after=size), "a data disk never shrinks"
    if set(has.folders) - set(wanted.folders):
        yield _folders(has, wanted), _NEVER_LESS


def by_hand(name: str, growth: Difference) -> str:
    """How a disk grows that no plan does, of a machine that stays on."""
    words = f"{name} {growth.after}{' --data' if growth.what == SIZE else ''}"
    return f"skinnybox grow {words} (under QEMU while it runs), or stop it and apply again"


def growth(has: DataDisk | None, wanted: DataDisk | None) -> Difference | None:
    if has is None or wanted is None or whole_mib(wanted).size <= has.size:
        return None
    return Difference(what=SIZE, before=has.size, after=whole_mib(wanted).size)


def additions(has: DataDisk | None, wanted: DataDisk | None) -> tuple[Difference, ...]:
    """What comes with a new seed: the disk itself, or more folders on it."""
    if wanted is None:
        return ()
    if has is None:
        return Difference(what=SIZE, before=None, after=whole_mib(wanted).size), _folders(None, wanted)
    return (_folders(has, wanted),) if set(has.folders) < set(wanted.folders) else ()


def _folders(has: DataDisk | None, wanted: DataDisk) -> Difference:
    before = None if has is None else ", ".join(has.folders)
    return Difference(what=FOLDERS, before=before, after=", ".join(wanted.folders))
