"""The stable form of what running machines take (see present)."""

from typing import TYPE_CHECKING

from skinnybox.fleet.present import Record, used

if TYPE_CHECKING:
    from skinnybox.fleet.view import MachineView
    from skinnybox.model import Usage


def load(view: "MachineView", before: "Usage | None", now: "Usage | None", seconds: float) -> Record:
    """What a machine that runs takes: `cpu` percent of one processor, `disk_read` and `disk_write` bytes a
    second, all on average between two looks; `memory_used` bytes that are there for it alone. Null is what
    its host does not tell."""

    def rate(key: str) -> float | None:
        first, last = getattr(before, key, None), getattr(now, key, None)
        return None if first is None or last is None else max(0.0, (last - first) / seconds)

    cpu, read, written = rate("cpu"), rate("read"), rate("written")
    since = view.status.since if view.status else None
    return {
        "name": view.name,
        "uuid": str(view.instance.uuid),
        "state": str(view.condition),
        "cpu": None if cpu is None else round(cpu * 100, 1),
        "cpus": view.instance.cpus,
        "memory_used": now.memory if now else None,
        "memory": view.instance.memory,
        "overlay_used": used(view),
        "overlay_written": view.written,
        "overlay": view.instance.overlay.size,
        "disk_read": None if read is None else round(read),
        "disk_write": None if written is None else round(written),
        "since": since.isoformat(timespec="seconds") if since else None,
    }
