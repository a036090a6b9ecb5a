"""Random machines on random masters: what is told is what a walk of both trees finds, merged by a model that
knows nothing of joins; against the master, and of two machines against each other."""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta import against, whose
from skinnybox.delta.as_seeded import encode
from skinnybox.delta.telling import change_checked, facts_checked
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import write_index
from skinnybox.model import Change, ChangeKind
from tests.unit import rebased_disk
from tests.unit.looked import Looking, deb, installed
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, d, f, l
from tests.unit.rebased_disk import Model, entry, overlay, whole, without_confinement

cache = rebased_disk.cache
Tree = dict[bytes, Thing]
FOLDERS = (b"etc", b"etc/a", b"etc/a/b", b"usr", b"usr/share", b"etc-x")
NAMES = (b"f", b"g\n", b"h\xff", b"a", b"b", b"share")
TIME = 5


def _thing(draw: random.Random) -> Thing:
    mode, uid = draw.choice((0o644, 0o755)), draw.choice((0, 0, 7))
    xattrs = draw.choice(({}, {}, {"user.x": b"1"}))
    match draw.randrange(5):
        case 0:
            return l(draw.choice(("x", "y", "longer")), mtime_ns=TIME)
        case 1:
            return d(draw.choice((0o755, 0o700)), uid=uid)
        case _:
            return f(draw.choice(("", "1", "2", "33")), mode=mode, uid=uid, xattrs=xattrs, mtime_ns=TIME)


def _tree(draw: random.Random, base: Mapping[bytes, Thing] | None = None) -> Tree:
    """A master; or, over one, an upper directory."""
    tree: Tree = {}
    for _ in range(draw.randrange(1, 14)):
        folder = draw.choice(FOLDERS)
        path = draw.choice((folder, folder + b"/" + draw.choice(NAMES)))
        thing = _thing(draw)
        if base is not None:
            here = base.get(path)
            thing = draw.choice([thing, WHITEOUT, *([here] * 2 if here is not None else [])])
            if thing.type == "d" and draw.random() < 0.3:
                thing = d(thing.mode, uid=thing.uid, xattrs=OPAQUE)
        tree[path] = thing
    # Nothing lies below what is no folder.
    bad = [path for path in tree if any(_is_below(path, o) and t.type != "d" for o, t in tree.items())]
    return {path: thing for path, thing in tree.items() if path not in bad}


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/") if folder else bool(path)


def _merged(lower: Tree, upper: Tree) -> Tree:
    """What overlayfs shows: written down from its documentation, and nothing else."""
    hiding = {path for path, t in upper.items() if path and (t.type != "d" or t.xattrs.get(_MARK) == b"y"
              or (path in lower and lower[path].type != "d"))}  # fmt: skip
    seen = {
        path: thing
        for path, thing in lower.items()
        if path not in upper and not any(_is_below(path, folder) for folder in hiding)
    }
    return seen | {path: thing for path, thing in upper.items() if thing != WHITEOUT}


_MARK = "trusted.overlay.opaque"


@dataclass(frozen=True)
class Facts:
    """Of one name, what two sides are told apart by."""

    type: str
    content: bytes
    mode: int
    owner: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]
    time: int


def _facts(thing: Thing, *, times: bool) -> Facts:
    link = thing.type == "l"
    xattrs = tuple(sorted((n, v) for n, v in thing.xattrs.items() if not n.startswith("trusted.overlay.")))
    time = thing.mtime_ns if times and thing.type != "d" else 0
    return Facts(thing.type, thing.content, 0 if link else thing.mode, (thing.uid, thing.gid), xattrs, time)


def _walked(before: Tree, after: Tree, *, times: bool) -> dict[bytes, str]:
    """By path what differs, the plain way."""
    found: dict[bytes, str] = {}
    for path in before.keys() | after.keys():
        a, b = after.get(path), before.get(path)
        if a is None or b is None:
            found[path] = "deleted" if a is None else "added"
            continue
        new, old = _facts(a, times=times), _facts(b, times=times)
        if new != old:
            kinds = {True: "modified", False: "metadata"}
            found[path] = "type" if new.type != old.type else kinds[new.content != old.content]
    return found


def _told(changes: list[Change], before: Tree) -> dict[bytes, str]:
    """A folder that is gone, or is none any more, stands for all that was in it."""
    found: dict[bytes, str] = {}
    for change in changes:
        if change.kind is ChangeKind.SAME:
            continue
        assert change.path not in found, "told twice"
        found[change.path] = str(change.kind)
        if change.kind in (ChangeKind.DELETED, ChangeKind.TYPE):
            found |= {
                path: "deleted" for path in before if _is_below(path, change.path) and path not in found
            }
    return found


def _compare_with_a_walk(looking: Looking, seed: int) -> None:
    draw = random.Random(seed)
    lower = whole(_tree(draw))
    upper = whole(_tree(draw, lower))
    changes = list(looking.at(lower, upper).changes)
    assert _told(changes, lower) == _walked(lower, _merged(lower, upper), times=True), seed
    order = [change.path.replace(b"/", b"\0") for change in changes]
    assert order == sorted(order), seed
    same = {change.path for change in changes if change.kind is ChangeKind.SAME}
    kept = {p for p, t in upper.items() if t.type in "-l" and p in lower and _facts(t, times=True) == _facts(
        lower[p], times=True)}  # fmt: skip
    assert same == kept, seed


@pytest.fixture
def looking(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Looking:
    without_confinement(monkeypatch)
    return Looking(folder=tmp_path, cache=cache, patch=monkeypatch)


def test_what_is_told_is_what_a_walk_of_both_trees_finds(looking: Looking) -> None:
    for seed in range(6):
        _compare_with_a_walk(looking, seed)


@pytest.mark.full
@pytest.mark.parametrize("chunk", range(8))
def test_what_is_told_is_what_a_walk_finds_of_many(looking: Looking, chunk: int) -> None:
    for seed in range(1000 * (chunk + 1), 1000 * (chunk + 1) + 60):
        _compare_with_a_walk(looking, seed)


def _against(
    looking: Looking, sides: list[tuple[Tree, Tree]], then: Callable[[Path], object] = lambda disk: None
) -> list[Change]:
    """Two machines, each an upper over a lower, as the confined process tells of them. `then` does something
    to each disk first."""
    models: dict[int, Model] = {}
    looking.patch.setattr(whose, "opened", lambda descriptor: models[descriptor])
    files: list[list[int]] = []
    for number, (lower, upper) in enumerate(sides):
        disk, lines = (looking.folder / f"{name}{number}" for name in ("disk", "index"))
        disk.unlink(missing_ok=True)
        overlay(disk, looking.cache, upper)
        then(disk)
        write_index((entry(path, thing) for path, thing in lower.items()), lines)
        seed, system = os.memfd_create("seed"), os.memfd_create("system")
        os.write(seed, encode({}))
        os.lseek(seed, 0, os.SEEK_SET)
        opened = [os.open(path, os.O_RDONLY) for path in (disk, lines, disk)]
        files.append([*opened, system, seed])
        models[opened[2]] = Model(lower)
    answers = iter(list(against._told(files[0], files[1])))
    for each in files:
        for descriptor in each[:4]:
            os.close(descriptor)
    assert [next(answers), next(answers)] == [True, True]
    list(facts_checked(answers))
    return [change_checked(value)[0] for value in answers]


def _compare_two(looking: Looking, seed: int) -> None:
    draw = random.Random(seed)
    lower = whole(_tree(draw))
    other = lower if draw.random() < 0.5 else whole(_tree(draw))
    one, two = whole(_tree(draw, lower)), whole(_tree(draw, other))
    found = {c.path: str(c.kind) for c in _against(looking, [(lower, one), (other, two)])}
    assert found == _walked(_merged(other, two), _merged(lower, one), times=False), seed


def test_two_machines_differ_as_a_walk_of_both_finds(looking: Looking) -> None:
    for seed in range(4):
        _compare_two(looking, seed)


@pytest.mark.full
@pytest.mark.parametrize("chunk", range(8))
def test_two_machines_differ_as_a_walk_finds_of_many(looking: Looking, chunk: int) -> None:
    for seed in range(1000 * (chunk + 1), 1000 * (chunk + 1) + 40):
        _compare_two(looking, seed)


HUGE = 5 << 40


def _grown(disk: Path) -> None:
    """A file of terabytes, which holds next to nothing."""
    run.run(["debugfs", "-w", "-R", f"set_inode_field upper/usr/huge size {HUGE}", disk])


def _refuse_huge(looking: Looking) -> None:
    read = Volume.read

    def refused(volume: Volume, node: Node, limit: int | None = None) -> Iterator[bytes]:
        assert node.size < HUGE, "all of it is read"
        return read(volume, node, limit)

    looking.patch.setattr(Volume, "read", refused)


def test_files_that_hold_nothing_cost_nothing(looking: Looking) -> None:
    _refuse_huge(looking)
    for other, told in (("1", {}), ("2", {b"usr/huge": "modified"})):
        sides: list[tuple[Tree, Tree]] = [({}, {b"usr/huge": f(text * 9000)}) for text in ("1", other)]
        assert {c.path: str(c.kind) for c in _against(looking, sides, _grown)} == told


def test_neither_do_sums_that_a_guest_wrote_down_of_such_files(looking: Looking) -> None:
    _refuse_huge(looking)
    own = deb("own", **{"usr/huge": "1"})
    lower = whole(installed(deb("base")))
    upper = {**own.tree(), b"var/lib/dpkg/status": f(deb("base").stanza() + own.stanza())}
    found = {c.path: c for c in _against(looking, [(lower, whole(upper)), (lower, {b"": d()})], _grown)}
    assert not found[b"usr/huge"].folded and found[b"usr/bin/own"].folded


def test_what_one_of_two_machines_installed_is_its_package(looking: Looking) -> None:
    base, own = deb("base"), deb("own")
    lower = whole(installed(base))
    status = {b"var/lib/dpkg/status": f(base.stanza() + own.stanza())}
    planted = {b"usr/bin/x": f("x", mode=0o755), b"usr/bin/own": f("not that", mode=0o755)}
    found = {
        c.path: c
        for c in _against(looking, [(lower, whole({**own.tree(), **status, **planted})), (lower, {b"": d()})])
    }
    shown = {path for path, change in found.items() if not change.folded}
    assert shown == set(planted)
    assert {change.package for change in found.values() if change.folded} == {"own", ""}
