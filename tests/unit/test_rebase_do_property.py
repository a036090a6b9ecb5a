"""Random machines on random masters, rebased on real disks: what is seen afterwards is what a simple model of
three trees says, which knows nothing of edits, marks and whiteouts."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox.delta.rebase.rules import Choice, Policy
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, a_system, d
from tests.unit.rebased_disk import ORIGIN, Rebase, is_left, overlay, whole, without_confinement

NAMES = (b"a", b"b\n", b'"c', b"d\\", b"<12>", b"-w \xff")
FOLDERS = (b"srv", b"srv/D", b"opt", b"srv/D/E\xff")
PATHS = tuple(folder + b"/" + name for folder in FOLDERS for name in NAMES)
LINKS = tuple(folder + b"/link" for folder in FOLDERS)
# Two accounts change places, and one that the new master has not gets another number.
NUMBERS = {0: 0, 101: 102, 102: 101, 500: 500}
MACHINE = a_system(manager=None, users={"x": 101, "y": 102})
NEW = a_system(manager=None, users={"x": 102, "y": 101})

FILE = st.builds(
    Thing,
    content=st.sampled_from((b"1", b"2", b"3" * 5000)),
    mode=st.sampled_from((0o644, 0o600, 0o4755)),
    uid=st.sampled_from((0, 101, 102)),
)
LINK = st.builds(
    Thing,
    type=st.just("l"),
    content=st.sampled_from((b"1", b"2\n", b"3" * 3000)),
    mode=st.just(0o777),
    uid=st.sampled_from((0, 101)),
)
FOLDER = st.builds(
    Thing, type=st.just("d"), mode=st.sampled_from((0o755, 0o700)), uid=st.sampled_from((0, 101))
)
MASTER = st.tuples(
    st.dictionaries(st.sampled_from(PATHS), FILE, max_size=8),
    st.dictionaries(st.sampled_from(LINKS), LINK, max_size=2),
    st.dictionaries(st.sampled_from(FOLDERS), FOLDER),
)
Tree = dict[bytes, Thing]


def below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/") if folder else bool(path)


def children(tree: Mapping[bytes, Thing], folder: bytes) -> set[bytes]:
    return {path for path in tree if path and path.rpartition(b"/")[0] == folder}


def master(found: tuple[Tree, Tree, Tree]) -> Tree:
    files, links, folders = found
    files = files | links
    return whole({**{path: t for path, t in folders.items() if any(below(f, path) for f in files)}, **files})


@st.composite
def machines(draw: st.DrawFn, old: Tree) -> Tree:
    """An upper directory as overlayfs leaves it: whiteouts only over what the old master has, and none in
    what hides it all."""
    upper: Tree = dict(draw(st.dictionaries(st.sampled_from(PATHS), FILE, max_size=6)))
    upper |= draw(st.dictionaries(st.sampled_from(LINKS), LINK, max_size=2))
    for path in draw(st.lists(st.sampled_from(sorted(old)), max_size=4)) if old else ():
        t = old[path]
        if path and path.count(b"/"):
            other = replace(t, uid=102) if t.type == "l" else replace(t, mode=0o640)
            upper[path] = draw(st.sampled_from((WHITEOUT, t, other)))
    for path in draw(st.lists(st.sampled_from(FOLDERS[1:]), max_size=2)):
        upper[path] = d(
            draw(st.sampled_from((0o755, 0o700))), xattrs=OPAQUE, uid=draw(st.sampled_from((0, 102)))
        )
    hiding = [path for path, t in upper.items() if t.type != "d"]
    upper = {path: t for path, t in upper.items() if not any(below(path, one) for one in hiding)}
    opaque = [path for path, t in upper.items() if OPAQUE.items() <= t.xattrs.items()]
    cut = {path for path, t in upper.items() if t == WHITEOUT and any(below(path, one) for one in opaque)}
    upper = {path: t for path, t in upper.items() if path not in cut}
    for path in upper:
        folder = path.rpartition(b"/")[0]
        while folder:
            upper = {**upper} if folder in upper else {**upper, folder: old.get(folder, d())}
            folder = folder.rpartition(b"/")[0]
    return whole({path: _bound(path, t, old) for path, t in upper.items() if path})


def _bound(path: bytes, t: Thing, old: Tree) -> Thing:
    """As copied up from the old master."""
    return replace(t, xattrs={**t.xattrs, **ORIGIN}) if path in old and t != WHITEOUT else t


def seen(
    upper: Tree, lower: Tree, folder: bytes = b"", hidden: bool = False
) -> Iterator[tuple[bytes, Thing]]:
    """What overlayfs shows."""
    here = upper.get(folder)
    hidden = hidden or (here is not None and here.xattrs.get("trusted.overlay.opaque") == b"y")
    for path in children(upper, folder) | (set() if hidden else children(lower, folder)):
        mine, theirs = upper.get(path), None if hidden else lower.get(path)
        if mine == WHITEOUT:
            assert theirs is not None, f"a whiteout over nothing is seen: {path!r}"
            continue
        t = mine or theirs
        assert t is not None
        yield path, bare(t)
        if t.type == "d":
            solid = theirs is None or theirs.type != "d"
            yield from seen({} if mine is None else upper, lower, path, hidden or solid)


def bare(t: Thing) -> Thing:
    return Thing(t.type, t.content, t.mode, t.uid)


def moved(t: Thing) -> Thing:
    return replace(bare(t), uid=NUMBERS[t.uid])


class Expected:
    """The model: three trees, folder by folder."""

    def __init__(self, upper: Tree, old: Tree, new: Tree, theirs: bool) -> None:
        self.upper, self.theirs = upper, theirs
        self.old = {path: moved(t) for path, t in old.items()}
        self.new = {path: bare(t) for path, t in new.items()}

    def folder(self, at: bytes) -> Iterator[tuple[bytes, Thing]]:
        for path in children(self.upper, at) | children(self.new, at):
            yield from self.one(path)

    def one(self, path: bytes) -> Iterator[tuple[bytes, Thing]]:
        mine, old, new = self.upper.get(path), self.old.get(path), self.new.get(path)
        if mine is None:
            yield from self.whole_new(path)
        elif mine == WHITEOUT:
            if self.theirs and self.changed(path):
                yield from self.whole_new(path)
        elif mine.type == "d":
            yield from self.of_folder(path, mine)
        else:
            found = self.three_way(moved(mine), old, new)
            if found is not None:
                yield path, found

    def whole_new(self, path: bytes) -> Iterator[tuple[bytes, Thing]]:
        yield from ((p, t) for p, t in self.new.items() if p == path or below(p, path))

    def changed(self, path: bytes) -> bool:
        """Whether the new master has anything there, or below, that is otherwise than before."""
        for p, t in self.new.items():
            if p == path or below(p, path):
                before = self.old.get(p)
                if before != t and (before is not None or t.type != "d"):
                    return True
        return False

    def three_way(self, mine: Thing, old: Thing | None, new: Thing | None) -> Thing | None:
        """Content, mode and owner each alone."""
        if new is None:
            if old is None:
                return mine
            return None if old == mine or self.theirs else mine
        if old is None:
            return new if self.theirs else mine
        parts = [
            (n if m == o else m if n in (o, m) else None)
            for m, o, n in (
                (getattr(t, name) for t in (mine, old, new)) for name in ("content", "mode", "uid")
            )
        ]
        if None in parts:
            return new if self.theirs else mine
        return Thing(mine.type, parts[0], parts[1], parts[2])  # type: ignore[arg-type]

    def of_folder(self, path: bytes, mine: Thing) -> Iterator[tuple[bytes, Thing]]:
        old, new = self.old.get(path), self.new.get(path)
        opaque = mine.xattrs.get("trusted.overlay.opaque") == b"y" and old is not None
        if opaque:
            own = {p: t for p, t in self.upper.items() if below(p, path)}
            shown = {p: moved(t) for p, t in own.items()}
            if self.theirs and any(below(p, path) and self.changed(p) for p in self.new):
                shown = {p: t for p, t in self.new.items() if below(p, path)} | shown
        else:
            shown = dict(self.folder(path))
        if old is None or new is not None or shown:
            self_ = moved(mine) if new is None else self.three_way(moved(mine), old, new)
            assert self_ is not None
            yield path, self_
        yield from shown.items()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def rebased(
    case: st.DataObject, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tree, Tree, Tree]:
    """A random machine after its rebase, into new.img: its upper directory, the new master, and what the
    model says is seen."""
    old, new = master(case.draw(MASTER, "old")), master(case.draw(MASTER, "new"))
    upper = case.draw(machines(old), "upper")
    theirs = case.draw(st.booleans(), "theirs")
    disk = folder / "old.img"
    disk.unlink(missing_ok=True)
    overlay(disk, cache, upper)
    policy = Policy(on_conflict=Choice.THEIRS if theirs else Choice.OURS)
    after, told = Rebase(folder, monkeypatch, policy, (MACHINE, NEW)).of(disk, old, new)
    assert len(told) == 3, told
    return after, whole(new), dict(Expected(upper, old, new, theirs).folder(b""))


@pytest.mark.parametrize(
    "examples", [8, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(7200)])]
)
def test_a_machine_is_what_a_simple_model_says(
    examples: int, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=st.data())
    def holds(case: st.DataObject) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
            without_confinement(monkeypatch)
            after, new, wanted = rebased(case, Path(folder), cache, monkeypatch)
        assert not any(name in t.xattrs for t in after.values() for name in ORIGIN)
        assert {path: t for path, t in seen(after, new) if not is_left(path)} == wanted

    holds()
