"""The accounts of a tree, as a record keeps them."""

from typing import Any

from skinnybox.masters.accounts import (
    GROUP,
    MOST_BYTES,
    PASSWD,
    Accounts,
    Group,
    User,
    groups,
    name_of,
    number,
    users,
)
from skinnybox.masters.system.source import Notes, Source, content

_MOST = 20_000


def read_accounts(source: Source, notes: Notes) -> Accounts:
    known, parties = users(_text(source, PASSWD, notes)), groups(_text(source, GROUP, notes))
    for path, count in ((PASSWD, len(known)), (GROUP, len(parties))):
        if count > _MOST:
            notes.add(f"{path} names {count} accounts: those behind the first {_MOST} were not read")
    return Accounts(users=known[:_MOST], groups=parties[:_MOST])


def to_record(accounts: Accounts) -> dict[str, Any]:
    return {
        "users": [[u.name, u.uid, u.gid, u.gecos, u.home, u.shell] for u in accounts.users],
        "groups": [[g.name, g.gid, list(g.members)] for g in accounts.groups],
    }


def from_record(record: dict[str, Any]) -> Accounts:
    """ValueError, TypeError and KeyError for what to_record does not make; what a later version adds behind
    is passed over."""
    return Accounts(
        users=tuple(_user(*item) for item in record["users"]),
        groups=tuple(_group(*item) for item in record["groups"]),
    )


def _user(name: str, uid: int, gid: int, gecos: str, home: str, shell: str, *_: object) -> User:
    for text in (gecos, home, shell):
        if type(text) is not str:
            raise TypeError(f"{text!r:.60} is no text")
    return User(name=_named(name), uid=_number(uid), gid=_number(gid), gecos=gecos, home=home, shell=shell)


def _group(name: str, gid: int, members: list[str], *_: object) -> Group:
    return Group(name=_named(name), gid=_number(gid), members=tuple(map(_named, members)))


def _named(name: str) -> str:
    if name_of(f"{name}:".encode("utf-8", "surrogateescape")) != name:
        raise ValueError(f"{name!r:.60} is no name of an account")
    return name


def _number(value: int) -> int:
    if type(value) is not int or number(str(value)) != value:
        raise ValueError(f"{value!r:.60} is no number of an account")
    return value


def _text(source: Source, path: str, notes: Notes) -> bytes:
    return content(source, path, MOST_BYTES, notes) or b""
