"""A tree is fitted to the master that it is to lie above.

Overlayfs shows a folder with the owner and mode of the topmost tree that has it, and one that is a folder
there and a symlink in the master (/lib, since /usr was merged) hides the symlink: nothing would start. So
folders that the master has become as the master has them, and what would hide something is refused.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from skinnybox.errors import Unsupported, UsageError
from skinnybox.masters.index import Entry, Line, read_lines, read_xattrs
from skinnybox.masters.layers import unfit
from skinnybox.masters.survey import walk
from skinnybox.printable import printable_path

_TOLD = 3


def fit(tree: Path, index: Path, master: str) -> list[str]:
    """Alter a private tree so that it may lie above the master called so, which has this index; lines that a
    user should hear. Unsupported, naming the path, for what no layer can hold; UsageError for nothing."""
    raw = os.fsencode(tree)
    in_place: list[bytes] = []
    own = 0
    for path, info in walk(raw):
        unfit.refuse(raw, path, info)
        own += not stat.S_ISDIR(info.st_mode)
    named = ((path, stat.S_ISDIR(info.st_mode)) for path, info in walk(raw))
    for path, is_folder, line in _both(named, index):
        refuse_hiding(path, is_folder, line, master)
        if is_folder:
            as_entry(raw + b"/" + path, line.entry())
        else:
            in_place.append(path)
    if not own:
        raise no_file()
    return _told(in_place, master)


def no_file() -> UsageError:
    return UsageError("there is no file in it", hint="a layer is of files, with paths as in the guest")


def refuse_above(index: Path, layer: str, below: Path, master: str) -> None:
    """Unsupported where a sealed layer, by its index, would hide something of a master by that one's."""
    names = ((line.path, line.is_folder()) for line in read_lines(index))
    try:
        for path, is_folder, line in _both(names, below):
            refuse_hiding(path, is_folder, line, master)
    except Unsupported as error:
        hint = f"import its tree again for {master}"
        raise Unsupported(f"the layer {layer} does not fit: {error.message}", hint=hint) from error


def refuse_hiding(path: bytes, is_folder: bool, line: Line, master: str) -> None:
    """Unsupported for a folder in place of something else of the master, and the other way round."""
    if is_folder == line.is_folder():
        return
    where = f"/{printable_path(path)}"
    entry = line.entry()
    if not is_folder:
        raise Unsupported(
            f"{where} is a folder in {master}, and would be hidden with all that is in it",
            hint="a layer only adds to folders of its master",
        )
    target = printable_path(entry.target or b"")
    what = f"a symlink to {target}" if entry.type == "l" else "no folder"
    hint = f"put what is in it into {target}" if entry.type == "l" else "call it otherwise"
    raise Unsupported(f"{where} is {what} in {master}, and a folder in its place would hide that", hint=hint)


def _both(names: Iterable[tuple[bytes, bool]], index: Path) -> Iterator[tuple[bytes, bool, Line]]:
    """Of names in canonical order those that the index has as well."""
    lines = read_lines(index)
    line = next(lines, None)
    for path, is_folder in names:
        key = key_of(path)
        while line is not None and key_of(line.path) < key:
            line = next(lines, None)
        if line is None:
            return
        if line.path == path:
            yield path, is_folder, line


def key_of(path: bytes) -> bytes:
    return path.replace(b"/", b"\0")


def as_entry(folder: bytes, entry: Entry) -> None:
    kept = dict(entry.xattrs)
    for name, value in read_xattrs(folder):
        if kept.get(name) != value:
            os.removexattr(folder, name)
    os.chown(folder, entry.uid, entry.gid)
    Path(os.fsdecode(folder)).chmod(entry.mode)
    there = dict(read_xattrs(folder))
    for name, value in kept.items():
        if there.get(name) != value:
            os.setxattr(folder, name, value)
    os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))


def _told(in_place: list[bytes], master: str) -> list[str]:
    if not in_place:
        return []
    some = ", ".join(f"/{printable_path(path)}" for path in in_place[:_TOLD])
    more = f" and {len(in_place) - _TOLD} more" if len(in_place) > _TOLD else ""
    return [f"in place of what {master} has there: {some}{more}"]
