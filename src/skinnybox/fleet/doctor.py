"""`doctor`: whether this machine is fit, and what was left half done. Changes nothing.

It opens no fleet: it has to work where a fleet cannot be opened, and say why.
"""

from pathlib import Path

from skinnybox.errors import NotStarted, SkinnyboxError, of_system
from skinnybox.fleet.heavy_files import heavy_files
from skinnybox.fleet.repair.examine import examine as examine_folder
from skinnybox.fleet.repair.modes import open_to_others
from skinnybox.hosts.base import Host
from skinnybox.issues import Check
from skinnybox.layout import MASTERS
from skinnybox.sandbox import confinement
from skinnybox.sandbox.process import in_force, is_whole

_CONFINEMENT, _FOLDER, _PRIVACY = "confinement", "state folder", "privacy"


def examine(folder: Path, host: Host) -> list[Check]:
    """What the host says of itself, how readers are shut in here, what masters cost machines, and, last, of
    the state folder."""
    heavy = heavy_files(folder / MASTERS)
    return [*host.doctor(), _confinement(), *heavy, _privacy(folder), _folder(folder, host)]


def _confinement() -> Check:
    """By doing it: where it fails, everything that reads a disk does, unless the settings say otherwise."""
    try:
        found = in_force()
    except NotStarted as error:
        return Check(name=_CONFINEMENT, status="fail", detail=error.message, hint=error.hint)
    who = "as this user" if confinement.user() is None else "as users of their own"
    if is_whole(found):
        detail = f"readers of foreign disks run {who}, and open only what they are handed: {', '.join(found)}"
        return Check(name=_CONFINEMENT, status="ok", detail=detail)
    had = ", ".join(["bounds", *found])
    detail = f"weak, as the settings allow: readers of foreign disks run {who}, with {had}"
    return Check(name=_CONFINEMENT, status="warn", detail=detail, hint=confinement.WEAK)


def _privacy(folder: Path) -> Check:
    """Whether other users of this machine may read in it; where they may write it is refused before this."""
    found = list(open_to_others(folder))
    if not found:
        return Check(name=_PRIVACY, status="ok", detail=f"{folder} is open to nobody else")
    detail = f"{folder}: {len(found)} files and folders are open to other users, or theirs"
    return Check(name=_PRIVACY, status="warn", detail=detail, hint="`skinnybox repair` closes them")


def _folder(folder: Path, host: Host) -> Check:
    try:
        seen = examine_folder(folder, host)
    except SkinnyboxError as error:
        return Check(name=_FOLDER, status="fail", detail=error.message, hint=error.hint)
    except OSError as error:
        denied = of_system(error, str(folder))
        return Check(name=_FOLDER, status="fail", detail=denied.message, hint=denied.hint)
    if seen.refused is not None:
        return Check(
            name=_FOLDER,
            status="fail",
            detail=seen.rebuilt.refused or seen.refused.message,
            hint=seen.refused.hint,
        )
    if not seen.findings:
        return Check(name=_FOLDER, status="ok", detail=f"{folder}: nothing is left over")
    done, kept = len(seen.to_do), len(seen.findings) - len(seen.to_do)
    counted = f"{done} to put right, {kept} to look at"
    hint = "`skinnybox repair --dry-run` explains each"
    if seen.trouble is not None:
        return Check(name=_FOLDER, status="fail", detail=f"{seen.trouble}; {counted}", hint=hint)
    return Check(name=_FOLDER, status="warn" if done else "note", detail=f"{folder}: {counted}", hint=hint)
