"""Random sets of packages, as dpkg and apt leave them in a machine, on random masters, rebased on real disks:
which package there is in which version, what dpkg and apt say of it, its files and its settings are what a
simple model says, which is written from docs/how-to/rebase.md ("What decides") and shares no code with it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.masters.system.values import System
from tests.unit.package_sets import INFO, MARKS, NAMES, PLACES, STATUS, Case, Entry, State, Tree, cases
from tests.unit.rebased import WHITEOUT, Thing, a_package, a_system, f, md5
from tests.unit.rebased_disk import Rebase, cache, overlay, without_confinement

__all__ = ["cache"]

OURS = Policy(on_conflict=Choice.OURS)


class Expected:
    """What docs/how-to/rebase.md says, where the machine wins what is in dispute."""

    def __init__(self, case: Case) -> None:
        self.case, self.old, self.new, self.machine = case, case.old, case.new, case.machine

    def side(self, name: str) -> State | None:
        """Whose version there is; None of one that the machine removed."""
        old, new, mine = (each.version(name) for each in (self.old, self.new, self.machine))
        if self._is_held(name):
            return self.machine
        if mine == old:
            return self.new  # "the machine did not touch"
        if mine is None:
            return None  # "removed stays so"
        if new is None or new == old:
            return self.machine  # "only the machine installed, upgraded"
        return self.machine if mine > new else self.new  # "the later version stays"

    def entry(self, name: str) -> Entry | None:
        """ "the version that is there. One whose version changed under the machine is `unpacked`, with the
        version that was configured before. Holds stay"."""
        side, mine = self.side(name), self.machine.status.get(name)
        if side is None or side is self.machine:
            return mine
        theirs = self.new.status.get(name)
        if theirs is None:
            return mine if self.machine.version(name) is None else None
        if mine is None:
            return theirs
        if mine.came == "installed" and mine.version == theirs.version:
            return theirs._replace(want=mine.want)
        want = mine.want if mine.came == "installed" else theirs.want
        return Entry(want, "unpacked", theirs.version, mine.version)

    def automatic(self, name: str) -> bool:
        """ "what you asked for stays asked for, also where the new master brings it"."""
        old, new, mine = (name in each.automatic for each in (self.old, self.new, self.machine))
        if self.side(name) is self.machine:
            return mine
        if self.machine.version(name) is None:
            return new
        if self.old.version(name) is None:
            return mine and new
        return new if mine == old else mine

    def files(self, name: str) -> Tree:
        """Those of its version, and what dpkg knows of it."""
        entry, side = self.entry(name), self.side(name)
        if entry is None:
            return {}
        whose = self.machine if side is None or name not in side.status else side
        told = {path: whose.files[path] for path in _info(name) if path in whose.files}
        return told | (self.case.archive[name, entry.version].files if entry.came != "config-files" else {})

    def setting(self, path: str, name: str) -> str | None:
        side, version = self.side(name), self.machine.version(name)
        old, new, mine = (each.files.get(path) for each in (self.old, self.new, self.machine))
        if side is self.machine:
            return mine
        brought = {} if version is None else self.case.archive[name, version].conffile
        if mine is not None and brought.get(path) == mine:
            return new  # as its package brought it: "the files of a package go its way"
        if old is None:
            left = self.machine.conffiles.get(name, {}).get(path)
            as_left = version is None and mine is not None and md5(mine.encode()) == left
            return new if mine is None or (as_left and new is not None) else mine  # as dpkg does it
        return new if mine == old else mine

    def disputed(self) -> set[str]:
        """Packages on hold, and settings that both sides have otherwise, of packages that are there."""
        found = {name for name in NAMES if self._is_held(name)}
        for name in NAMES:
            path = f"etc/{name}.conf"
            old, new = self.old.files.get(path), self.new.files.get(path)
            if self.side(name) is self.new and self.setting(path, name) != new != old:
                found.add(path)
        return found

    def _is_held(self, name: str) -> bool:
        """ "a package on hold whose version the new master has otherwise, or no more"."""
        entry, new = self.machine.status.get(name), self.new.version(name)
        if entry is None or entry.want != "hold" or new == entry.version:
            return False
        return new is not None or self.old.version(name) == entry.version

    def whole(self) -> Tree:
        found = {path: content for path, content in self.new.files.items() if path.split("/")[0] != "var"}
        for name in NAMES:
            found = {path: content for path, content in found.items() if not _is_of(path, name)}
            found |= self.files(name)
            setting = self.setting(f"etc/{name}.conf", name)
            found |= {} if setting is None else {f"etc/{name}.conf": setting}
        return found


def _info(name: str) -> tuple[str, str]:
    return f"{INFO}/{name}.list", f"{INFO}/{name}.md5sums"


def _is_of(path: str, name: str) -> bool:
    return path in {place.format(name) for place in (*PLACES, "etc/{}.conf")}


def _upper(case: Case) -> dict[bytes, Thing]:
    files = case.machine.files
    found = {path: f(files[path]) for path in case.machine.written if path in files}
    found |= {path: WHITEOUT for path in case.old.files if path not in files}
    return {path.encode(): thing for path, thing in found.items()}


def _tree(state: State) -> dict[bytes, Thing]:
    return {path.encode(): f(content) for path, content in state.files.items()}


def _system(state: State) -> tuple[System, dict[str, tuple[str, ...]]]:
    """What is known of a master, and the paths of its packages."""
    every = [
        a_package(name, entry.version, conffiles=tuple(state.conffiles[name].items()))
        for name, entry in state.status.items()
    ]
    listed = {
        f"{name}:amd64": tuple(line[1:] for line in state.files[_info(name)[0]].splitlines())
        for name in state.status
    }
    return a_system(*every), listed


def _seen(after: Mapping[bytes, Thing], new: Mapping[bytes, Thing]) -> Tree:
    hidden = {path for path, thing in after.items() if thing.type == "c"}
    assert hidden <= new.keys(), "a whiteout over nothing is seen"
    both = {path: thing for path, thing in {**new, **after}.items() if thing.type == "-"}
    return {path.decode(): thing.content.decode() for path, thing in both.items() if path not in hidden}


def _told(
    case: Case, policy: Policy, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tree, set[str]]:
    """What is seen afterwards, and what was in dispute: then nothing is done."""
    disk = overlay(folder / "old.img", cache, _upper(case))
    (old, old_files), (new, new_files) = _system(case.old), _system(case.new)
    rebase = Rebase(folder, monkeypatch, policy, (old, new), (old_files, new_files))
    after, (_, disputed, *_) = rebase.of(disk, _tree(case.old), _tree(case.new))
    return _seen(after, _tree(case.new)) if not disputed else {}, {each[3] for each in disputed}


def _entries(status: str) -> dict[str, Entry]:
    found = {}
    for stanza in filter(None, status.split("\n\n")):
        told = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        want, flag, came = told["Status"].split()
        assert flag == "ok" and told["Package"] not in found
        found[told["Package"]] = Entry(want, came, told["Version"], told.get("Config-Version"))
    return found


def _marked(marks: str) -> set[str]:
    stanzas = marks.split("\n\n")
    return {stanza.split()[1] for stanza in stanzas if "Auto-Installed: 1" in stanza}


@pytest.mark.parametrize(
    "examples", [8, pytest.param(300, marks=[pytest.mark.full, pytest.mark.timeout(7200)])]
)
def test_packages_are_what_a_simple_model_says(examples: int, cache: Path) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=cases(), policy=st.sampled_from((Policy(), OURS)))
    def holds(case: Case, policy: Policy) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
            without_confinement(monkeypatch)
            seen, disputed = _told(case, policy, Path(folder), cache, monkeypatch)
        wanted = Expected(case)
        assert disputed == (set() if policy is OURS else wanted.disputed()), case
        if disputed:
            return
        entries = {name: entry for name in NAMES if (entry := wanted.entry(name)) is not None}
        assert _entries(seen[STATUS]) == entries, case
        there = {name for name, entry in entries.items() if entry.came != "config-files"}
        assert _marked(seen[MARKS]) & there == {name for name in there if wanted.automatic(name)}, case
        found = {path: text for path, text in seen.items() if path[:4] != "var/" or path.startswith(INFO)}
        assert found == wanted.whole(), case

    holds()
