"""What carries a plan out, as the confined process that decides it writes it down: a line for each edit.

It has read what a guest wrote, and may have been taken over by that: who reads these lines believes no value.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from skinnybox.delta.settled import NO_ANSWER
from skinnybox.errors import Corrupt
from skinnybox.overlays.edits import Alteration, Creation, Edit, Holed, Link, Removal, Stretch, Xattrs

_LONGEST = 1 << 17
_NAME, _PATH, _TARGET = 255, 4200, 4095
_INODE, _ID, _TIME, _DEVICE = 1 << 32, 1 << 32, 1 << 64, 1 << 20
_FLAGS, _LARGEST = 1 << 18, 1 << 63
"""Of flags none that says how a file is stored."""
_MOST_ATTRIBUTES = 1000


def encoded(edit: Edit) -> bytes:
    return json.dumps(_told(edit), separators=(",", ":")).encode() + b"\n"


def _told(edit: Edit) -> list[Any]:
    if isinstance(edit, Removal):
        return ["-", edit.folder, _text(edit.name), _text(edit.path), edit.is_folder]
    if isinstance(edit, Alteration):
        numbers = [edit.inode, edit.mode, edit.uid, edit.gid]
        return ["=", *numbers, edit.without, _attributes(edit.xattrs), edit.mtime_ns, edit.flags]
    where = [edit.folder, list(map(_text, edit.below)), _text(edit.name), _text(edit.path)]
    if isinstance(edit, Link):
        return ["&", *where, _text(edit.of)]
    target = None if edit.target is None else _text(edit.target)
    numbers = [edit.mode, edit.uid, edit.gid, edit.mtime_ns]
    own = [_content(edit.content), target, edit.rdev, _attributes(edit.xattrs), edit.flags]
    return ["+", *where, *numbers, *own]


def _content(content: Stretch | Holed | None) -> list[int] | None:
    if isinstance(content, Holed):
        return [content.size, *_place(content.runs), *_place(content.data)]
    return None if content is None else _place(content)


def _place(stretch: Stretch) -> list[int]:
    return [stretch.start, stretch.length]


def _attributes(xattrs: Xattrs) -> list[list[Any]]:
    return [[name, value.start, value.length] for name, value in xattrs]


def decoded(file: BinaryIO, contents: int) -> Iterator[Edit]:
    """All lines of it. `contents` is the length of the file that its contents lie in. Corrupt."""
    while line := file.readline(_LONGEST):
        try:
            yield _edit(json.loads(line), contents)
        except (ValueError, TypeError, RecursionError) as error:
            raise Corrupt(NO_ANSWER) from error


def _edit(value: Any, contents: int) -> Edit:
    sign, *rest = value
    if sign == "-":
        folder, name, path, is_folder = rest
        return Removal(
            folder=_number(folder, _INODE), name=_name(name), path=_path(path), is_folder=bool(is_folder)
        )
    if sign == "=":
        inode, mode, uid, gid, without, xattrs, mtime_ns, flags = rest
        return Alteration(
            inode=_number(inode, _INODE),
            mode=None if mode is None else _number(mode, 1 << 16),
            uid=None if uid is None else _number(uid, _ID),
            gid=None if gid is None else _number(gid, _ID),
            without=tuple(map(_attribute, without)),
            xattrs=_as_attributes(xattrs, contents),
            mtime_ns=None if mtime_ns is None else _time(mtime_ns),
            flags=_number(flags, _FLAGS),
        )
    if sign == "&":
        folder, below, name, path, of = rest
        return Link(
            folder=_number(folder, _INODE), below=tuple(map(_name, below)), name=_name(name),
            path=_path(path), of=_path(of),
        )  # fmt: skip
    if sign != "+":
        raise ValueError("no edit")
    return _creation(rest, contents)


def _creation(rest: list[Any], contents: int) -> Creation:
    folder, below, name, path, mode, uid, gid, mtime_ns, content, target, rdev, xattrs, flags = rest
    major, minor = rdev
    return Creation(
        folder=_number(folder, _INODE),
        below=tuple(map(_name, below)),
        name=_name(name),
        path=_path(path),
        mode=_number(mode, 1 << 16),
        uid=_number(uid, _ID),
        gid=_number(gid, _ID),
        mtime_ns=_time(mtime_ns),
        content=None if content is None else _as_content(content, contents),
        target=None if target is None else _bytes(target, _TARGET),
        rdev=(_number(major, _DEVICE), _number(minor, _DEVICE)),
        xattrs=_as_attributes(xattrs, contents),
        flags=_number(flags, _FLAGS),
    )


def _time(value: Any) -> int:
    if type(value) is not int or abs(value) >= _TIME:
        raise ValueError("no time")
    return value


def _as_content(found: list[Any], contents: int) -> Stretch | Holed:
    if len(found) == 2:
        start, length = found
        return _stretch(start, length, contents)
    size, runs, length, data, stored = found
    return Holed(_number(size, _LARGEST), _stretch(runs, length, contents), _stretch(data, stored, contents))


def _as_attributes(found: list[Any], contents: int) -> Xattrs:
    if len(found) > _MOST_ATTRIBUTES:
        raise ValueError("too many attributes")
    return tuple((_attribute(name), _stretch(start, length, contents)) for name, start, length in found)


def _stretch(start: Any, length: Any, contents: int) -> Stretch:
    end = contents + 1
    if _number(start, end) + _number(length, end) > contents:
        raise ValueError("beyond the contents")
    return Stretch(start, length)


def _number(value: Any, below: int) -> int:
    if type(value) is not int or not 0 <= value < below:
        raise ValueError(f"no such number: {value!r:.40}")
    return value


def _name(value: Any) -> bytes:
    found = _bytes(value, _NAME)
    if b"/" in found or found in (b"", b".", b".."):
        raise ValueError("no name")
    return found


def _path(value: Any) -> bytes:
    return _bytes(value, _PATH)


def _attribute(value: Any) -> str:
    _bytes(value, _NAME + 32)
    return str(value)


def _bytes(value: Any, most: int) -> bytes:
    if type(value) is not str:
        raise ValueError("no text")
    found = value.encode("utf-8", "surrogateescape")
    if not found or len(found) > most or b"\0" in found:
        raise ValueError("no such text")
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
