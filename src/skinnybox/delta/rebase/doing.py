"""A plan carried out: a new overlay beside the old one, which is not written to.

It is a copy on which only what was decided is altered (overlays.edit), and which is then read again, whole,
and compared with what it was to be. No machine is booted for it, so it costs a copy and not a start, and asks
for no program of any master.
"""

import contextlib
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from skinnybox.delta.handing import handed
from skinnybox.delta.rebase import comparing, ordering, planning, replay, tasks
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.rebase.ordering import MOST_TOLD, Scratch
from skinnybox.delta.rebase.orders import decoded
from skinnybox.delta.rebase.replay import Replay
from skinnybox.delta.rebase.rules import Policy
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.errors import Blocked, Conflict, Corrupt
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.inspect import opened
from skinnybox.printable import printable
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import inquire

_HASHED_PER_SECOND = 20 << 20
_WRITTEN = 1 << 30
"""Bytes of each file that is written beside: some hundred for each name in the overlay."""
_MOST_COUNTS, _LONGEST_NOTE = 10_000, 500
Counts = Counter[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`counts` by subject, kind, fate and standing, as a plan's; `tasks` are words of tasks.py, which the
    first start does, and `identifier` is what it calls them by; `orders` is how many edits it took. `notes`
    are for people: what became of records otherwise than anybody asked for. `replay` is what its package
    manager is to do then, where the policy says so."""

    counts: Counts
    tasks: tuple[str, ...]
    orders: int
    identifier: str
    notes: tuple[str, ...] = ()
    replay: Replay | None = None

    @property
    def renumbers(self) -> bool:
        """Whether accounts get other numbers."""
        return any(key[0] in (Subject.USER, Subject.GROUP) and key[2] == Fate.RENUMBER for key in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ordered:
    counts: Counts
    tasks: tuple[str, ...]
    index: bool
    notes: tuple[str, ...]
    replay: Replay | None


def build(
    old: Path,
    new: Path,
    masters: tuple[Files, Files],
    policy: Policy,
    images: tuple[Sequence[str], Sequence[str]],
    operation: Operation,
    identifier: str | None = None,
    says_all: str | None = None,
) -> Done:
    """Fill `new`, a blank private file as large as the overlay `old`, whose machine is off, with what a
    rebase makes of it. `images` are those that the old stack consists of, and the new one; what it belongs to
    is still to be put. Without `identifier` its tasks get a random one. `says_all` tells how to see all that
    is open.

    Raises Blocked and Conflict for what the plan leaves open, NoSpace when it would be too full, Corrupt;
    `new` is of no use then."""
    identifier = identifier or secrets.token_hex(16)
    with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
        copy_data(source.fileno(), target.fileno(), operation)
    edit.prepared(new)
    operation.step(task="rebase", detail="deciding")
    with _scratch(new.parent) as scratch:
        found = _ordered(old, new, masters, policy, images, identifier, scratch, says_all)
        operation.step(task="rebase", detail="writing")
        size = os.fstat(scratch.contents).st_size
        with _reading(scratch.removals) as removals, _reading(scratch.changes) as changes:
            edits = chain(decoded(removals, size), decoded(changes, size))
            count = edit.edited(new, edits, scratch.contents, operation)
        edit.settled(new, index=found.index)
        operation.step(task="rebase", detail="comparing")
        comparing.verify(new, scratch.lines)
    return Done(
        counts=found.counts, tasks=found.tasks, orders=count, identifier=identifier, notes=found.notes,
        replay=found.replay,
    )  # fmt: skip


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Scratch]:
    """Files without a name: a kill leaves nothing."""
    with ExitStack() as held:
        files = [held.enter_context(tempfile.TemporaryFile(dir=folder)).fileno() for _ in range(6)]
        early, late, removals, changes, lines, contents = files
        yield Scratch(
            early=early, late=late, removals=removals, changes=changes, lines=lines, contents=contents
        )


@contextlib.contextmanager
def _reading(descriptor: int) -> Iterator[Any]:
    with os.fdopen(os.dup(descriptor), "rb", 1 << 18) as file:
        file.seek(0)
        yield file


def _ordered(
    old: Path,
    new: Path,
    masters: tuple[Files, Files],
    policy: Policy,
    images: tuple[Sequence[str], Sequence[str]],
    identifier: str,
    scratch: Scratch,
    says_all: str | None,
) -> _Ordered:
    """What the confined process decides."""
    with opened(new) as device, handed(planning.policy_text(policy)) as rules:
        size = os.fstat(device).st_size
        bounds = Bounds(
            memory=2 << 30, cpu_seconds=300 + size // _HASHED_PER_SECOND, file_size=max(size, _WRITTEN)
        )
        files = [device, rules, *masters[0].all, *masters[1].all, *scratch.all]
        sides = [each.word for each in masters]
        words = [str(device), str(rules), *sides, *map(str, scratch.all), identifier, ",".join(images[1])]
        words.append(str(time.time_ns()))
        with inquire(ordering.__name__, words, subject=str(old), bounds=bounds, pass_fds=files) as answers:
            refuse_unsettled(answers, old)
            planning.refuse_others(answers, old, images[0])
            counts = _as_counts(next(answers, None))
            _refuse_disputed(_as_decisions(next(answers, None)), counts, says_all)
            found = _checked(next(answers, None), counts)
            if next(answers, None) is not None:
                raise Corrupt(NO_ANSWER)
    return found


def _as_counts(value: Any) -> Counts:
    try:
        if len(value) > _MOST_COUNTS or not all(type(count) is int and count > 0 for *_, count in value):
            raise ValueError("no counts")
        return Counter({_key(*key): count for *key, count in value})
    except (ValueError, TypeError) as error:
        raise Corrupt(NO_ANSWER) from error


def _key(subject: Any, kind: Any, fate: Any, standing: Any) -> tuple[str, str, str, str]:
    found = planning.checked([subject, kind, fate, "", "", standing, ""])
    return found.subject, found.kind, found.fate, found.standing


def _as_decisions(value: Any) -> list[Decision]:
    if not isinstance(value, list) or len(value) > MOST_TOLD:
        raise Corrupt(NO_ANSWER)
    return list(map(planning.checked, value))


def _refuse_disputed(found: list[Decision], counts: Counts, says_all: str | None) -> None:
    if not found:
        return
    blocked = any(each.standing is Standing.BLOCKED for each in found)
    standing = Standing.BLOCKED if blocked else Standing.CONFLICT
    number = sum(count for key, count in counts.items() if key[3] == standing)
    these = [each for each in found if each.standing is standing][:3]
    told = "; ".join(f"{_called(each)}: {each.detail or each.kind}" for each in these)
    more = f"; and {number - len(these)} more" if number > len(these) else ""
    if blocked:
        raise Blocked(f"a rebase is not possible: {told}{more}", hint=says_all)
    who = "--on-conflict, --rules, --take and --pin say who wins"
    hint = f"{says_all}; {who}" if says_all else who
    raise Conflict(f"it is in dispute who wins: {told}{more}", hint=hint)


def _called(found: Decision) -> str:
    return f"/{found.name}" if found.subject is Subject.FILE else f"{found.subject} {found.name}"


def _checked(value: Any, counts: Counts) -> _Ordered:
    try:
        _, index, words, notes, anew = value
        if type(index) is not bool or not set(words) <= set(tasks.WORDS) or len(notes) > MOST_TOLD:
            raise ValueError("no such orders")
        told = tuple(printable(str(note)[:_LONGEST_NOTE]) for note in notes)
        lists = None if anew is None else replay.checked(anew)
    except (ValueError, TypeError) as error:
        raise Corrupt(NO_ANSWER) from error
    known = tuple(word for word in tasks.WORDS if word in words)
    return _Ordered(counts=counts, tasks=known, index=index, notes=told, replay=lists)
