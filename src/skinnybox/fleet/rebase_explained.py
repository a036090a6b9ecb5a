"""Why a path of a machine is what it is in the plan of its rebase."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skinnybox.delta.rebase.values import Decision, FileClass, Subject
from skinnybox.errors import UsageError
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
    there, None for nothing."""

    path: str
    decisions: tuple[Decision, ...]
    old: Entry | None
    new: Entry | None


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
    if not path.startswith("/"):
        raise UsageError(f"{path!r} is no path in a machine", hint="one such as /etc/motd")
    wanted = path.strip("/")
    on_data = any(f"/{wanted}/".startswith(f"{folder}/") for folder in data)
    found = tuple(_on_data(decisions) if on_data else _about(decisions, wanted))
    entries = (_entry(masters.folder(master), stack, wanted) for master in (old, new))
    return Explained(path=f"/{wanted}", decisions=found, old=next(entries), new=next(entries))


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
