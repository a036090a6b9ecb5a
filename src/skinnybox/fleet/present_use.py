"""The stable forms of what takes the room of a machine's disk, and of what goes from it (present.py)."""

from skinnybox.fleet.present import Record
from skinnybox.model import DiskKind
from skinnybox.model.diskuse import DiskUse, Heavy
from skinnybox.model.drop import Gone
from skinnybox.printable import printable_path


def disk_use(name: str, disk: DiskKind, use: DiskUse) -> list[Record]:
    """Rows of one form: the whole of it, what is free, `reserved` of that for root; then what takes the rest,
    by what it is for; then what is part of `files`: what `slim` would drop of all below /, where that is
    known, and the largest files and folders."""
    whole = (("size", use.size), ("free", use.free), ("reserved", use.reserved), *use.parts)
    return [
        *({**_row(name, disk, what), "size": size} for what, size in whole),
        *(
            {**_row(name, disk, "slim"), "size": freed, "count": count, "path": "/"}
            for count, freed in ([] if use.idle is None else [use.idle])
        ),
        *(
            {
                **_row(name, disk, "folder" if heavy.type == "d" else "file"),
                "size": heavy.size,
                "count": heavy.count,
                "path": heavy_path(heavy),
            }
            for heavy in use.largest
        ),
    ]


def heavy_path(heavy: Heavy) -> str:
    """Escaped so that its bytes can be got back; a folder ends in a slash."""
    return printable_path(heavy.path) + ("/" if heavy.type == "d" else "")


def _row(name: str, disk: DiskKind, what: str) -> Record:
    return {"name": name, "disk": str(disk), "what": what, "size": 0, "count": None, "path": None}


def gone(found: Gone) -> Record:
    """Of `reset NAME PATH` and `slim`."""
    return {"type": found.type, "size": found.size, "path": printable_path(b"/" + found.path)}
