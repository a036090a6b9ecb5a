"""The whole plan of one machine, in the order in which it is decided. For the confined child of planning.py.

Held are packages, accounts, and the paths of packages that the machine itself changed; all else goes by.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from skinnybox.delta.rebase import (
    accounts,
    chosen,
    converged,
    databases,
    files,
    keyed,
    machine,
    owners,
    packages,
    relations,
    replay,
    services,
    subordinate,
)
from skinnybox.delta.rebase.context import Context, file
from skinnybox.delta.rebase.dangling import Dangling
from skinnybox.delta.rebase.diverted import Diverted
from skinnybox.delta.rebase.merged_source import UPPER, Merged
from skinnybox.delta.rebase.owners import Listed
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.streams import Index
from skinnybox.delta.rebase.upper_reader import UpperReader
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, PackageClass, Standing, Subject
from skinnybox.errors import Unsupported
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.accounts import MOST_BYTES
from skinnybox.masters.index import Line
from skinnybox.masters.system.compare import names
from skinnybox.masters.system.source import Notes, Source, bytes_of
from skinnybox.masters.system.source import text_of as path_text
from skinnybox.masters.system.values import System

_WINNER = {
    Choice.OURS: Fate.KEEP, Choice.PIN: Fate.KEEP,
    Choice.THEIRS: Fate.TAKE, Choice.TAKE: Fate.TAKE,
}  # fmt: skip
_RANGES = ("etc/subuid", "etc/subgid")
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One master: what it consists of, the paths of its packages by key, its index, its content."""

    system: System
    listed: Callable[[], Listed]
    index: Index[Line]
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is settled before any path is looked at; whoever carries the plan out goes by the same. `wants`
    are the old master's, the new one's and the machine's."""

    context: Context[Node]
    source: Merged
    wants: tuple[services.Wants, services.Wants, services.Wants]
    notes: Notes


def plan(volume: Volume, old: Side, new: Side, policy: Policy) -> Iterator[Decision]:
    """Raises Corrupt, as reading any of them does."""
    ground, told = settle_ground(volume, old, new, policy)
    yield from told
    if ground is not None:
        yield from by_path(volume, old, new, ground)


def settle_ground(
    volume: Volume, old: Side, new: Side, policy: Policy
) -> tuple[Ground | None, list[Decision]]:
    """With what is decided about it: packages, accounts and services. None where nothing else can be said."""
    notes = Notes()
    source = Merged(volume, old.source)
    policy = replace(policy, databases=databases.of_machine(source))
    system = machine.system_of(source, old.system, notes)
    if refused := another_release(old.system, new.system, system, policy):
        return None, [refused]
    settled, of_packages = _packages((old, new), (source, system), policy)
    every = [*of_packages]
    owned, told = _owners(old, new, (source, system), settled, notes)
    every += told
    if any(each.touched for each in settled.values()):
        theirs, mine = (relations.related(each, notes) for each in (new.source, source))
        every += relations.decisions(settled, theirs, mine)
    ownership, about = accounts.ownership(old.system.accounts, new.system.accounts, system.accounts)
    every += about
    three = (old.source, new.source, source)
    every += _by_account(three, ownership, policy)
    every += _subordinate(three)
    wants = services.wants(old.system), services.wants(new.system), services.wants(system)
    every += services.decisions(*wants, services.masked(source))
    if not policy.replay:
        every += chosen.decisions(three, wants, old.system, (settled, owned), policy)
    remembered = converged.read(source.read(converged.PATH, converged.MOST_BYTES + 1), ownership)
    if remembered is None:
        every.append(_forgotten("it is not what was written there"))
    diverted = Diverted.of(old.system, system, source)
    dangling = _dangling(three, owned, policy, diverted) if policy.replay else None
    context = Context[Node](
        reader=UpperReader(volume), packages=settled, owners=owned, ownership=ownership, policy=policy,
        old_text=partial(_text, old.source), new_text=partial(_text, new.source),
        converged=remembered or converged.Converged(),
        dangling=dangling, diverted=diverted,
    )  # fmt: skip
    return Ground(context=context, source=source, wants=wants, notes=notes), every


def _subordinate(sources: tuple[Source, Source, Merged]) -> Iterator[Decision]:
    """Of the ids that accounts may give away in user namespaces."""
    for path in _RANGES:
        sides = (subordinate.ranges(side.read(path, _SMALL) or b"") for side in sources)
        yield from subordinate.decisions(f"/{path}", *sides)


def _dangling(
    sides: tuple[Source, Source, Merged], owned: owners.Owners, policy: Policy, diverted: Diverted
) -> Dangling:
    old, new, machine = sides
    return Dangling(machine=machine, old=old, new=new, owners=owned, policy=policy, diverted=diverted.places)


def by_path(volume: Volume, old: Side, new: Side, ground: Ground) -> Iterator[Decision]:
    """All paths, and what there is to tell when all of them went by."""
    context = ground.context
    yield from _files(volume, old, new, context)
    yield from context.strangers.decisions()
    yield from context.remains.decisions()
    if context.converged.left_out:
        yield _forgotten(f"{context.converged.left_out} paths more than fit")
    yield from context.bound.decisions(_afterwards(context.packages.values()))
    for line in ground.notes.told:
        yield _note(line)


def _by_account(
    sides: tuple[Source, Source, Merged], owners: accounts.Ownership, policy: Policy
) -> Iterator[Decision]:
    for form in keyed.FORMS:
        if sides[2].untouched(form.path):
            continue
        old, new, machine = (side.read(form.path, MOST_BYTES) or b"" for side in sides)
        by_policy = _WINNER.get(policy.choice(form.path.encode()), Fate.ASK)
        yield from keyed.decisions(form, old, new, machine, owners, by_policy)


def another_release(old: System, new: System, machine: System, policy: Policy) -> Decision | None:
    """Inside one release this is a merge. Across two no merge ends well: packages have to be installed. Also
    of a machine that was upgraded to another by hand."""
    before, after, now = (
        tuple(each.release.get(key, "") for key in ("id", "version_id")) for each in (old, new, machine)
    )
    if policy.replay:
        why = replay.refused(old, new, machine)
        return None if why is None else _of_release(after, why)
    if before == after == now:
        return None
    who = "the machine" if before == now else "the machine was upgraded by hand, and"
    why = f"{who} is {' '.join(now)}: its packages have to be installed again, as --replay does"
    return _of_release(after, why)


def _of_release(release: tuple[str, ...], why: str) -> Decision:
    return Decision(
        subject=Subject.RELEASE,
        kind="another release",
        fate=Fate.ASK,
        name=" ".join(release),
        detail=why,
        standing=Standing.BLOCKED,
    )


def _packages(
    masters: tuple[Side, Side], of_machine: tuple[Merged, System], policy: Policy
) -> tuple[dict[str, Settled], Iterable[Decision]]:
    """Of whatever family: a machine that has its master's packages gets the new one's with their files."""
    old, new = (side.system for side in masters)
    source, system = of_machine
    same = machine.same_packages(source) and not policy.replay
    reason = None if same else packages.unreadable(old, new, system)
    if reason is not None:
        blocked = Decision(
            subject=Subject.PACKAGE,
            kind=PackageClass.UNREAD,
            fate=Fate.ASK,
            name="packages",
            detail=reason,
            standing=Standing.BLOCKED,
        )
        return {}, [blocked]
    found = packages.versions(old, new, system)
    on_hold = _WINNER.get(policy.on_conflict, Fate.ASK)
    if policy.replay:
        anew = {each.name: replay.settled(each) for each in found}
        return anew, replay.decisions(anew, replay.asked(source), system, on_hold)
    settled = {each.name: packages.settled(each, on_hold) for each in found}
    return settled, packages.decisions(settled)


def _owners(
    old: Side, new: Side, of_machine: tuple[Merged, System], settled: dict[str, Settled], notes: Notes
) -> tuple[owners.Owners, Iterable[Decision]]:
    source, system = of_machine
    called = names(old.system, new.system, system)

    def by_name(side: Side) -> Listed:
        return ((called.get(key, key), paths) for key, paths in side.listed())

    wanted = machine.touched(settled)
    left = machine.left_behind(source, system, settled)
    if not any(each.touched for each in settled.values()):
        return owners.with_left({}, left), ()
    owned = owners.owners(
        settled,
        old=by_name(old),
        new=by_name(new),
        machine=machine.listed(source, system, wanted, notes),
        md5=machine.Sums(source, wanted, notes).of,
    )
    owned = owners.with_left(owned, left)
    return owned, owners.two_owners(owned, settled, old=lambda: by_name(old), new=by_name(new))


def _files(volume: Volume, old: Side, new: Side, context: Context[Node]) -> Iterator[Decision]:
    """With what could not be walked: nobody knows what is there."""
    unread: list[Decision] = []

    def cut(path: bytes, why: str) -> None:
        name = path_text(path)
        unread.append(
            Decision(
                subject=Subject.FILE,
                kind=FileClass.UNREAD,
                fate=Fate.ASK,
                name=name,
                detail=why,
                standing=Standing.BLOCKED,
            )
        )

    yield from files.decisions(volume.walk(UPPER, cut), old.index, new.index, context)
    yield from unread


def _text(source: Source, path: bytes, limit: int) -> bytes | None:
    """Of a master's file; of an image that is not read here none, and what needs it is in dispute."""
    try:
        found = source.read(path_text(path), limit + 1)
    except Unsupported:
        return None
    return found if found is not None and len(found) <= limit else None


def _afterwards(settled: Iterable[Settled]) -> Iterator[tuple[str, str]]:
    """The packages that are there then."""
    for each in settled:
        after = each.versions.new if each.fate is Fate.TAKE else each.versions.machine
        if after is not None and each.fate is not Fate.HIDE:
            yield after.name, after.version


def _forgotten(why: str) -> Decision:
    """What the machine changed is not known any more where its master has the same: a later one's counts."""
    return file(bytes_of(converged.PATH), FileClass.IDENTITY, Fate.REPORT, f"not all is remembered: {why}")


def _note(line: str) -> Decision:
    """Whoever goes on without what he could not read takes a package for removed that is there."""
    return Decision(
        subject=Subject.PACKAGE,
        kind=PackageClass.UNREAD,
        fate=Fate.ASK,
        name="the machine",
        detail=f"not understood: {line}",
        standing=Standing.BLOCKED,
    )
