"""What decisions about files go by, and what is gathered while they are made."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from skinnybox.delta.rebase.accounts import Numbers, Ownership
from skinnybox.delta.rebase.bound import Tally
from skinnybox.delta.rebase.containers import is_containers
from skinnybox.delta.rebase.converged import Converged
from skinnybox.delta.rebase.facts import Content
from skinnybox.delta.rebase.owners import Owners
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.text_merge import Budget
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, Standing, Subject
from skinnybox.delta.upper import UpperNode
from skinnybox.masters.renumber import ACCESS_LISTS, mapped

if TYPE_CHECKING:
    from skinnybox.delta.rebase.dangling import Dangling
    from skinnybox.delta.rebase.diverted import Diverted

N = TypeVar("N", bound=UpperNode)
Text = Callable[[bytes, int], bytes | None]
"""The content of a file of a master; None where it is none, or longer than so many bytes."""
_MOST_STRANGERS = 1000


@dataclass(frozen=True, kw_only=True)
class Context(Generic[N]):
    reader: Content[N]
    packages: Mapping[str, Settled] = field(default_factory=dict)
    owners: Owners = field(default_factory=dict)
    ownership: Ownership = field(default_factory=Ownership)
    policy: Policy = field(default_factory=Policy)
    old_text: Text = lambda path, limit: None
    new_text: Text = lambda path, limit: None
    budget: Budget = field(default_factory=Budget)
    bound: Tally = field(default_factory=Tally)
    strangers: "Strangers" = field(default_factory=lambda: Strangers())
    remains: "Remains" = field(default_factory=lambda: Remains())
    converged: Converged = field(default_factory=Converged)
    dangling: "Dangling | None" = None
    """Of a replay."""
    diverted: "Diverted | None" = None

    def ownership_at(self, path: bytes) -> Ownership:
        """What becomes of the machine's numbers there."""
        return Ownership() if is_containers(path) else self.ownership

    def is_anew(self, path: bytes) -> bool:
        """Whether the new release's file is there whatever became of it, and nobody said otherwise."""
        return is_anew(self.policy, path)


class Strangers:
    """Numbers of the machine's files that nobody has there, and somebody will have."""

    def __init__(self) -> None:
        self._count: Counter[tuple[Subject, int, str]] = Counter()
        self._first: dict[tuple[Subject, int, str], bytes] = {}

    def see(self, path: bytes, node: UpperNode, owners: Ownership) -> None:
        self._see(path, Subject.USER, node.uid, owners.users)
        self._see(path, Subject.GROUP, node.gid, owners.groups)

    def _see(self, path: bytes, subject: Subject, number: int, numbers: Numbers) -> None:
        name = numbers.stranger(number)
        if name is None:
            return
        key = (subject, number, name)
        if key in self._count or len(self._count) < _MOST_STRANGERS:
            self._count[key] += 1
            self._first.setdefault(key, path)

    def decisions(self) -> Iterator[Decision]:
        for (subject, number, name), count in sorted(self._count.items()):
            first = text_of(self._first[subject, number, name])
            yield Decision(
                subject=subject,
                kind="nobody's",
                fate=Fate.ASK,
                name=name,
                detail=f"{count} files, such as /{first}, are {number}'s, which nobody is in the machine: "
                f"they would be {name}'s. chown them there",
                standing=Standing.BLOCKED,
            )


class Remains:
    """Files that the machine has, of packages that it removed, says its database: one of both is not so, and
    whoever believes the database hides what is in use."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._first: dict[str, bytes] = {}

    def see(self, path: bytes, package: str) -> None:
        self._count[package] += 1
        self._first.setdefault(package, path)

    def decisions(self) -> Iterator[Decision]:
        for package, count in sorted(self._count.items()):
            yield Decision(
                subject=Subject.PACKAGE,
                kind="not removed",
                fate=Fate.ASK,
                name=package,
                detail=f"the machine's dpkg has it no more, and {count} of its files are there, such as "
                f"/{text_of(self._first[package])}: its database was damaged",
                standing=Standing.BLOCKED,
            )


def text_of(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def owner_told(path: bytes, node: N, context: Context[N]) -> str:
    """Empty where no number moves, also of its access lists."""
    owners = context.ownership_at(path)
    if not owners.moves:
        return ""
    uid, gid = owners.users.of(node.uid), owners.groups.of(node.gid)
    told = [] if (uid, gid) == (node.uid, node.gid) else [f"{node.uid}:{node.gid} -> {uid}:{gid}"]
    xattrs, numbers = context.reader.xattrs(node), owners.renumbering
    lists = [xattrs[name] for name in ACCESS_LISTS if name in xattrs]
    named = any(mapped(raw, numbers) != raw for raw in lists)
    return ", ".join([*told, *(["access lists"] if named else [])])


def settle(policy: Policy, path: bytes, kind: FileClass, detail: str) -> Decision:
    """What is in dispute, by who wins there. A path that is of another type needs somebody to speak of it."""
    choice = policy.choice(path)
    if policy.replay and choice is Choice.MERGE:
        return _anew(path, kind, detail)
    if kind is FileClass.TYPE and not policy.is_named(path):
        return file(path, kind, Fate.ASK, detail, Standing.BLOCKED)
    if choice in (Choice.OURS, Choice.PIN):
        return file(path, kind, Fate.KEEP, detail)
    if choice in (Choice.THEIRS, Choice.TAKE):
        return file(path, kind, Fate.TAKE, detail)
    standing = Standing.BLOCKED if kind is FileClass.TYPE else Standing.CONFLICT
    return file(path, kind, Fate.ASK, detail, standing)


SOURCES = b"etc/apt/sources.list"
_SYSTEM = (b"usr/", b"bin/", b"sbin/", b"lib/", b"lib32/", b"lib64/", b"libx32/")


def is_systems(path: bytes) -> bool:
    """Whether packages and nobody else are to put something there."""
    return (path + b"/").startswith(_SYSTEM) and not path.startswith(b"usr/local/")


def is_anew(policy: Policy, path: bytes) -> bool:
    return policy.replay and policy.choice(path) is Choice.MERGE and is_systems(path)


def _anew(path: bytes, kind: FileClass, detail: str) -> Decision:
    """Of a new release: its system is its own, and what was configured in the machine stays."""
    if is_systems(path):
        return file(path, kind, Fate.TAKE, f"{detail}; it is the system's")
    if kind is FileClass.TYPE:
        return file(path, kind, Fate.ASK, detail, Standing.BLOCKED)
    if path.startswith(SOURCES):
        why = "the machine's may name the old release, which the next upgrade would come from"
        return file(path, kind, Fate.ASK, f"{detail}; {why}", Standing.CONFLICT)
    return file(path, kind, Fate.KEEP, f"{detail}; the machine's stays")


def file(
    path: bytes,
    kind: FileClass,
    fate: Fate,
    detail: str = "",
    standing: Standing = Standing.CLEAN,
    owner: str = "",
) -> Decision:
    return Decision(
        subject=Subject.FILE,
        kind=kind,
        fate=fate,
        name=text_of(path),
        detail=detail,
        standing=standing,
        owner=owner,
    )
