"""What carries a plan out, written down by a confined process that reads the machine's disk and two masters.

First everything is decided, as for the plan; then, where nothing is in dispute, all paths go by once more,
and what the decisions about each mean is written to the files that were handed over.
"""

import heapq
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from skinnybox.delta import belongs
from skinnybox.delta.rebase import converged, moves, planning, records, replay, tasks
from skinnybox.delta.rebase.carrying import Carrier
from skinnybox.delta.rebase.context import Context
from skinnybox.delta.rebase.outcome import Masters, Wanted
from skinnybox.delta.rebase.reading import buffered
from skinnybox.delta.rebase.rules import Policy
from skinnybox.delta.rebase.shared_files import named_elsewhere
from skinnybox.delta.rebase.spool import Said, Spool
from skinnybox.delta.rebase.streams import is_below, places
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.delta.rebase.whole import Ground, Side, by_path, settle_ground
from skinnybox.delta.rebase.work import empty_work
from skinnybox.delta.rebase.written import Contents, Need, Written
from skinnybox.delta.upper import sort_key
from skinnybox.errors import NoSpace
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters.system.source import bytes_of
from skinnybox.overlays.space import is_out_of_space
from skinnybox.sandbox.reader import answer
from skinnybox.sizes import format_size

MOST_TOLD = 20
"""Of what is in dispute: so many say enough in an error, and the plan has all."""
_UPPER = b"upper"
_SLACK = 16
_LONGEST_NOTE = 500
_BUFFER = 1 << 18
Decided = Iterator[tuple[bytes, list[Said]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Open files that are empty, to be written to."""

    early: int
    late: int
    removals: int
    changes: int
    lines: int
    contents: int

    @property
    def all(self) -> tuple[int, ...]:
        return self.early, self.late, self.removals, self.changes, self.lines, self.contents


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    device, rules, early, late, removals, changes, lines, contents = map(
        int, (*arguments[:2], *arguments[4:10])
    )
    scratch = Scratch(
        early=early, late=late, removals=removals, changes=changes, lines=lines, contents=contents
    )
    identifier, images, now = arguments[10:]
    policy = planning.as_policy(json.loads(buffered(rules).read()))
    answer(
        _room(_told(device, arguments[2:4], policy, scratch, identifier, tuple(images.split(",")), int(now)))
    )


def _room(values: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from values
    except OSError as error:
        if not is_out_of_space(error):
            raise
        raise NoSpace("there is no room beside the overlay for what a rebase writes down") from error


def _told(
    device: int,
    stacks: Sequence[str],
    policy: Policy,
    scratch: Scratch,
    identifier: str,
    onto: Sequence[str],
    now: int,
) -> Iterator[Any]:
    volume = open_descriptor(device)
    yield volume.superblock.clean
    if not volume.superblock.clean:
        return
    images = belongs.images(volume)
    yield images
    sides = planning.side(stacks[0]), planning.side(stacks[1])
    with ExitStack() as held:
        early, late, *others = (held.enter_context(os.fdopen(each, "r+b", _BUFFER)) for each in scratch.all)
        spool, words, notes = Spool(early, late), set[str](), list[str]()
        ground, told = settle_ground(volume, *sides, policy)
        tally = _Tally(spool, words)
        tally.all(told if ground is None else itertools.chain(told, by_path(volume, *sides, ground)))
        yield [[*key, count] for key, count in sorted(tally.counts.items())]
        yield [planning.told(each) for each in tally.disputed]
        if ground is None or tally.disputed:
            return
        masters = Masters(*map(planning.sealed, stacks))
        out = _written(volume, others)
        wanted, lost = _records(masters, ground, out.contents, words, notes)
        wanted |= _tasks(masters, ground, out.contents, identifier, words)
        wanted |= _moves(ground, out.contents, identifier, (images, onto))
        wanted |= _converged(ground, out.contents)
        shared = named_elsewhere(volume, ground.context.ownership)
        carrier = Carrier(volume, ground.context, masters, out, now, shared)
        _carry_out(volume, sides, spool.by_path(), wanted, carrier)
        empty_work(volume, out)
        _refuse_full(volume, out.need)
    # Only now all of it is written.
    yield [out.count, out.index, sorted(words), notes, _anew(ground.context, tally.packages, lost)]


def _anew(context: Context[Node], packages: list[Decision], lost: list[tuple[str, str]]) -> list[Any] | None:
    """What is to be installed again, as it crosses; None where nothing is."""
    gone = context.dangling
    if gone is None:
        return None
    again = replay.coming(packages, context.packages)
    return replay.crossed(replay.of(packages, gone.links, gone.off(), lost, gone.deleted(again)))


class _Tally:
    """What is decided, counted; what is decided about paths goes to the spool."""

    def __init__(self, spool: Spool, words: set[str]) -> None:
        self.counts: Counter[tuple[str, str, str, str]] = Counter()
        self.disputed: list[Decision] = []
        self.packages: list[Decision] = []
        self._spool = spool
        self._words = words

    def all(self, found: Iterable[Decision]) -> None:
        for each in found:
            self.counts[each.subject, each.kind, each.fate, each.standing] += 1
            if each.standing is not Standing.CLEAN:
                self._dispute(each)
            elif each.subject is Subject.PACKAGE:
                self.packages.append(each)
            elif each.subject is Subject.FILE:
                self._spool.add(each.name, each.kind, each.fate)
                if each.fate is Fate.REGENERATE:
                    self._words.update(tasks.words_of(each.name))

    def _dispute(self, found: Decision) -> None:
        """The first of them; what is blocked before what can be decided."""
        self.disputed.append(found)
        self.disputed.sort(key=lambda each: each.standing is not Standing.BLOCKED)
        del self.disputed[MOST_TOLD:]


def _written(volume: Volume, files: list[BinaryIO]) -> Written:
    removals, changes, lines, contents = files
    return Written(
        removals=removals,
        changes=changes,
        lines=lines,
        contents=Contents(contents),
        need=Need(volume.superblock.block_size),
    )


def _records(
    masters: Masters, ground: Ground, contents: Contents, words: set[str], notes: list[str]
) -> tuple[dict[bytes, Wanted], list[tuple[str, str]]]:
    """By path, and alternatives that were chosen by hand and are gone. Held are the paths; what stands there
    is written down as it comes."""
    context = ground.context
    sides = records.Sides(
        old=masters.old,
        new=masters.new,
        machine=ground.source,
        packages=context.packages,
        owners=context.owners,
        ownership=context.ownership,
        policy=context.policy,
    )
    found: dict[bytes, Wanted] = {}
    lost: list[tuple[str, str]] = []
    for each in records.made(sides):
        found[bytes_of(each.path)] = Wanted(
            content=None if each.content is None else contents.copy([each.content]),
            target=None if each.target is None else bytes_of(each.target),
            hidden=each.hidden,
        )
        words.update({each.task} & set(tasks.WORDS))
        if each.note and len(notes) < MOST_TOLD:
            notes.append(f"/{each.path}: {each.note}"[:_LONGEST_NOTE])
        if each.lost is not None:
            lost.append(each.lost)
    return found, lost


def _tasks(
    masters: Masters, ground: Ground, contents: Contents, identifier: str, words: set[str]
) -> dict[bytes, Wanted]:
    """What the first start does; and what an earlier one left goes."""
    sides = masters.old, masters.new, ground.source
    expected = tasks.units(sides, ground.wants, replay=ground.context.policy.replay)
    text = tasks.text(identifier, words, expected)
    left = {bytes_of(path): Wanted() for path in tasks.LEFT}
    return left | {bytes_of(tasks.PATH): Wanted(content=contents.copy([text]), mode=0o600)}


def _moves(
    ground: Ground, contents: Contents, identifier: str, images: tuple[Sequence[str], Sequence[str]]
) -> dict[bytes, Wanted]:
    """What its data disk is told. Where no number moves, what it was told last still holds."""
    owners = ground.context.ownership
    if not owners.moves:
        return {}
    text = moves.text(identifier, images, owners)
    return {bytes_of(moves.PATH): Wanted(content=contents.copy([text]), mode=0o600)}


def _converged(ground: Ground, contents: Contents) -> dict[bytes, Wanted]:
    """What of the machine's goes since its new master has the same, for the next one."""
    text = ground.context.converged.text()
    content = None if text is None else contents.copy([text])
    return {bytes_of(converged.PATH): Wanted(content=content, mode=0o600)}


def _carry_out(
    volume: Volume,
    sides: tuple[Side, Side],
    decided: Decided,
    wanted: dict[bytes, Wanted],
    carrier: Carrier,
) -> None:
    """All places of the machine with what was said of each; and those of records, of which perhaps nobody has
    anything."""
    old, new = sides
    ahead, decided = itertools.tee(decided)
    records = sorted(wanted, key=sort_key)
    also = _with_folders(heapq.merge((path for path, _ in ahead), records, key=sort_key))
    said = next(decided, None)
    for place in places(volume.walk(_UPPER), old.index, new.index, also):
        key = sort_key(place.path)
        while said is not None and sort_key(said[0]) < key:
            said = next(decided, None)
        here = said[1] if said is not None and said[0] == place.path else []
        carrier.at(place, here, wanted.get(place.path))
    carrier.end()


def _with_folders(paths: Iterable[bytes]) -> Iterator[bytes]:
    """Each once, behind the folders that it is in: what is made there is made in folders like the masters'.
    Both are in canonical order."""
    last = b""
    for path in paths:
        if path == last:
            continue
        end = path.find(b"/")
        while end >= 0:
            folder = path[:end]
            if folder != last and not is_below(last, folder):
                yield folder
            end = path.find(b"/", end + 1)
        yield path
        last = path


def _refuse_full(volume: Volume, need: Need) -> None:
    block = volume.superblock
    missing = need.blocks + _SLACK - need.freed - block.free_blocks
    if missing > 0:
        raise NoSpace(
            "the overlay has no room for what a rebase writes to it: "
            f"{format_size(missing * need.block)} are missing",
            hint="`skinnybox grow` gives it more",
        )
    if need.inodes > need.freed_inodes + block.free_inodes:
        raise NoSpace(
            f"the overlay has no room for the names of {need.inodes} files that a rebase writes to it",
            hint="`skinnybox grow` gives it more",
        )
