"""What is pinned stays as the machine sees it, where it wrote nothing as well; and so does a database."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox.delta.rebase import databases
from skinnybox.delta.rebase.merged_source import Merged
from skinnybox.delta.rebase.rules import Choice, Policy, Rule
from skinnybox.ext4 import open_volume
from tests.pages import ROOT
from tests.unit import test_rebase_do_property as random_machines
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, Tree, d, decided, f, l, moving, told
from tests.unit.rebased_disk import Model, Rebase, is_told, overlay, whole, without_confinement
from tests.unit.test_rebase_do_property import MACHINE, MASTER, NEW, Expected, below, machines, moved, seen

cache = random_machines.cache
DATA = "var/lib/mysql"
OLD: Tree = {
    f"{DATA}/ibdata1": f("old"), f"{DATA}/mysql/user.ibd": f("old"), f"{DATA}/mysql/gone.ibd": f("old"),
    f"{DATA}/mysql/same.ibd": f("same"), f"{DATA}/empty": d(0o700),
}  # fmt: skip
LATER: Tree = {
    f"{DATA}/ibdata1": f("new"), f"{DATA}/mysql/user.ibd": f("new"), f"{DATA}/mysql/same.ibd": f("same"),
    f"{DATA}/undo001": f("new"), f"{DATA}/sys/x.frm": f("new"),
}  # fmt: skip
MINE: Tree = {f"{DATA}/ibdata1": f("mine"), f"{DATA}/shop/t.ibd": f("mine")}
OF_MACHINE = Policy(databases=(DATA,))
STAYS_WHOLE = {
    f"{DATA}/empty": "needed: bring",
    f"{DATA}/ibdata1": "changed: keep",
    f"{DATA}/mysql/gone.ibd": "needed: bring",
    f"{DATA}/mysql/user.ibd": "needed: bring",
    f"{DATA}/shop": "own: keep",
    f"{DATA}/shop/t.ibd": "own: keep",
    f"{DATA}/sys": "grown: hide",
    f"{DATA}/undo001": "grown: hide",
}


def _files(found: dict[str, str]) -> dict[str, str]:
    """Without the folders around."""
    return {path: what for path, what in found.items() if path.startswith(f"{DATA}/")}


@pytest.mark.parametrize(
    "policy",
    [
        OF_MACHINE,
        replace(OF_MACHINE, on_conflict=Choice.THEIRS),
        replace(OF_MACHINE, rules=(Rule(glob="/**", choice=Choice.THEIRS),)),
        Policy(pin=(f"/{DATA}",)),
        Policy(rules=(Rule(glob=f"/{DATA}/**", choice=Choice.PIN),)),
        Policy(rules=(Rule(glob="/var/*/my*/**", choice=Choice.PIN),)),
    ],
)
def test_nothing_of_it_is_taken_alone(policy: Policy) -> None:
    assert _files(told(MINE, OLD, LATER, policy=policy)) == STAYS_WHOLE


def test_by_path_two_databases_would_be_mixed() -> None:
    """What this is against: `ours` keeps what was written, beside what another database has."""
    found = _files(told(MINE, OLD, LATER, policy=Policy(on_conflict=Choice.OURS)))
    assert found == {f"{DATA}/ibdata1": "modify/modify: keep", f"{DATA}/shop": "own: keep",
                     f"{DATA}/shop/t.ibd": "own: keep"}  # fmt: skip


def test_why_is_told() -> None:
    details = {each.name: each.detail for each in decided(MINE, OLD, LATER, policy=OF_MACHINE)}
    assert {details[path] for path in STAYS_WHOLE} == {"a database stays whole"}
    details = {each.name: each.detail for each in decided(MINE, OLD, LATER, policy=Policy(pin=(f"/{DATA}",)))}
    assert {details[path] for path in STAYS_WHOLE} == {"pinned"}


def test_all_of_it_goes_where_that_is_said() -> None:
    found = _files(told(MINE, OLD, LATER, policy=replace(OF_MACHINE, take=(f"/{DATA}",))))
    assert {what.partition(": ")[2] for what in found.values()} == {"take"}
    by_rule = Rule(glob=f"/{DATA}/**", choice=Choice.TAKE)
    assert _files(told(MINE, OLD, LATER, policy=replace(OF_MACHINE, rules=(by_rule,)))) == found


def test_what_the_machine_deleted_stays_deleted() -> None:
    upper = {f"{DATA}/mysql": WHITEOUT, f"{DATA}/ibdata1": WHITEOUT, f"{DATA}/aria": f("mine")}
    assert _files(told(upper, OLD, LATER, policy=OF_MACHINE)) == {
        f"{DATA}/aria": "own: keep", f"{DATA}/empty": "needed: bring", f"{DATA}/ibdata1": "deleted: keep",
        f"{DATA}/mysql": "deleted: keep", f"{DATA}/sys": "grown: hide", f"{DATA}/undo001": "grown: hide",
    }  # fmt: skip


def test_a_folder_that_it_made_again_hides_both() -> None:
    upper = {f"{DATA}/mysql": d(xattrs=OPAQUE), f"{DATA}/mysql/user.ibd": f("mine")}
    found = _files(told(upper, OLD, LATER, policy=OF_MACHINE))
    assert found[f"{DATA}/mysql"] == "opaque: keep"
    assert f"{DATA}/mysql/gone.ibd" not in found and f"{DATA}/mysql/same.ibd" not in found


def test_one_that_it_moved_elsewhere_is_in_no_dispute() -> None:
    found = told({DATA: l("/srv/mysql")}, OLD, LATER, policy=OF_MACHINE)
    assert not [what for what in found.values() if "ask" in what]


@pytest.mark.parametrize(("old", "new"), [(d(), f("n")), (f("o"), d())])
def test_what_is_of_another_type_in_the_new_master_is_the_old_ones(old: Thing, new: Thing) -> None:
    below = {f"{DATA}/x/y": f("below")}
    sides = [{f"{DATA}/x": each, **(below if each.type == "d" else {})} for each in (old, new)]
    found = _files(told(MINE, *sides, policy=OF_MACHINE))
    assert found[f"{DATA}/x"] == "needed: bring"
    assert found.get(f"{DATA}/x/y") == ("needed: bring" if old.type == "d" else None)


def test_numbers_that_moved_are_no_difference() -> None:
    old, new = {f"{DATA}/x": f("1", uid=105)}, {f"{DATA}/x": f("1", uid=107)}
    found = _files(told(MINE, old, new, policy=OF_MACHINE, ownership=moving({105: 107})))
    assert f"{DATA}/x" not in found


def test_records_are_nobodys_to_pin() -> None:
    paths = "var/lib/dpkg/status", "var/lib/dpkg/info/x.list", "etc/passwd"
    old, new = ({path: f(side) for path in paths} for side in ("old", "new"))
    assert told({}, old, new, policy=Policy(pin=("/var", "/etc"))) == {}


# --- which


@pytest.mark.parametrize(
    ("upper", "wanted"),
    [
        ({}, ()),
        ({b"var/lib/mysql": d(0o700)}, ()),
        ({b"var/lib/mysql/shop": d()}, ()),
        ({b"var/lib/mysql/shop/db.opt": f()}, (DATA,)),
        ({b"var/lib/mysql/x": WHITEOUT}, (DATA,)),
        ({b"var/lib/mysql": l("/srv")}, (DATA,)),
        ({b"var/lib/mysql2/x": f()}, ()),
        ({b"var/lib/postgresql/15/main/PG_VERSION": f()}, ("var/lib/postgresql/15/main",)),
        ({b"var/lib/postgresql/15/two/x": f()}, ("var/lib/postgresql/15/two",)),
        ({b"var/lib/postgresql/.psql_history": f()}, ()),
        ({b"var/lib/docker/image/overlay2/repositories.json": f()}, ("var/lib/docker",)),
    ],
)
def test_one_that_the_machine_wrote_in(
    upper: dict[bytes, Thing], wanted: tuple[str, ...], tmp_path: Path, cache: Path
) -> None:
    lower = whole({b"var/lib/postgresql/15/main/x": f(), b"var/lib/mysql/ibdata1": f()})
    with open_volume(overlay(tmp_path / "disk.img", cache, upper)) as volume:
        assert databases.of_machine(Merged(volume, Model(lower))) == wanted


def test_no_guest_makes_it_look_for_ever(tmp_path: Path, cache: Path) -> None:
    upper = {f"var/lib/postgresql/{number}/main/x".encode(): f() for number in range(100)}
    with open_volume(overlay(tmp_path / "disk.img", cache, upper)) as volume:
        assert len(databases.of_machine(Merged(volume, Model({})))) == 64


def test_the_page_names_them() -> None:
    page = (ROOT / "docs/explanation/rebase.md").read_text()
    _, _, section = page.partition("## A database stays whole")
    named = re.findall(r"`/?([^`]+)`", section.partition("\n## ")[0])
    assert {folder.removeprefix("var/lib/") for folder in databases.FOLDERS} <= {*named}


# --- carried out


@pytest.mark.parametrize("whole_by", ["pin", "database"])
@pytest.mark.parametrize(
    "examples", [4, pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(7200)])]
)
def test_random_machines_see_there_what_they_saw(examples: int, whole_by: str, cache: Path) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=st.data())
    def holds(case: st.DataObject) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
            without_confinement(monkeypatch)
            monkeypatch.setattr(databases, "FOLDERS", ("srv",) if whole_by == "database" else ())
            _compare(case, Path(folder), cache, monkeypatch, pinned=whole_by == "pin")

    holds()


def _compare(
    case: st.DataObject, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, *, pinned: bool
) -> None:
    old, new = (random_machines.master(case.draw(MASTER, name)) for name in ("old", "new"))
    upper, theirs = case.draw(machines(old), "upper"), case.draw(st.booleans(), "theirs")
    disk = overlay(folder / "old.img", cache, upper)
    choice = Choice.THEIRS if theirs else Choice.OURS
    policy = Policy(on_conflict=choice, pin=("/srv",) if pinned else ())
    after, said = Rebase(folder, monkeypatch, policy, (MACHINE, NEW)).of(disk, old, new)
    assert len(said) == 3, said
    wanted = dict(Expected(upper, old, new, theirs).folder(b""))
    if pinned or any(below(path, b"srv") and t.type != "d" for path, t in upper.items()):
        wanted = {path: t for path, t in wanted.items() if not below(path, b"srv")}
        wanted |= {path: moved(t) for path, t in seen(upper, old) if below(path, b"srv")}
    after = {path: WHITEOUT if t.type == "c" else t for path, t in after.items()}  # dated by nobody
    found = {path: t for path, t in seen(after, whole(new)) if not is_told(path)}
    assert _without_modes(found) == _without_modes(wanted)


def _without_modes(tree: dict[bytes, Thing]) -> dict[bytes, Thing]:
    """Of folders: one that both masters have may be the new one's."""
    return {path: d() if t.type == "d" else t for path, t in tree.items() if path != b"srv"}
