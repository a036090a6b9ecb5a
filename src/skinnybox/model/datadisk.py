"""Data disks: which folders of a guest may lie on one, and how two of them differ.

A folder of the system itself must not: it would outlive the reset of all that it belongs to, and what the
package manager believes, or what marks a seed as applied, would be another system's word.
"""

import re
from collections.abc import Iterable

from skinnybox.errors import UsageError
from skinnybox.model import ranges
from skinnybox.model.machines import Allocation, DataDisk
from skinnybox.sizes import MIB
from skinnybox.values import replace

DEFAULT_FOLDER = "/data"
MOST_FOLDERS, MOST_LENGTH = 32, 200
_FOLDER = r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._@+-]+)+"
"""Nothing that a line of /proc/mounts would have to quote, nor a `%`, which stands for a `/` on the disk."""
_OF_THE_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/media/root-ro",
    "/media/root-rw", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var/lib/apk", "/var/lib/dpkg",
    "/var/lib/rpm", "/var/lib/skinnybox", "/var/lib/systemd", "/var/lock", "/var/run",
)  # fmt: skip
_OWN = "/usr/local"
"""What lies there is the user's, not the system's."""
_HINT = "/var/lib/mysql or /srv/data, say"


def data_disk(
    size: int, folders: Iterable[str] = (), allocation: Allocation = Allocation.RESERVED
) -> DataDisk:
    """In whole MiB, with its folders in order; without any it is DEFAULT_FOLDER. Raises UsageError."""
    named = tuple(sorted(set(folders))) or (DEFAULT_FOLDER,)
    return check(DataDisk(size=-(-size // MIB) * MIB, folders=named, allocation=allocation))


def check(data: DataDisk) -> DataDisk:
    """The disk itself. Raises UsageError for what cannot be one."""
    ranges.DATA.check(data.size)
    check_folders(data.folders)
    return data


def check_folders(folders: tuple[str, ...]) -> None:
    """Raises UsageError."""
    if not 0 < len(folders) <= MOST_FOLDERS:
        raise UsageError(f"a data disk has 1 to {MOST_FOLDERS} folders, not {len(folders)}", hint=_HINT)
    for folder in folders:
        check_folder(folder)
    for folder in folders:
        inner = next((other for other in folders if other.startswith(f"{folder}/")), None)
        if inner is not None:
            raise UsageError(f"{inner} lies in {folder}: only one of them can be on the data disk")
    if len(set(folders)) < len(folders):
        raise UsageError("a folder is named twice for the data disk")


def check_folder(folder: str) -> str:
    """The folder itself. Raises UsageError."""
    if len(folder) > MOST_LENGTH or not re.fullmatch(_FOLDER, folder):
        what = "an absolute path of a-z, A-Z, 0-9 and . _ @ + -, without . and .."
        raise UsageError(f"{folder!r:.60} is no folder for a data disk: {what}", hint=_HINT)
    of_system = next((own for own in _OF_THE_SYSTEM if _meet(folder, own)), None)
    if of_system is not None and not f"{folder}/".startswith(f"{_OWN}/"):
        raise UsageError(f"{folder} cannot be on the data disk: {of_system} is of the system", hint=_HINT)
    return folder


def _meet(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def widened(has: DataDisk | None, wanted: DataDisk | None) -> DataDisk | None:
    """What a machine has when it has been given all that it lacks: never a folder less, nor another size. Who
    wants one to be taken off gets nothing: that is refused, and told by who planned it."""
    if has is None or wanted is None:
        return has or wanted
    if not set(has.folders) <= set(wanted.folders):
        return has
    return replace(has, folders=data_disk(has.size, (*has.folders, *wanted.folders)).folders)
