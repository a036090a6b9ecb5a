"""The accounts of a tree: what its etc/passwd and etc/group say, and no more of it than can be believed.

Both may come from strangers. They are read as the C library reads them: a line that is none is passed over,
and of two lines with one name the first counts. Names and numbers are what programs go by; the rest is text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from skinnybox.errors import Unsupported
from skinnybox.masters import inside

PASSWD, GROUP = "etc/passwd", "etc/group"
MOST_BYTES = 4 << 20
"""Of one file, and MOST_LINES of it: a system has a hundred, a copy of a directory server's some
thousands."""
MOST_LINES = 65536
MOST_NUMBER = (1 << 32) - 2
"""The number after it means "leave it as it is" to chown."""
# No name has what ends a field, a line or a path, or cannot be shown. NIS marks (+, -) are no names.
_NAME = re.compile(r"[^\W+~-][^\x00-\x20:/,\x7f-\x9f\ud800-\udfff]{0,255}")
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A line of etc/passwd. `gid` is its primary group's; the last three are text, bytes that are not UTF-8
    as lone surrogates."""

    name: str
    uid: int
    gid: int
    gecos: str = ""
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A line of etc/group. `members` are names, which need not be users'."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """In the order of the files; each name once. A number may have several names."""

    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()

    def uids(self) -> dict[str, int]:
        return {user.name: user.uid for user in self.users}

    def gids(self) -> dict[str, int]:
        return {group.name: group.gid for group in self.groups}


class _Named(Protocol):
    @property
    def name(self) -> str: ...


A = TypeVar("A", bound=_Named)


def accounts(tree: Path) -> Accounts:
    """Of a tree in a folder; no symlink of it is followed. None where it has no such files.

    Raises Unsupported for a file of more than MOST_BYTES or MOST_LINES."""
    return Accounts(users=users(content(tree, PASSWD)), groups=groups(content(tree, GROUP)))


def content(tree: Path, path: str) -> bytes:
    """Of one of the account files; nothing where there is none. Raises Unsupported as `accounts` does."""
    found = inside.read(tree, path, MOST_BYTES + 1) or b""
    if len(found) > MOST_BYTES or found.count(b"\n") > MOST_LINES:
        raise Unsupported(
            f"/{path} of the tree has more than {MOST_LINES} lines or {MOST_BYTES >> 20} MiB",
            hint="it is to hold the accounts of one system, not those of a directory",
        )
    return found


def users(text: bytes) -> tuple[User, ...]:
    """What a passwd file says."""
    return _each_once(text, _user)


def groups(text: bytes) -> tuple[Group, ...]:
    """What a group file says."""
    return _each_once(text, _group)


def name_of(line: bytes) -> str | None:
    """What a line of either file is about; None when it is none."""
    name = _decoded(line.split(b":", 1)[0])
    return name if b":" in line and _NAME.fullmatch(name) else None


def number(text: str) -> int | None:
    """A user's or a group's; None for what is none."""
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= MOST_NUMBER else None


def _each_once(text: bytes, parsed: "Callable[[list[str]], A | None]") -> tuple[A, ...]:
    found: dict[str, A] = {}
    for fields in _lines(text):
        account = parsed(fields)
        if account is not None:
            found.setdefault(account.name, account)
    return tuple(found.values())


def _lines(text: bytes) -> Iterator[list[str]]:
    for line in text.split(b"\n"):
        if name_of(line) is not None:
            yield _decoded(line).split(":")


def _user(fields: list[str]) -> User | None:
    if len(fields) != 7:
        return None
    name, _, uid, gid, gecos, home, shell = fields
    user, group = number(uid), number(gid)
    if user is None or group is None:
        return None
    return User(name=name, uid=user, gid=group, gecos=gecos, home=home, shell=shell)


def _group(fields: list[str]) -> Group | None:
    if len(fields) != 4 or (gid := number(fields[2])) is None:
        return None
    members = tuple(name for name in fields[3].split(",") if _NAME.fullmatch(name))
    return Group(name=fields[0], gid=gid, members=members)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
