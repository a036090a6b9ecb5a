"""What a machine's QEMU takes of this computer, as the kernel counts it."""

import re
from pathlib import Path

from skinnybox.model import Usage
from skinnybox.process import cpu_seconds

_OWN = ("RssAnon", "RssShmem")
"""Of /proc/<pid>/status. RssFile is left out: a mapped master, and QEMU itself, are there once for all."""
_KIB = 1024


def of_process(pid: int) -> Usage | None:
    """None when it has ended meanwhile."""
    folder = Path(f"/proc/{pid}")
    try:
        status = (folder / "status").read_text()
    except OSError:
        return None
    read, written = _moved(folder)
    return Usage(
        cpu=cpu_seconds(pid),
        memory=sum(_number(status, name) for name in _OWN) * _KIB,
        read=read,
        written=written,
    )


def _moved(folder: Path) -> tuple[int | None, int | None]:
    """Bytes from and to disks. Who may not trace a process may not see them either."""
    try:
        text = (folder / "io").read_text()
    except OSError:
        return None, None
    return _number(text, "read_bytes"), _number(text, "write_bytes")


def _number(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s*([0-9]+)", text, re.MULTILINE)
    return int(found[1]) if found else 0
