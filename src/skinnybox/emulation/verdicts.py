"""What was found out about this machine by trying, kept until its kernel starts anew."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skinnybox import private
from skinnybox.json_file import read_json, write_json
from skinnybox.layout import FOLDER
from skinnybox.process import boot_id
from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether something works here, why not, and what to do about it."""

    works: bool
    detail: str
    hint: str | None = None


def cached(name: str, stamp: str, probe: Callable[[], Verdict], cache: Path | None = None) -> Verdict:
    """What `probe` found in this boot, with this `stamp` of what else it depends on; else probe now."""
    known = recall(name, stamp, cache)
    if known is not None:
        return Verdict(works=known["works"], detail=known["detail"], hint=known["hint"])
    found = probe()
    keep(name, stamp, {"works": found.works, "detail": found.detail, "hint": found.hint}, cache)
    return found


def recall(name: str, stamp: str, cache: Path | None = None) -> dict[str, Any] | None:
    """What was kept in this boot, with this stamp; None when nothing was."""
    path = file_of(name, cache)
    known = read_json(path) if _is_believed(path.parent) and _is_believed(path) else None
    return known if known is not None and known.get("key") == _key(stamp) else None


def keep(name: str, stamp: str, values: dict[str, Any], cache: Path | None = None) -> None:
    """Not where another user would say what we believe."""
    path = file_of(name, cache)
    if made_ours(path.parent):
        write_json(path, {"key": _key(stamp), **values})


def made_ours(folder: Path) -> bool:
    """Make it; whether it is ours alone. One of ours that others may write to is closed."""
    private.make_folder(folder)
    if folder.stat().st_uid == os.geteuid() and not _is_believed(folder):
        folder.chmod(FOLDER)
    return _is_believed(folder)


def _is_believed(path: Path) -> bool:
    """That passt keeps the host's loopback closed is nothing to be told by a neighbour."""
    try:
        return private.is_ours(path.stat())
    except OSError:
        return False


def file_of(name: str, cache: Path | None = None) -> Path:
    return (cache or _cache()) / f"probe-{name}.json"


def _key(stamp: str) -> str:
    return f"{boot_id()} {os.geteuid()} {stamp}"


def stamp(path: Path | None) -> str:
    """Changes when a program is installed, replaced or removed."""
    if path is None or not path.exists():
        return "absent"
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _cache() -> Path:
    """Root with another user's home (`sudo`, `su`) keeps nothing there, as he could change it."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base and os.geteuid() == 0 and not _is_believed(Path.home()):
        return Path("/var/cache/skinnybox")
    return Path(base or Path.home() / ".cache") / "skinnybox"
