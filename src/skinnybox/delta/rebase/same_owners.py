"""Whether every file belongs to whom it belonged, by name: numbers are nobody's, and an account that moved
leaves its files to whoever has its number then."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from skinnybox.delta.rebase.containers import is_containers
from skinnybox.delta.rebase.findings import Finding, FindingKind
from skinnybox.masters.accounts import Accounts
from skinnybox.masters.renumber import ACCESS_LISTS, acl_entries
from skinnybox.masters.system.source import text_of

_SETUID, _SETGID, _CAPABILITY = 0o4000, 0o2000, "security.capability"
_MOST = 1000
Names = frozenset[str]
_NOBODY: Names = frozenset()


@dataclass(frozen=True, slots=True)
class Known:
    """Who has a number, of users and of groups: several names may."""

    users: Mapping[int, Names]
    groups: Mapping[int, Names]

    @classmethod
    def of(cls, accounts: Accounts) -> "Known":
        return cls(_by_number(accounts.uids()), _by_number(accounts.gids()))

    def side(self, is_user: bool) -> Mapping[int, Names]:
        return self.users if is_user else self.groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What a file says of who may do what with it."""

    mode: int
    uid: int
    gid: int
    xattrs: Mapping[str, bytes]

    @property
    def is_privileged(self) -> bool:
        return bool(self.mode & (_SETUID | _SETGID)) or _CAPABILITY in self.xattrs

    def numbers(self) -> Iterator[tuple[str, bool, int]]:
        """What each is for, whether it is a user's, and the number."""
        yield "owner", True, self.uid
        yield "group", False, self.gid
        for name in ACCESS_LISTS:
            for place, (is_user, number) in enumerate(acl_entries(self.xattrs.get(name, b""))):
                yield f"{name} {place}", is_user, number


class Owners:
    """Gathers what is not the same. `old` and `new` are who is who in the machine, `master` in the new master
    by itself."""

    def __init__(self, old: Known, new: Known, master: Known) -> None:
        self._old, self._new, self._master = old, new, master
        self._count: Counter[tuple[bool, Names, Names]] = Counter()
        self._first: dict[tuple[bool, Names, Names], bytes] = {}
        self._privileged: list[Finding] = []
        self._had = {True: _names(old.users), False: _names(old.groups)}

    def masters(self, path: bytes, owned: Owned) -> None:
        """A file of the new master that the machine sees: it belongs to whom the master says."""
        for _, is_user, number in owned.numbers():
            if (who := self._other(is_user, number)) is not None:
                self._see(path, owned, is_user, *who)

    def may_differ(self, numbers: Iterable[tuple[bool, int]]) -> bool:
        """Whether there is one among these, of users (True) and groups, that `masters` has to say something
        about."""
        return any(self._other(is_user, number) is not None for is_user, number in numbers)

    def _other(self, is_user: bool, number: int) -> tuple[Names, Names] | None:
        """Whom the master means, and who it is; None where that is well."""
        meant = self._master.side(is_user).get(number, _NOBODY)
        now = self._new.side(is_user).get(number, _NOBODY)
        was_gone = not now and not meant & self._had[is_user]
        return (meant, now) if meant and not meant & now and not was_gone else None

    def machines(self, path: bytes, now: Owned, before: Owned | None, master: Owned | None) -> None:
        """A file of the machine's own: as before, or as the new master has it."""
        if before is None or is_containers(path):
            return
        was = {place: (is_user, number) for place, is_user, number in before.numbers()}
        meant = {place: number for place, _, number in master.numbers()} if master is not None else {}
        for place, is_user, number in now.numbers():
            if place not in was or was[place][0] is not is_user:
                continue
            old = self._old.side(is_user).get(was[place][1], _NOBODY)
            new = self._new.side(is_user).get(number, _NOBODY)
            of_master = self._master.side(is_user).get(meant.get(place, -1), _NOBODY)
            if old & new or new & of_master or (not old and not new):
                continue
            self._see(path, now, is_user, old, new)

    def findings(self) -> Iterator[Finding]:
        yield from self._privileged
        for key, count in self._count.most_common():
            is_user, was, now = key
            more = f" and {count - 1} more" if count > 1 else ""
            what = "user" if is_user else "group"
            text = f"/{text_of(self._first[key])}{more}: {what} {_told(was)} -> {_told(now)}"
            yield Finding.of(FindingKind.OWNER, text)

    def _see(self, path: bytes, owned: Owned, is_user: bool, was: Names, now: Names) -> None:
        if owned.is_privileged and len(self._privileged) < _MOST:
            what = "user" if is_user else "group"
            text = f"/{text_of(path)} (mode {owned.mode:04o}): {what} {_told(was)} -> {_told(now)}"
            self._privileged.append(Finding.of(FindingKind.PRIVILEGE, text))
            return
        key = (is_user, was, now)
        if key in self._count or len(self._count) < _MOST:
            self._count[key] += 1
            self._first.setdefault(key, path)


def _names(side: Mapping[int, Names]) -> Names:
    return frozenset().union(*side.values())


def _by_number(numbers: Mapping[str, int]) -> dict[int, Names]:
    found: dict[int, set[str]] = {}
    for name, number in numbers.items():
        found.setdefault(number, set()).add(name)
    return {number: frozenset(names) for number, names in found.items()}


def _told(names: Names) -> str:
    return "/".join(sorted(names)[:3]) or "nobody"
