"""The plan of one machine, made by a confined process from its disk and two masters, and checked here."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skinnybox.delta.belongs import images
from skinnybox.delta.handing import handed
from skinnybox.delta.rebase.reading import buffered
from skinnybox.delta.rebase.rules import Choice, Policy, Rule
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.delta.rebase.whole import Side, plan
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.errors import Blocked, Corrupt
from skinnybox.ext4 import open_descriptor
from skinnybox.masters.lookup import Lookup
from skinnybox.masters.system import image
from skinnybox.masters.system.record import LONGEST, listed, system_in
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

if TYPE_CHECKING:
    from skinnybox.delta.rebase.masters import Files  # the child needs this module, but not that one

_HASHED_PER_SECOND = 20 << 20
_LONGEST = 4200
"""Characters of any text: a path has at most 4095 bytes."""
_KIND = 40


@contextmanager
def planned(
    disk: Path, old: "Files", new: "Files", policy: Policy, images: Sequence[str]
) -> Iterator[Iterator[Decision]]:
    """What a rebase of a machine would do, whose disk this is, and belongs to `images`. Nothing is written.

    Raises Unsettled for a disk whose journal is to be replayed first, Blocked for one that says it belongs to
    others. Entering and the iteration raise Corrupt, also for a disk made to hurt. Left early, the reader is
    stopped.
    """
    with opened(disk) as device, handed(policy_text(policy)) as rules:
        bounds = Bounds(
            memory=2 << 30,
            cpu_seconds=300 + os.fstat(device).st_size // _HASHED_PER_SECOND,
            output=1 << 40,
        )
        files = [device, rules, *old.all, *new.all]
        words = [str(device), str(rules), old.word, new.word]
        with inquire(__name__, words, subject=str(disk), bounds=bounds, pass_fds=files) as answers:
            refuse_unsettled(answers, disk)
            refuse_others(answers, disk, images)
            yield map(checked, answers)


def refuse_others(answers: Iterator[Any], disk: Path, images: Sequence[str]) -> None:
    """What differs from another master than it was made on says nothing."""
    told = next(answers, None)
    if not isinstance(told, list) or not all(type(digest) is str for digest in told):
        raise Corrupt(NO_ANSWER)
    if told != list(images):
        raise Blocked(
            f"{disk} says that it belongs to other images than the machine's record",
            hint="`skinnybox repair --dry-run` says what is known of it",
        )


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    device, rules, *sides = arguments
    policy = as_policy(json.loads(buffered(int(rules)).read()))
    answer(_told(int(device), sides, policy))


def _told(device: int, sides: list[str], policy: Policy) -> Iterator[bool | list[Any]]:
    volume = open_descriptor(device)
    yield volume.superblock.clean
    if not volume.superblock.clean:
        return
    yield images(volume)
    old, new = map(side, sides)
    for each in plan(volume, old, new, policy):
        yield told(each)


def told(found: Decision) -> list[str]:
    """As `checked` takes it."""
    detail = found.detail[:_LONGEST]
    return [found.subject, found.kind, found.fate, found.name, detail, found.standing, found.owner]


def sealed(word: str) -> image.Sealed:
    """The images of it, as one."""
    return image.stacked([int(each) for each in word.split(",")[3:]])


def side(word: str) -> Side:
    """By what Files.word told of it."""
    index, table, system = map(int, word.split(",")[:3])
    text = buffered(system).read(LONGEST)
    return Side(
        system=system_in(text, "the master's system"),
        listed=lambda: listed(text, "the master's system"),
        index=Lookup(index, table),
        source=sealed(word),
    )


def checked(value: Any) -> Decision:
    try:
        subject, kind, fate, name, detail, standing, owner = value
        if not all(type(text) is str and len(text) <= _LONGEST for text in (kind, name, detail, owner)):
            raise ValueError(f"not a decision: {value!r:.80}")
        if len(kind) > _KIND or "\0" in name:
            raise ValueError(f"not a decision: {value!r:.80}")
        return Decision(
            subject=Subject(subject),
            kind=kind,
            fate=Fate(fate),
            name=name,
            detail=detail,
            standing=Standing(standing),
            owner=owner,
        )
    except (ValueError, TypeError) as error:
        raise Corrupt(NO_ANSWER) from error


def policy_text(policy: Policy) -> bytes:
    rules = [[rule.glob, rule.choice] for rule in policy.rules]
    paths = [policy.ours, policy.theirs, policy.take, policy.pin]
    return json.dumps([policy.on_conflict, rules, paths, policy.replay]).encode()


def as_policy(value: Any) -> Policy:
    on_conflict, rules, paths, replay = value
    ours, theirs, take, pin = map(tuple, paths)
    return Policy(
        on_conflict=Choice(on_conflict),
        rules=tuple(Rule(glob=glob, choice=Choice(choice)) for glob, choice in rules),
        ours=ours,
        theirs=theirs,
        take=take,
        pin=pin,
        replay=replay is True,
    )
