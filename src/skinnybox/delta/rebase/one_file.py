"""One name that the machine has, against what the old and the new stack have there."""

import hashlib
from dataclasses import replace

from skinnybox.delta.rebase import again, pinned, text_merge
from skinnybox.delta.rebase.context import SOURCES, Context, N, file, is_systems, owner_told, settle
from skinnybox.delta.rebase.facts import Compared, Facts, Won, compared, of_entry, of_node
from skinnybox.delta.rebase.rules import Choice
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, Standing
from skinnybox.masters.index import Entry

Three = tuple[Facts, Facts | None, Facts | None]
_MERGED_BELOW = b"etc/"
_OWN = "the machine's own, which its master had as well"
_DELETED = "the machine had deleted it, and then its master had it no more"
_GONE = (FileClass.NOOP, FileClass.CONVERGED, FileClass.METADATA)


def three_way(
    path: bytes, node: N, old: Entry | None, new: Entry | None, context: Context[N]
) -> Decision | None:
    """None: nothing is to be said of it (a directory that is like the others). What stands is told with what
    becomes of its owner."""
    owners = context.ownership_at(path)
    mine = of_node(node, context.reader, owners, (old, new))
    was = None if old is None else of_entry(old, owners)
    after = None if new is None else of_entry(new, None)
    before = again.base(path, (mine, was, after), context)
    found = _decided(path, node, (mine, before, after), context)
    found = _of_removed(path, found, context)
    again.note(path, (mine, before, after), was, found, context)
    if found is not None and found.fate is not Fate.TAKE and new is not None and new.link is not None:
        found = replace(found, detail=f"{found.detail}; one of several names of a file".lstrip("; "))
    return _with_owner(found, path, node, context)


def _of_removed(path: bytes, found: Decision | None, context: Context[N]) -> Decision | None:
    """Where a package was that the machine removed, what it left behind or the machine has is no dispute with
    that package's in the new master: it is not there."""
    owned = context.owners.get(path)
    if found is None or found.standing is not Standing.CONFLICT or owned is None:
        return found
    if owned.package.fate is not Fate.HIDE:
        return found
    return file(path, FileClass.OF_PACKAGE, Fate.KEEP, f"of {owned.package.name}, which the machine removed")


def unseen(path: bytes, old: Entry | None, new: Entry | None, context: Context[N]) -> Decision | None:
    """Of what the machine has nothing of its own at any more, since its master has the same; or had it no
    more, where the machine had deleted it. None: nothing is to be said."""
    change = context.converged.at(path)
    was = None if old is None else of_entry(old, context.ownership_at(path))
    after = None if new is None else of_entry(new, None)
    if change is None or after == was or (change.mine is None) != (was is None):
        return None
    before = again.base(path, (was, was, after), context)
    if was is None:
        found = _about_deleted(path, before, after, context)
    else:
        found = _again(path, (was, before, after), context)
    again.note(path, (was, before, after), was, found, context)
    return found


def _about_deleted(path: bytes, old: Facts | None, new: Facts | None, context: Context[N]) -> Decision | None:
    choice = context.policy.choice(path)
    if choice is Choice.TAKE:
        return file(path, FileClass.DELETED, Fate.TAKE, "as was said: it comes back")
    if choice is Choice.PIN or old == new:
        return file(path, FileClass.DELETED, Fate.HIDE, _DELETED)
    found = settle(context.policy, path, FileClass.DELETE_MODIFY, "the new master has another")
    return replace(found, fate=Fate.HIDE) if found.fate is Fate.KEEP else found


def _again(path: bytes, three: Three, context: Context[N]) -> Decision | None:
    """What is kept has to be brought again."""
    mine, old, new = three
    found = _decided(path, None, three, context)
    if found is None or found.fate not in (Fate.KEEP, Fate.MERGE):
        return found if found is not None and found.kind not in _GONE else None
    result = compared(mine, old, new).result if found.fate is Fate.MERGE and old and new else mine
    if result is None or result == new or result.type == "d":
        return None
    context.converged.restored[path] = result
    return replace(found, fate=Fate.BRING, detail=_OWN)


def _with_owner(found: Decision | None, path: bytes, node: N, context: Context[N]) -> Decision | None:
    """Also a directory of which nothing else is to be said has an owner."""
    if found is not None and found.fate in (Fate.TAKE, Fate.REGENERATE):
        return found
    if node.type != "d" or found is not None:
        context.strangers.see(path, node, context.ownership_at(path))
    owner = owner_told(path, node, context)
    if not owner:
        return found
    return replace(found or file(path, FileClass.OWN, Fate.RENUMBER), owner=owner)


def _decided(path: bytes, node: N | None, three: Three, context: Context[N]) -> Decision | None:
    mine, old, new = three
    if context.policy.choice(path) is Choice.PIN:
        own = old is None and new is None
        return file(path, FileClass.OWN if own else FileClass.KEPT, Fate.KEEP, pinned.why(path, context))
    if context.policy.choice(path) is Choice.TAKE:
        return _taken(path, mine, new)
    if new is None:
        return _without_new(path, mine, old, context)
    if mine.type != new.type:
        return _other_type(path, mine, old, new, context)
    if mine == new:
        noop = FileClass.NOOP if mine == old else FileClass.CONVERGED
        return None if mine.type == "d" else file(path, noop, Fate.TAKE)
    if old is None or old.type != new.type:
        return _added(path, mine, new, context)
    return _altered(path, node, (mine, old, new), context)


def _taken(path: bytes, mine: Facts, new: Facts | None) -> Decision | None:
    if mine == new and mine.type == "d":
        return None
    return file(path, FileClass.KEPT, Fate.TAKE, "as was said: the machine's own goes")


def _without_new(path: bytes, mine: Facts, old: Facts | None, context: Context[N]) -> Decision | None:
    if old is None:
        if mine.type == "d" and context.policy.replay and is_systems(path):
            return file(path, FileClass.OF_PACKAGE, Fate.TAKE, "it stays for what is in it")
        mentions = context.policy.replay and path.startswith(SOURCES)
        return file(path, FileClass.OWN, Fate.KEEP, "it may name the old release" if mentions else "")
    if mine.type == "d" and old.type == "d":
        return None  # it stays for what is in it, or goes with the old master
    if mine == old:
        return file(path, FileClass.NOOP, Fate.TAKE, "the new master has it no more")
    return settle(context.policy, path, FileClass.MODIFY_DELETE, "the new master has it no more")


def _other_type(path: bytes, mine: Facts, old: Facts | None, new: Facts, context: Context[N]) -> Decision:
    """A symlink that somebody replaced by a file is no dispute while the masters agree about the symlink."""
    if mine == old:
        return file(path, FileClass.NOOP, Fate.TAKE)
    if old is not None and old.what == new.what:
        return file(path, FileClass.KEPT, Fate.KEEP, f"{old.type} -> {mine.type}")
    before = "-" if old is None else old.type
    detail = f"{mine.type} in the machine, {new.type} in the new master, before it was {before}"
    if before == "-" and old is None:
        detail = f"{mine.type} in the machine, {new.type} in the new master, and new in both"
    return settle(context.policy, path, FileClass.TYPE, detail)


def _added(path: bytes, mine: Facts, new: Facts, context: Context[N]) -> Decision | None:
    different = _differences(mine, new)
    if mine.type == "d" and not different:
        return None
    return settle(context.policy, path, FileClass.ADD_ADD, f"other {', '.join(different)}")


def _differences(mine: Facts, new: Facts) -> list[str]:
    pairs = (
        ("content", mine.content == new.content),
        ("mode", mine.mode == new.mode),
        ("owner", mine.owner == new.owner),
        ("attributes", mine.xattrs == new.xattrs),
    )
    return [name for name, same in pairs if not same]


def _altered(
    path: bytes, node: N | None, three: tuple[Facts, Facts, Facts], context: Context[N]
) -> Decision | None:
    mine, old, new = three
    if mine.content != old.content and context.is_anew(path):
        return settle(context.policy, path, FileClass.KEPT, "altered in the machine")
    found = compared(mine, old, new)
    if found.disputed:
        return _disputed(path, node, three, found, context)
    assert found.result is not None
    if found.result == new:
        kind = FileClass.NOOP if mine == old else FileClass.CONVERGED
        return file(path, FileClass.METADATA if mine.type == "d" else kind, Fate.TAKE)
    if found.result == mine:
        kind = FileClass.METADATA if mine.content == old.content else FileClass.KEPT
        return file(path, kind, Fate.KEEP)
    whose = "the machine's" if found.content is Won.MACHINE else "the new master's"
    return file(path, FileClass.MERGED, Fate.MERGE, f"{whose} content; mode, owner and attributes of both")


def _disputed(
    path: bytes, node: N | None, three: tuple[Facts, Facts, Facts], found: Compared, context: Context[N]
) -> Decision:
    choice = context.policy.choice(path)
    mergeable = found.disputed == ("content",) and choice is Choice.MERGE
    if mergeable and node is not None and node.type == "-" and _has_base(path, three[1], context):
        merged = merged_text(path, node, context)
        if merged is not None:
            return file(path, FileClass.MERGED, Fate.MERGE, "text of both, line by line")
    return settle(context.policy, path, FileClass.MODIFY_MODIFY, ", ".join(found.disputed))


def _has_base(path: bytes, base: Facts, context: Context[N]) -> bool:
    """Whether the old master has what the machine's is held against: see again.py."""
    if path not in context.converged:
        return True
    text = context.old_text(path, text_merge.LARGEST)
    return text is not None and base.content == f"sha256:{hashlib.sha256(text).hexdigest()}"


def merged_text(path: bytes, node: N, context: Context[N]) -> bytes | None:
    """What becomes of a file below /etc that all three have; None for no text, and for what touches."""
    if not path.startswith(_MERGED_BELOW) or context.budget.left <= 0:
        return None
    mine = context.reader.text(node, text_merge.LARGEST)
    old, new = (
        read(path, text_merge.LARGEST) if mine is not None else None
        for read in (context.old_text, context.new_text)
    )
    if mine is None or old is None or new is None:
        return None
    return text_merge.merged(old, mine, new, context.budget)
