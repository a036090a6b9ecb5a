"""Why a path of a machine is what it is in the plan of its rebase."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skinnybox.delta.rebase.rules import check_path
from skinnybox.delta.rebase.values import Decision, FileClass, Standing, Subject
from skinnybox.fleet import rebase_data
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.stack_files import index_of
from skinnybox.masters.index import Entry, read_lines
from skinnybox.model import Master, Stack

WHY: dict[str, str] = {
    FileClass.NOOP: "as the old master has it: it was copied up, and not altered",
    FileClass.CONVERGED: "the machine and the new master have the same",
    FileClass.OWN: "neither master has it",
    FileClass.KEPT: "the machine altered it, and the masters agree; or somebody said who wins",
    FileClass.DELETED: "the machine deleted it, and the masters agree",
    FileClass.STALE: "the machine deleted it, and so did the new master",
    FileClass.METADATA: "only mode, owner or attributes differ, and only one side changed them",
    FileClass.MERGED: "both sides changed it, and nothing of it twice",
    FileClass.MODIFY_MODIFY: "the machine altered it, and the new master has another than the old one",
    FileClass.ADD_ADD: "the machine made it, and so did the new master, otherwise",
    FileClass.DELETE_MODIFY: "the machine deleted it, and the new master has another than the old one",
    FileClass.MODIFY_DELETE: "the machine altered it, and the new master has it no more",
    FileClass.TYPE: "a file, a folder, a symlink: the machine and the new master have another each",
    FileClass.OPAQUE: "the machine's folder hides what the masters have below it",
    FileClass.BELOW_OPAQUE: "below a folder that hides what the masters have: nothing is behind it",
    FileClass.BELOW_TAKEN: "below a folder that gives way to something else of the new master",
    FileClass.OF_PACKAGE: "it goes the way of its package",
    FileClass.GROWN: "the new master's version of a package would add it, and the machine has another",
    FileClass.NEEDED: "the machine's version of a package needs it, and only the old master has it",
    FileClass.GENERATED: "it is made from other files, of both sides: made anew at the first start",
    FileClass.RECORD: "it is merged by what stands in it",
    FileClass.IDENTITY: "it is who the machine is",
    FileClass.LOCAL: "it is what the machine tells of itself: logs, and the like",
    FileClass.INEFFECTIVE: "it does nothing in a machine: its kernel, its modules, what is mounted over",
    FileClass.UNREAD: "nobody can say what is there",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What is decided about a path, or about a folder around it that decides it; and what the masters have
    there, None for nothing. `below`: how many decisions there are of what lies below it, by standing, and
    `first` a path of the worst of them."""

    path: str
    decisions: tuple[Decision, ...]
    old: Entry | None
    new: Entry | None
    below: Counter[Standing] = field(default_factory=Counter)
    first: str | None = None


def explained(
    masters: Masters,
    path: str,
    decisions: Iterable[Decision],
    old: Master,
    new: Master,
    stack: Stack,
    data: Sequence[str] = (),
) -> Explained:
    """UsageError for no path. `decisions` are gone through to their end. `stack` is what it boots from, and
    `data` are the folders of its data disk: of those nothing is decided but whose numbers move."""
    wanted = path.strip("/")
    if wanted or not path.startswith("/"):
        check_path(path)
    on_data = any(f"/{wanted}/".startswith(f"{folder}/") for folder in data)
    below = _Below(f"{wanted}/".lstrip("/"))
    found = tuple(_on_data(decisions) if on_data else _about(map(below.seen, decisions), wanted))
    was, after = (_entry(masters.folder(master), stack, wanted) for master in (old, new))
    return Explained(
        path=f"/{wanted}", decisions=found, old=was, new=after, below=below.count, first=below.first
    )


_WORST = tuple(Standing)
"""The last is."""


@dataclass(slots=True)
class _Below:
    """What goes by of all that lies below a folder."""

    folder: str
    count: Counter[Standing] = field(default_factory=Counter)
    first: str | None = None
    worst: int = -1

    def seen(self, each: Decision) -> Decision:
        if each.subject is Subject.FILE and each.name.startswith(self.folder) and each.name != self.folder:
            self.count[each.standing] += 1
            if _WORST.index(each.standing) > self.worst:
                self.worst, self.first = _WORST.index(each.standing), each.name
        return each


def _on_data(decisions: Iterable[Decision]) -> Iterator[Decision]:
    return (each for each in decisions if each.kind == rebase_data.KIND)


def _about(decisions: Iterable[Decision], path: str) -> Iterator[Decision]:
    """Its own; else those of the folders around it."""
    around: list[Decision] = []
    known = False
    for each in decisions:
        if each.subject is not Subject.FILE:
            continue
        if each.name == path:
            yield each
            known = True
        elif path.startswith(f"{each.name}/") and each.kind in _CUTTING:
            around.append(each)
    if not known:
        yield from around


_CUTTING = {FileClass.OPAQUE, FileClass.DELETED, FileClass.DELETE_MODIFY, FileClass.TYPE, FileClass.KEPT}


def _entry(sealed: Path, stack: Stack, path: str) -> Entry | None:
    wanted = path.encode("utf-8", "surrogateescape")
    with index_of(sealed.parents[1], sealed, stack) as index:
        return next((line.entry() for line in read_lines(index) if line.path == wanted), None)
