"""Paths at which a machine had made something its own that its master had as well by then (converged.py): on
another master it is decided about them as if the machine had gone there at once, from the one of before."""

from dataclasses import replace

from skinnybox.delta.rebase.context import Context, N
from skinnybox.delta.rebase.converged import Change
from skinnybox.delta.rebase.facts import Facts
from skinnybox.delta.rebase.rules import Choice
from skinnybox.delta.rebase.values import Decision, Fate, FileClass

ASPECTS = ("content", "mode", "owner", "xattrs")
Three = tuple[Facts | None, Facts | None, Facts | None]


def base(path: bytes, three: Three, context: Context[N]) -> Facts | None:
    """What the machine's own is held against, of what it has there now, and both masters have: the old
    master's, or what that of before had, in each aspect in which they were the same by then."""
    mine, old, new = three
    change = context.converged.at(path)
    if change is None or new == old or (change.mine is None) != (old is None):
        return old
    had, before = change.mine, change.base
    if had is None or before is None or old is None or had.type != before.type:
        return before
    if mine is None or {mine.type, had.type} != {old.type}:
        return old
    converged = _same(had, old) & _other(had, before)
    as_before = set[str]() if new is None else _same(new, before)
    counts = converged & (_same(mine, old) | as_before)
    return replace(old, **{each: getattr(before, each) for each in counts})


def _same(*facts: Facts) -> set[str]:
    return {each for each in ASPECTS if len({getattr(one, each) for one in facts}) == 1}


def _other(one: Facts, other: Facts) -> set[str]:
    return {*ASPECTS} - _same(one, other)


def note(path: bytes, three: Three, old: Facts | None, found: Decision | None, context: Context[N]) -> None:
    """Remember that the machine's own goes, in whatever aspect, since the new master has the same; or forget
    it, where that was decided. The second of `three` is the base of it, `old` what the old master has."""
    mine, before, new = three
    if (found is not None and found.fate is Fate.ASK) or (new == old and path in context.converged):
        return
    if not _converges(mine, before, new) or _is_said(path, found, context):
        context.converged.forget(path)
    else:
        context.converged.remember(path, Change(before, mine))


def _is_said(path: bytes, found: Decision | None, context: Context[N]) -> bool:
    """Whether somebody wants the new master's."""
    if context.policy.choice(path) is Choice.TAKE:
        return True
    usual = (FileClass.CONVERGED, FileClass.NOOP, FileClass.METADATA, FileClass.STALE)
    return found is not None and found.fate is Fate.TAKE and found.kind not in usual


def _converges(mine: Facts | None, before: Facts | None, new: Facts | None) -> bool:
    """A folder that only the machine had may stay its own: it is still there."""
    if mine == before or (before is None and mine is not None and mine.type == "d"):
        return False
    if mine is None or before is None or new is None or len({mine.type, before.type, new.type}) > 1:
        return mine == new
    return bool(_same(mine, new) & _other(mine, before))
