"""Trees, overlays and systems in a few words, for the tests of rebase."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skinnybox.delta.rebase.accounts import NONE, Numbers, Ownership
from skinnybox.delta.rebase.context import Context
from skinnybox.delta.rebase.files import decisions
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.rebase.values import Decision
from skinnybox.delta.upper import sort_key
from skinnybox.masters.accounts import Accounts, Group, User
from skinnybox.masters.index import Entry
from skinnybox.masters.system.values import INSTALLED, Package, System, Unit


@dataclass(frozen=True)
class Thing:
    """What stands at a name: in a tree, or in an upper directory."""

    type: str = "-"
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    rdev: tuple[int, int] = (0, 0)
    mtime_ns: int = 0
    link: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.content) if self.type in "-l" else 0


def f(content: str = "", **more: Any) -> Thing:
    return Thing(content=content.encode(), **more)


def d(mode: int = 0o755, **more: Any) -> Thing:
    return Thing("d", mode=mode, **more)


def l(target: str, **more: Any) -> Thing:  # noqa: E743
    return Thing("l", content=target.encode(), mode=0o777, **more)


WHITEOUT = Thing("c", mode=0)
OPAQUE = {"trusted.overlay.opaque": b"y"}
Tree = Mapping[str, Thing]


def whole(tree: Tree) -> dict[bytes, Thing]:
    """In canonical order, with the folders that nobody said."""
    found = {path.encode(): thing for path, thing in tree.items()}
    for path in tuple(found):
        while path:
            path = path.rpartition(b"/")[0]
            found.setdefault(path, d())
    return dict(sorted(found.items(), key=lambda item: sort_key(item[0])))


@dataclass(frozen=True)
class Line:
    path: bytes
    thing: Thing

    def entry(self) -> Entry:
        t = self.thing
        return Entry(
            path=self.path, type=t.type, mode=t.mode, uid=t.uid, gid=t.gid, mtime_ns=t.mtime_ns, size=t.size,
            rdev=os.makedev(*t.rdev), digest=digest(t.content) if t.type == "-" else None,
            target=t.content if t.type == "l" else None, xattrs=tuple(sorted(t.xattrs.items())), link=t.link,
        )  # fmt: skip

    def same(self, other: "Line") -> bool:
        return self == other


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Reader:
    """Counts what it reads."""

    def __init__(self) -> None:
        self.read = 0

    def digest(self, node: Thing) -> str:
        self.read += 1
        return digest(node.content)

    def md5(self, node: Thing) -> str:
        return md5(node.content)

    def target(self, node: Thing) -> bytes:
        return node.content

    def xattrs(self, node: Thing) -> Mapping[str, bytes]:
        return node.xattrs

    def text(self, node: Thing, limit: int) -> bytes | None:
        return node.content if len(node.content) <= limit else None


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Index:
    """As masters.lookup finds it, of a whole tree."""

    def __init__(self, tree: Mapping[bytes, Thing]) -> None:
        self._lines = {path: Line(path, thing) for path, thing in tree.items()}

    def at(self, path: bytes) -> Line | None:
        return self._lines.get(path)

    def below(self, folder: bytes) -> Iterator[Line]:
        return (line for path, line in self._lines.items() if is_below(path, folder))

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def numbers(self) -> Iterator[tuple[int, int]]:
        return ((line.thing.uid, line.thing.gid) for line in self)

    def with_lists(self) -> Iterator[Line]:
        return iter(self)


def index(tree: Tree) -> Index:
    return Index(whole(tree))


def text_in(tree: Tree) -> Callable[[bytes, int], bytes | None]:
    def read(path: bytes, limit: int) -> bytes | None:
        thing = tree.get(path.decode())
        return None if thing is None or thing.size > limit else thing.content

    return read


def decided(upper: Tree, old: Tree, new: Tree, **more: Any) -> list[Decision]:
    context = Context[Thing](
        reader=more.pop("reader", Reader()), old_text=text_in(old), new_text=text_in(new), **more
    )
    found = list(decisions(whole(upper).items(), index(old), index(new), context))
    return [*found, *context.strangers.decisions(), *context.remains.decisions()]


def told(upper: Tree, old: Tree, new: Tree, **more: Any) -> dict[str, str]:
    """By path KIND FATE, and the standing where it is not clean."""
    return {each.name: line(each) for each in decided(upper, old, new, **more)}


def line(each: Decision) -> str:
    mark = "" if each.standing == "clean" else f" {each.standing}"
    return f"{each.kind}: {each.fate}{mark}"


def moving(users: Mapping[int, int], groups: Mapping[int, int] | None = None) -> Ownership:
    known = frozenset(range(1 << 16))
    return Ownership(
        users=Numbers(moved=users, known=known), groups=Numbers(moved=groups, known=known) if groups else NONE
    )


def a_package(name: str, version: str = "1", *, status: str = INSTALLED, **more: Any) -> Package:
    return Package(name=name, version=version, architecture="amd64", status=status, **more)


def a_system(
    *packages: Package | str,
    users: Mapping[str, int] | None = None,
    units: Mapping[str, tuple[str, ...]] | None = None,
    manager: str | None = "dpkg",
    trouble: tuple[str, ...] = (),
) -> System:
    """A package may be said as NAME=VERSION."""
    return System(
        manager=manager,
        packages=tuple(p if isinstance(p, Package) else a_package(*p.split("=")) for p in packages),
        accounts=accounts_of(users or {}, {}),
        units=tuple(Unit(name=name, wanted_by=by) for name, by in sorted((units or {}).items())),
        alternatives=(),
        diversions=(),
        release={"id": "debian", "version_id": "12"},
        trouble=trouble,
    )


def accounts_of(users: Mapping[str, int], groups: Mapping[str, int]) -> Accounts:
    return Accounts(
        users=tuple(User(name=name, uid=number, gid=0) for name, number in users.items()),
        groups=tuple(Group(name=name, gid=number) for name, number in groups.items()),
    )
