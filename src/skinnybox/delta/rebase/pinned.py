"""Paths that are pinned and that the machine has nothing of its own at: it goes on seeing what it saw.

What stays of the machine is what its old master shows it as much as what it wrote; where the new master has
another, or none, the old one's is brought, and what only the new one has is hidden.
"""

import heapq
from collections.abc import Iterator

from skinnybox.delta.rebase.context import Context, N, file
from skinnybox.delta.rebase.facts import of_entry
from skinnybox.delta.rebase.rules import Choice
from skinnybox.delta.rebase.special import of_info, special
from skinnybox.delta.rebase.streams import Index, L
from skinnybox.delta.rebase.values import Decision, Fate, FileClass
from skinnybox.delta.upper import sort_key
from skinnybox.masters.index import Entry


def why(path: bytes, context: Context[N]) -> str:
    return "a database stays whole" if context.policy.is_of_database(path) else "pinned"


def paths(context: Context[N], *masters: Index[L]) -> Iterator[bytes]:
    """Those of which `unseen` may have something to say, in canonical order; some of them several times."""
    folders = sorted(
        {folder.encode("utf-8", "surrogateescape") for folder in context.policy.pinned_folders()}
    )
    streams = [[folder] for folder in folders if folder]
    below = [(line.path for line in each.below(folder)) for folder in folders for each in masters]
    return heapq.merge(*streams, *below, key=sort_key)


def unseen(path: bytes, old: Entry | None, new: Entry | None, context: Context[N]) -> Decision | None:
    """None: it is not pinned, or both masters have the same. A folder of both is the new one's."""
    if context.policy.choice(path) is not Choice.PIN or _is_record(path):
        return None
    if old is None:
        return None if new is None else file(path, FileClass.GROWN, Fate.HIDE, why(path, context))
    if new is not None and old.type == new.type == "d":
        return None
    if new is not None and of_entry(old, context.ownership_at(path)) == of_entry(new, None):
        return None
    return file(path, FileClass.NEEDED, Fate.BRING, why(path, context))


def _is_record(path: bytes) -> bool:
    """Records tell what is there, whoever would like it otherwise."""
    what = special(path)
    return of_info(path) is not None or (what is not None and what.kind is FileClass.RECORD)
