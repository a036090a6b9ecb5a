"""What systemd starts is links in folders: after the plan was done these are of both sides, united."""

from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.services import united
from skinnybox.delta.rebase.values import Decision, Fate
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, Tree, d, decided, l, told

PLACE = "etc/systemd/system/"
UNITS = st.sets(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["multi-user.target.wants", "x.service.requires"]))
)
Units = frozenset[tuple[str, str]]


def _path(unit: str, folder: str) -> str:
    return f"{PLACE}{folder}/{unit}.service"


def _tree(units: Units) -> dict[str, Thing]:
    found = {_path(*each): l(f"/lib/systemd/system/{each[0]}.service") for each in units}
    return {"etc/systemd/system": d(), **{f"{PLACE}{folder}": d() for _, folder in units}, **found}


def _upper(old: Units, machine: Units, anew: bool) -> dict[str, Thing]:
    """systemctl takes a folder away with its last link, and may make it anew."""
    before, now = _tree(old), _tree(machine)
    upper: dict[str, Thing] = {path: thing for path, thing in now.items() if before.get(path) != thing}
    for folder in {folder for _, folder in old}:
        path = f"{PLACE}{folder}"
        if path not in now:
            upper[path] = WHITEOUT
        elif anew:
            upper |= {p: thing for p, thing in now.items() if p.startswith(f"{path}/")}
            upper[path] = d(xattrs=OPAQUE)
        else:
            gone = (_path(*each) for each in old - machine if each[1] == folder)
            upper |= dict.fromkeys(gone, WHITEOUT)
    return upper


def _links(upper: Tree, lower: Tree) -> set[str]:
    cut = [p for p, thing in upper.items() if thing == WHITEOUT or thing.xattrs]
    shown = {p for p in lower if p not in upper and not any(p.startswith(f"{c}/") for c in cut)}
    return {p for p in shown if lower[p].type == "l"} | {p for p, thing in upper.items() if thing.type == "l"}


def _done(found: list[Decision], upper: dict[str, Thing]) -> dict[str, Thing]:
    for each in found:
        assert each.standing == "clean"
        match each.fate:
            case Fate.TAKE:
                upper.pop(each.name, None)
            case Fate.HIDE:
                upper[each.name] = WHITEOUT
            case Fate.CLEAR:
                upper[each.name] = d()
    return upper


@given(UNITS, UNITS, UNITS, st.booleans())
def test_random_units(old: Units, new: Units, machine: Units, anew: bool) -> None:
    upper, before, after = _upper(old, machine, anew), _tree(old), _tree(new)
    assert _links(upper, before) == {_path(*each) for each in machine}  # the model of a machine is one
    found = decided(upper, before, after)
    wanted = {_path(*each) for each in united(old, new, machine)}
    if anew:  # who makes a folder anew means all that he puts there
        wanted |= {_path(*each) for each in machine if each[1] in {folder for _, folder in old}}
    assert _links(_done(found, upper), after) == wanted


WANTS = f"{PLACE}multi-user.target.wants"


def test_a_folder_that_went_with_its_last_link_hides_nothing_new() -> None:
    """It was in dispute: systemctl disable takes the folder away, and the next master wants another in it."""
    upper: Tree = {WANTS: WHITEOUT}
    old: Tree = {f"{WANTS}/a.service": l("/lib/a")}
    new: Tree = {**old, f"{WANTS}/redis.service": l("/lib/redis")}
    assert told(upper, old, new) == {WANTS: "deleted: take", f"{WANTS}/a.service": "deleted: hide"}
    assert told(upper, old, old) == {WANTS: "deleted: keep"}


def test_what_is_masked_stays_so() -> None:
    path = f"{PLACE}a.service"
    assert told({path: l("/dev/null")}, {}, {f"{WANTS}/a.service": l("/lib/a")}) == {path: "own: keep"}
    assert told({path: l("/dev/null")}, {path: l("/lib/b")}, {path: l("/lib/b")}) == {path: "changed: keep"}


def test_other_folders_are_in_dispute_as_ever() -> None:
    folder = f"{PLACE}a.service.d"
    upper: Tree = {folder: WHITEOUT}
    assert told(upper, {f"{folder}/x.conf": l("1")}, {f"{folder}/y.conf": l("2")}) == {
        folder: "delete/modify: ask conflict"
    }
