"""Alternatives: the database, the links of /etc/alternatives, and the generic names that lead there. The
links follow from the merged database and from nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.alternative_group import Group, is_name, parsed, slaves_of, told
from skinnybox.delta.rebase.records.alternative_merge import Merged, Side, merged
from skinnybox.delta.rebase.records.generic_links import Tree
from skinnybox.delta.rebase.records.sides import MOST_NAMES, SMALL, Made, Sides, made_of, text
from skinnybox.errors import Corrupt
from skinnybox.masters.system.dpkg import FOLDER
from skinnybox.masters.system.source import Source

_FOLDER, _CHOSEN = f"{FOLDER}/alternatives", "etc/alternatives"
_MOST_BYTES = 16 << 20
_WORKING = (".dpkg-tmp", ".dpkg-new")


def made(sides: Sides) -> Iterator[Made]:
    """The links of groups before those that are of none."""
    tree = Tree(sides)
    chosen = {side: source.links(_CHOSEN) for side, source in _sources(sides).items()}
    room = _MOST_BYTES
    names = _names(sides)
    for name in names:
        path = f"{_FOLDER}/{name}"
        three = sides.texts(path)
        room -= len(three.machine or b"")
        if room < 0:
            raise Corrupt(f"/{_FOLDER} has more than {_MOST_BYTES} bytes")
        found = {side: parsed(content, path) for side, content in zip(chosen, three, strict=True)}
        old, new, machine = (Side(found[side], chosen[side].get(name)) for side in chosen)
        after = merged(name, old, new, machine, tree.facts)
        same = after.group is not None and new.group is not None and told(after.group) == told(new.group)
        content = three.new if same else None if after.group is None else told(after.group)
        lost = None if after.lost is None else (name, after.lost)
        yield replace(made_of(path, three.new, content), note=after.note, lost=lost)
        yield from _links(name, after, (old, new, machine), tree, chosen["new"])
    yield from _others(sides, chosen)


def _sources(sides: Sides) -> dict[str, Source]:
    return {"old": sides.old, "new": sides.new, "machine": sides.machine}


def _names(sides: Sides) -> list[str]:
    found = {*sides.new.names(_FOLDER), *sides.machine.names(_FOLDER)}
    if len(found) > MOST_NAMES:
        raise Corrupt(f"/{_FOLDER} has more than {MOST_NAMES} groups")
    return sorted(name for name in found if is_name(name) and not name.endswith(_WORKING))


def _links(
    name: str, after: Merged, before: tuple[Side, Side, Side], tree: Tree, chosen: Mapping[str, str]
) -> Iterator[Made]:
    """Of the group and of its slaves. A slave whose file is not there has no link, as man pages in trees that
    were made without any."""
    wanted = _wanted(name, after, tree)
    names = {name: [side.group.link for side in before if side.group is not None]}
    for side in before:
        for slave, link in slaves_of([side.group]).items():
            names.setdefault(slave, []).append(link)
    where = _where(name, after.group)
    for each, links in names.items():
        target = wanted.get(each)
        path = f"{_CHOSEN}/{each}"
        hidden = target is None and each in chosen
        yield Made(path=path, target=None if target == chosen.get(each) else target, hidden=hidden)
        kept = where.get(each) if target is not None else None
        for link in dict.fromkeys([*links, *([kept] if kept else [])]):
            yield from tree.generic(link, f"/{path}", wanted=link == kept, gone=before[2].group is None)


def _where(name: str, group: Group | None) -> dict[str, str]:
    return {} if group is None else {**group.slaves, name: group.link}


def _wanted(name: str, after: Merged, tree: Tree) -> dict[str, str]:
    """What the links say then."""
    if after.group is None or after.target is None:
        return {}
    choice = after.group.choices.get(after.target)
    slaves = {} if choice is None else choice.slaves
    return {name: after.target, **{slave: to for slave, to in slaves.items() if tree.there(to)}}


def _others(sides: Sides, chosen: Mapping[str, Mapping[str, str]]) -> Iterator[Made]:
    """What lies there and is of no group: somebody's own."""
    for name in sorted({*sides.machine.names(_CHOSEN), *sides.old.names(_CHOSEN)})[:MOST_NAMES]:
        path = f"{_CHOSEN}/{name}"
        if sides.machine.untouched(path):
            continue
        old, new, machine = (_thing(side, path, links) for side, links in _each(sides, chosen))
        found = by_key.chosen(None, old, new, machine)
        if found is None:
            yield Made(path=path, hidden=new is not None)
        elif found == new:
            yield Made(path=path)
        else:
            yield Made(path=path, target=found[0], content=found[1])


def _each(
    sides: Sides, chosen: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[Source, Mapping[str, str]]]:
    for side, source in _sources(sides).items():
        yield source, chosen[side]


def _thing(side: Source, path: str, links: Mapping[str, str]) -> tuple[str | None, bytes | None] | None:
    target = links.get(path.rpartition("/")[2])
    if target is not None:
        return target, None
    content = text(side, path, SMALL)
    return None if content is None else (None, content)
