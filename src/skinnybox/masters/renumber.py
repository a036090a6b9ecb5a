"""Other numbers for the accounts of a private tree: its files, their access lists, and what names the
accounts.

The kernel takes setuid, setgid and capabilities from a file whose owner changes, also when root changes it,
and a file with several names is met several times: what was 104 and became 105 must not go on to what 105
becomes.
"""

import os
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skinnybox.errors import Conflict, Corrupt
from skinnybox.masters import accounts, inside
from skinnybox.masters.survey import walk
from skinnybox.operation import Operation

ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
_ENTRY = struct.Struct("<HHI")
_OF_USER, _OF_GROUP = 0x02, 0x08
_CAPABILITY = "security.capability"
_STEP = 512
# Of the ranges that newuidmap hands out; the first field is a name, or a number.
_RANGES = (("etc/subuid", "uids"), ("etc/subgid", "gids"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Renumbering:
    """Old numbers and new, of users and of groups: all at once, so two may change places. No two become one,
    and what is not among them stays."""

    uids: Mapping[int, int] = field(default_factory=dict)
    gids: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.uids or self.gids)


def renumber(tree: Path, numbers: Renumbering, operation: Operation) -> int:
    """How many files got another owner or access list. No symlink is followed; mtimes, modes and capabilities
    stay. Only for a private tree: left half-way, it is of no use.

    Raises Conflict for a file, or a user's primary group, of one of the new numbers that no account there has
    yet: it would become somebody's. Corrupt for a capability that is none."""
    changed = 0
    seen: set[tuple[int, int]] = set()
    for count, (path, info) in enumerate(walk(os.fsencode(tree))):
        if count % _STEP == 0:
            operation.step(task="accounts", done=count, unit="files", detail="renumbering")
        if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            if (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
        changed += _renumber_file(os.fsencode(tree) + b"/" + path, path, info, numbers)
    _renumber_accounts(tree, numbers)
    return changed


def _renumber_file(full: bytes, path: bytes, info: os.stat_result, numbers: Renumbering) -> bool:
    lists = list(_access_lists(full, info))
    for _, raw in lists:
        for tag, _, number in _ENTRY.iter_unpack(raw[4:]):
            _refuse_nobodys(os.fsdecode(path), _map(numbers, tag), number)
    _refuse_nobodys(os.fsdecode(path), numbers.uids, info.st_uid)
    _refuse_nobodys(os.fsdecode(path), numbers.gids, info.st_gid)
    other = [(name, mapped(raw, numbers)) for name, raw in lists]
    uid, gid = numbers.uids.get(info.st_uid, info.st_uid), numbers.gids.get(info.st_gid, info.st_gid)
    if other == lists and (uid, gid) == (info.st_uid, info.st_gid):
        return False
    _give(full, info, uid, gid, other)
    return True


def _give(path: bytes, info: os.stat_result, uid: int, gid: int, lists: Iterable[tuple[str, bytes]]) -> None:
    kept = _capability(path, info)
    os.chown(path, uid, gid, follow_symlinks=False)
    for name, raw in lists:
        os.setxattr(path, name, raw, follow_symlinks=False)
    # After the lists: those write the group's bits, and may take setgid away.
    if not stat.S_ISLNK(info.st_mode) and os.lstat(path).st_mode != info.st_mode:
        os.chmod(path, stat.S_IMODE(info.st_mode))  # noqa: PTH101 (bytes)
    if kept is not None:
        os.setxattr(path, _CAPABILITY, kept, follow_symlinks=False)


def _capability(path: bytes, info: os.stat_result) -> bytes | None:
    if not stat.S_ISREG(info.st_mode) or _CAPABILITY not in os.listxattr(path, follow_symlinks=False):
        return None
    try:
        return os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError as error:  # the kernel lets nonsense be written as one, and refuses to read it
        raise Corrupt(f"{os.fsdecode(path)!r}: its capabilities cannot be read: {error.strerror}") from error


def _access_lists(path: bytes, info: os.stat_result) -> Iterator[tuple[str, bytes]]:
    """Those that are in the form that the kernel has had since there were any."""
    if stat.S_ISLNK(info.st_mode):
        return
    there = os.listxattr(path, follow_symlinks=False)
    for name in ACCESS_LISTS:
        if name in there:
            raw = os.getxattr(path, name, follow_symlinks=False)
            if len(raw) % _ENTRY.size == 4:
                yield name, raw


def mapped(raw: bytes, numbers: Renumbering) -> bytes:
    """An access list with other numbers; what has not the kernel's form is left as it is."""
    if len(raw) % _ENTRY.size != 4:
        return raw
    entries = _ENTRY.iter_unpack(raw[4:])
    return raw[:4] + b"".join(
        _ENTRY.pack(tag, rights, _map(numbers, tag).get(number, number)) for tag, rights, number in entries
    )


def acl_entries(raw: bytes) -> Iterator[tuple[bool, int]]:
    """Whom an access list names: whether it is a user, and the number. Nobody, for what is none."""
    if len(raw) % _ENTRY.size == 4:
        for tag, _, number in _ENTRY.iter_unpack(raw[4:]):
            if tag in (_OF_USER, _OF_GROUP):
                yield tag == _OF_USER, number


def _map(numbers: Renumbering, tag: int) -> Mapping[int, int]:
    """An entry that is neither a user's nor a group's names nobody."""
    return {_OF_USER: numbers.uids, _OF_GROUP: numbers.gids}.get(tag, {})


def _refuse_nobodys(path: str, numbers: Mapping[int, int], number: int) -> None:
    if number not in numbers and number in numbers.values():
        raise Conflict(
            f"{path!r} names {number}, which no account of the tree has, and one is to get",
            hint="give it to an account, or make the master without following another: --unrelated",
        )


def _renumber_accounts(tree: Path, numbers: Renumbering) -> None:
    _rewrite(tree, accounts.PASSWD, {2: numbers.uids, 3: numbers.gids}, fields=7)
    _rewrite(tree, accounts.GROUP, {2: numbers.gids}, fields=4)
    for path, kind in _RANGES:
        _rewrite(tree, path, {0: getattr(numbers, kind)}, fields=3)


def _rewrite(tree: Path, path: str, columns: Mapping[int, Mapping[int, int]], *, fields: int) -> None:
    """Every line of the form that has such numbers, also a second of one name; all others byte for byte."""
    text = accounts.content(tree, path)
    lines = text.split(b"\n")
    other = b"\n".join(_with_numbers(path, line, columns, fields) for line in lines)
    if other != text:
        inside.rewrite(tree, path, other)


def _with_numbers(path: str, line: bytes, columns: Mapping[int, Mapping[int, int]], fields: int) -> bytes:
    words = line.split(b":")
    if len(words) != fields or line.startswith(b"#"):
        return line
    for column, numbers in columns.items():
        number = accounts.number(words[column].decode("ascii", "replace"))
        if number is not None:
            _refuse_nobodys(path, numbers, number)
            words[column] = str(numbers[number]).encode() if number in numbers else words[column]
    return b":".join(words)
