"""What was found out about this machine by trying, kept until its kernel starts anew."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skinnybox.hosts.qemu.folder import read_json, write_json
from skinnybox.hosts.qemu.process import boot_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether something works here, why not, and what to do about it."""

    works: bool
    detail: str
    hint: str | None = None


def cached(name: str, stamp: str, probe: Callable[[], Verdict], cache: Path | None = None) -> Verdict:
    """What `probe` found in this boot, with this `stamp` of what else it depends on; else probe now."""
    path = (cache or _cache()) / f"probe-{name}.json"
    key = f"{boot_id()} {os.geteuid()} {stamp}"
    known = read_json(path)
    if known is not None and known.get("key") == key:
        return Verdict(works=known["works"], detail=known["detail"], hint=known["hint"])
    found = probe()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"key": key, "works": found.works, "detail": found.detail, "hint": found.hint})
    return found


def stamp(path: Path | None) -> str:
    """Changes when a program is installed, replaced or removed."""
    if path is None or not path.exists():
        return "absent"
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "skinnybox"
