"""Machines that go on, and back, from a master that had what they had made their own, on real disks."""

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox.delta.rebase.rules import Choice, Policy
from tests.unit.rebased import WHITEOUT, f, l
from tests.unit.rebased_disk import (
    MOVES,
    REMEMBERED,
    TASKS,
    Rebase,
    cache,
    overlay,
    shown,
    without_confinement,
)
from tests.unit.rebased_disk import whole as whole_of
from tests.unit.test_rebase_do_property import (
    MACHINE,
    MASTER,
    NEW,
    Tree,
    bare,
    machines,
    master,
    seen,
)

__all__ = ["cache"]

OURS = Policy(on_conflict=Choice.OURS)


@pytest.fixture
def chain(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> "Chain":
    without_confinement(monkeypatch)
    return Chain(tmp_path, cache, monkeypatch)


class Chain:
    """A machine that goes from master to master."""

    def __init__(self, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.cache, self.monkeypatch = folder, cache, monkeypatch
        self.told: list[object] = []

    def of(self, upper: Tree, *masters: Tree, policy: Policy = OURS) -> Tree:
        """What its upper directory has in the end. Accounts change places each time."""
        disk = self.folder / "old.img"
        disk.unlink(missing_ok=True)
        overlay(disk, self.cache, upper)
        systems = itertools.cycle((MACHINE, NEW))
        before = next(systems)
        after: Tree = {}
        for old, new in itertools.pairwise(masters):
            now = next(systems)
            rebase = Rebase(self.folder, self.monkeypatch, policy, (before, now))
            after, self.told = rebase.of(disk, old, new)
            assert len(self.told) == 3, self.told
            (self.folder / "new.img").rename(disk)
            before = now
        return {path: replace(t, mtime_ns=0) for path, t in after.items()}


def test_forth_and_back_on_a_disk(chain: Chain) -> None:
    one = {
        b"srv/a": f("1", uid=101),
        b"srv/gone": f("1"),
        b"opt/x/y": f("1"),
        b"srv/link": l("1"),
        b"s/n": f("1"),
    }
    mine = {b"srv/a": f("2", uid=101), b"srv/gone": WHITEOUT, b"opt/x": WHITEOUT, b"srv/link": l("2")}
    two = {b"srv/a": f("2", uid=102), b"srv/link": l("2"), b"new": f("2"), b"s/n": f("2")}
    after = chain.of(mine, one, two)
    assert set(shown(after)) == {REMEMBERED, TASKS, MOVES}
    assert after[REMEMBERED].mode == 0o600
    after = chain.of(mine, one, two, one)
    assert {path: bare(t) for path, t in shown(after).items() if path not in (TASKS, MOVES)} == {
        path: bare(t) for path, t in mine.items()
    }


def test_what_is_like_no_master_in_all_but_its_owner(chain: Chain) -> None:
    """Its account is another's number in the second master, whose file is that account's by chance."""
    one = {b"srv/a": f("333", mode=0o600, uid=102)}
    after = chain.of({b"srv/a": f("1", uid=101)}, one, one, one)
    assert bare(after[b"srv/a"]) == f("1", uid=101)


def test_a_file_that_is_damaged_is_told_and_costs_nothing_else(chain: Chain) -> None:
    one, two = {b"srv/a": f("1")}, {b"srv/a": f("2")}
    after = chain.of({REMEMBERED: f("nonsense"), b"srv/a": f("2")}, one, two)
    assert ["file", "identity", "report", "clean", 1] in chain.told[0]  # type: ignore[operator]
    assert after[REMEMBERED].content.startswith(b"skinnybox-converged 1\n")


@pytest.mark.parametrize(
    "examples", [6, pytest.param(400, marks=[pytest.mark.full, pytest.mark.timeout(7200)])]
)
def test_forth_and_back_is_the_identity(
    examples: int, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> None:
    """Of random machines on random masters, in what they see of what they had made their own."""

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=st.data())
    def holds(case: st.DataObject) -> None:
        one, two = (whole_of(master(case.draw(MASTER, name))) for name in ("one", "two"))
        upper = case.draw(machines(one), "upper")
        with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
            without_confinement(monkeypatch)
            after = Chain(Path(folder), cache, monkeypatch).of(upper, one, two, one)
        before = dict(seen(upper, one))
        now = dict(seen(after, one))
        changed = {
            path
            for path in {*before, *one}
            if path and before.get(path) != (bare(one[path]) if path in one else None)
        }
        differing = {
            path: (before.get(path), now.get(path)) for path in changed if before.get(path) != now.get(path)
        }
        # A folder goes with the master that had it, but for what is in it.
        filled = {path.rpartition(b"/")[0] for path in before}
        folders = {path for path, t in before.items() if t.type == "d"}
        gone = {path for path in differing if path not in folders or (path in filled and path not in now)}
        assert not gone

    holds()
